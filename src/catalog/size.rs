//! How large a namespace is, as far as the server tells.

use bson::{Bson, Document, rawdoc};

use crate::{
    connect::{Doing, Server},
    error::ErrorKind,
    namespace::Namespace,
};

/// The number of documents and their bytes. An estimate: whoever may not ask does without it.
///
/// `dataSize` as an estimate looks at two counters; `collStats` gathers all that the storage engine counts, which takes a
/// server twenty times as long (6.0.5: 3.2 ms of processor time).
pub(super) async fn size(server: &Server, namespace: &Namespace) -> (Option<u64>, Option<u64>) {
    let database = namespace.database();
    let ask = |name: &'static str, command| {
        let doing = Doing::new(format!("ask for the size of {namespace}"), name, database);
        async move { server.run(database, command, &doing).await }
    };
    match ask("find", rawdoc! { "dataSize": namespace.to_string(), "estimate": true }).await {
        Ok(reply) => (number(&reply, "numObjects"), number(&reply, "size")),
        // A router wants the shard key of what is sharded, and a host may not have the command.
        Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => {
            let Ok(reply) = ask("collStats", rawdoc! { "collStats": namespace.collection() }).await else {
                return (None, None);
            };
            // Of a time series the server counts buckets.
            let buckets = || number(reply.get_document("timeseries").ok()?, "bucketCount");
            (number(&reply, "count").or_else(buckets), number(&reply, "size"))
        }
        Err(_) => (None, None),
    }
}

fn number(of: &Document, name: &str) -> Option<u64> {
    match of.get(name) {
        Some(Bson::Int32(number)) => u64::try_from(*number).ok(),
        Some(Bson::Int64(number)) => u64::try_from(*number).ok(),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate; the cast saturates")]
        Some(Bson::Double(number)) => Some(*number as u64),
        _ => None,
    }
}
