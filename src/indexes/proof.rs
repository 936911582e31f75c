//! Shows a clean spec to its server where it costs nothing, before an index is dropped for it.

use super::collection::Collection;
use crate::{
    catalog::{self, build, index_spec::Sanitized},
    connect::Server,
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Builds the clean spec of an index on `scratch`, an empty collection, beside clean specs of the other indexes, and drops all that
/// again.
///
/// # Errors
/// What the server has against it.
pub(super) async fn prove(
    server: &Server,
    scratch: &Namespace,
    collection: &Collection,
    index: &Sanitized,
    clean: &[u8],
) -> Result<()> {
    let proven = try_on(server, scratch, collection, index, clean).await;
    let dropped = catalog::drop(server, scratch).await;
    // Its name says nothing to anyone.
    let named = |error: Error| {
        let message = error.message().replace(&scratch.to_string(), "a new collection of the database");
        let hint = error.hint().map(str::to_owned);
        let named = Error::new(error.kind(), message);
        if let Some(hint) = hint { named.with_hint(hint) } else { named }
    };
    proven.and(dropped).map_err(named)
}

async fn try_on(
    server: &Server,
    scratch: &Namespace,
    collection: &Collection,
    index: &Sanitized,
    clean: &[u8],
) -> Result<()> {
    let others = collection.indexes.iter().filter(|other| other.original != index.original);
    let others: Vec<Vec<u8>> = others.filter_map(Sanitized::to_build).map(explicit).collect();
    if !others.is_empty() {
        // What is wrong with another one is said when it is its turn.
        match build(server, scratch, &others, 0).await {
            Err(error) if error.kind() != ErrorKind::Server => return Err(error),
            _ => {}
        }
    }
    build(server, scratch, &[clean.to_vec()], 0).await
}

/// The spec with the simple collation where it names none: an index that names none is given its collection's, which
/// the user may not be allowed to know. Indexes of version 1 know nothing of collations.
pub(super) fn explicit(spec: &[u8]) -> Vec<u8> {
    let first =
        document::find(spec, b"v").is_some_and(|v| [&1_i32.to_le_bytes()[..], &1_f64.to_le_bytes()].contains(&v.value));
    if first || document::find(spec, b"collation").is_some() {
        return spec.to_vec();
    }
    let mut explicit = RawBuilder::new();
    document::elements(spec).map_while(Result::ok).for_each(|option| {
        explicit.append(&option);
    });
    explicit.embed("collation", |collation| {
        collation.string("locale", "simple");
    });
    explicit.finish()
}
