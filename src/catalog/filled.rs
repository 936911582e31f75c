//! Whether a name is taken, and by what.

use bson::rawdoc;
use transload_format::CollectionType;

use super::read::described;
use crate::{
    connect::{Doing, Server},
    error::Result,
    namespace::Namespace,
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// For nothing, or for a collection without a document.
    Nothing,
    /// For documents.
    Documents,
    /// For a view, which has none of its own.
    View,
}

/// What there is under a name. Documents are looked for, as counts may be wrong after a crash.
///
/// # Errors
/// What the server says.
pub(crate) async fn held(server: &Server, namespace: &Namespace) -> Result<Held> {
    let server = server.reading_primary();
    match described(&server, namespace).await? {
        None => return Ok(Held::Nothing),
        Some((CollectionType::View, _)) => return Ok(Held::View),
        Some(_) => {}
    }
    let doing = Doing::new(format!("look into {namespace}"), "find", namespace.database());
    let (ids, find) = (rawdoc! { "_id": 1 }, namespace.collection());
    let command = rawdoc! { "find": find, "limit": 1, "singleBatch": true, "projection": ids };
    let found = server.documents(namespace.database(), command, &doing).await?;
    Ok(if found.is_empty() { Held::Nothing } else { Held::Documents })
}

/// Whether there are documents under a name.
///
/// # Errors
/// What the server says.
pub(crate) async fn is_filled(server: &Server, namespace: &Namespace) -> Result<bool> {
    Ok(held(server, namespace).await? == Held::Documents)
}
