//! Buckets of a time series that hold values of several types under one name: before 5.2 servers made such buckets.
//!
//! Later servers take them only into a collection that is known to have some (`timeseriesBucketsMayHaveMixedSchemaData`,
//! SERVER-84531), because their queries rely on there being none.

use bson::{RawDocumentBuf, rawdoc};
use tokio::sync::OnceCell;

use crate::{
    catalog::ddl,
    connect::{Doing, Server},
    error::{ErrorKind, Result},
    namespace::Namespace,
};

/// "Cannot write time-series bucket containing mixed schema data".
pub(super) const REFUSED: i32 = 408;

/// Whether a collection is made one that may have such buckets; of several loaders the first does it.
#[derive(Debug, Default)]
pub(super) struct MixedSchema(OnceCell<bool>);

impl MixedSchema {
    /// Lets the collection have them. Gives whether that is new, so that what was refused may be taken now.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn allow(&self, server: &Server, buckets: &Namespace) -> Result<bool> {
        let allow = async || {
            let name = buckets.collection().strip_prefix("system.buckets.").unwrap_or(buckets.collection());
            let doing = Doing::new(format!("change {buckets}"), "collMod", buckets.database());
            let command: RawDocumentBuf = rawdoc! { "collMod": name, "timeseriesBucketsMayHaveMixedSchemaData": true };
            match ddl(server, buckets, command, &doing, &[]).await {
                // It knows no such thing, or this user may not do it: what is refused stays refused, and is said.
                Err(error) if matches!(error.kind(), ErrorKind::Server | ErrorKind::Authorization) => Ok(false),
                done => done.map(|()| true),
            }
        };
        self.0.get_or_try_init(allow).await.copied()
    }
}
