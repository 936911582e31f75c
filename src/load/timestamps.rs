//! Puts back a top-level `Timestamp(0, 0)` that the server has replaced by its clock.
//!
//! Servers do so on insert and on replacement, unless told otherwise, which only newer ones can be
//! (SERVER-88750). An update by a pipeline is left alone, so such documents are written a second time that way, and
//! then read back: what is still not as it was counts as refused.

use bson::RawDocumentBuf;

use super::{Loaded, equal_on_server};
use crate::{
    connect::{Doing, Server},
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Writes `documents`, which have been inserted, once more as they should be.
pub(super) async fn put_back(
    server: &Server,
    namespace: &Namespace,
    documents: &[&[u8]],
    loaded: &mut Loaded,
) -> Result<()> {
    for document in documents {
        let Some(id) = document::id(document) else {
            continue;
        };
        let mut update = RawBuilder::new();
        update.string("update", namespace.collection()).bool("bypassDocumentValidation", true);
        update.document("writeConcern", server.write_concern().as_bytes());
        update.embed_array("updates", |updates| {
            updates.embed("0", |update| {
                update.embed("q", |query| {
                    query.embed("_id", |condition| {
                        condition.append_renamed(&id, "$eq");
                    });
                });
                update.embed_array("u", |pipeline| {
                    pipeline.embed("0", |stage| {
                        stage.embed("$replaceWith", |literal| {
                            literal.document("$literal", document);
                        });
                    });
                });
            });
        });
        let command = RawDocumentBuf::from_bytes(update.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let doing = Doing::new(format!("put a timestamp back into {namespace}"), "update", namespace.database());
        server.run(namespace.database(), command, &doing).await?;
    }
    let equal = equal_on_server(server, namespace, documents).await?;
    for document in documents.iter().filter(|document| !equal.contains(document)) {
        loaded.inserted -= 1;
        loaded.refused += 1;
        let reason = "the target replaced an empty timestamp in it by its clock".to_owned();
        loaded.reject(namespace, document, reason);
    }
    Ok(())
}
