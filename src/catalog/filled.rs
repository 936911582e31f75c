//! Whether there is anything in a collection.

use bson::rawdoc;

use crate::{
    connect::{Doing, Server},
    error::Result,
    namespace::Namespace,
};

/// Whether a collection has a document: looked for, as counts may be wrong after a crash. One that is not there has none.
///
/// # Errors
/// What the server says.
pub(crate) async fn is_filled(server: &Server, namespace: &Namespace) -> Result<bool> {
    let doing = Doing::new(format!("look into {namespace}"), "find", namespace.database());
    let (ids, find) = (rawdoc! { "_id": 1 }, namespace.collection());
    let command = rawdoc! { "find": find, "limit": 1, "singleBatch": true, "projection": ids };
    let found = server.reading_primary().documents(namespace.database(), command, &doing).await?;
    Ok(!found.is_empty())
}
