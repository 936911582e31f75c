//! The index specs of a collection as its server really keeps them.
//!
//! What `listIndexes` says is not always that. 4.2 lists a spec as it is; 5.0 fails with code 5254501 on the whole
//! collection when one of its specs holds what it does not know, and does not say which; 6.0 leaves that out without a
//! word. What it really is, the catalog tells, without an order before 6.0: that is the one of `collStats`.

use std::collections::BTreeMap;

use bson::rawdoc;

use super::{
    build::reason,
    kept::{ID, SHOWS_CATALOG, kept, name},
};
use crate::{
    connect::{Doing, Server, Version},
    document::{self, Element},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// "Could not parse catalog entry while replying to listIndexes".
const UNLISTABLE: i32 = 5_254_501;
/// Of a collection that is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The first release whose list may not be the truth.
const HIDES: Version = Version::new(5, 0, 0);

/// What lets a user read the specs where they are.
const HINT: &str = "the role 'clusterMonitor' on the database 'admin' gives the action 'indexStats', which is enough";

/// The index specs of a collection in the order in which they were made, and a word about them where the server could
/// not list them and they were found elsewhere. What a server hides in its list is not among them: see [`unhidden`].
///
/// # Errors
/// What the server says. [`ErrorKind::NotFound`] when the collection is gone. [`ErrorKind::Authorization`] also where it cannot list them because of a bad one, and the
/// user may not read them elsewhere.
pub async fn index_specs(server: &Server, namespace: &Namespace) -> Result<(Vec<Vec<u8>>, Option<String>)> {
    let (database, name) = (namespace.database(), namespace.collection());
    let doing = Doing::new(format!("list the indexes of {namespace}"), "listIndexes", database);
    let command = rawdoc! { "listIndexes": name, "cursor": {} };
    let expected = |code: i32| [UNLISTABLE, NAMESPACE_NOT_FOUND].contains(&code).then_some(code);
    match server.documents_or(database, command, &doing, expected).await? {
        Ok(specs) => return Ok((specs, None)),
        Err(NAMESPACE_NOT_FOUND) => {
            return Err(Error::new(ErrorKind::NotFound, format!("{namespace} was dropped or renamed meanwhile"))
                .with_hint("run the command again")
                .at(server.place()));
        }
        Err(_) => {}
    }
    match kept(server, namespace).await {
        Ok(mut specs) => {
            if server.version() < SHOWS_CATALOG {
                in_order_of_creation(server, namespace, &mut specs).await;
            }
            let note = "the server cannot list its indexes, because it does not know what stands in the spec of one; \
                        they were read from its catalog";
            Ok((specs, Some(format!("{namespace}: {note}"))))
        }
        Err(error) if error.kind() == ErrorKind::Authorization => {
            let names = names(server, namespace).await;
            let one = match names.iter().filter(|name| name.as_bytes() != ID).cloned().collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => "one".to_owned(),
                names => format!("one of {names}"),
            };
            let message = format!(
                "the server cannot list the indexes of {namespace}, because it does not know what stands in the spec of \
                 {one}, and this user may not read them from its catalog"
            );
            Err(Error::new(ErrorKind::Authorization, message).with_hint(HINT).at(server.place()))
        }
        Err(error) => Err(error),
    }
}

/// The same specs as `listed`, each with what the server does not show of it in its list; and why that could not be read, if it
/// could not.
///
/// # Errors
/// When the server does not answer.
pub async fn unhidden(
    server: &Server,
    namespace: &Namespace,
    mut listed: Vec<Vec<u8>>,
) -> Result<(Vec<Vec<u8>>, Option<String>)> {
    if server.version() < HIDES || listed.is_empty() {
        return Ok((listed, None));
    }
    let whole = match kept(server, namespace).await {
        Ok(whole) => whole,
        Err(error) if error.kind() == ErrorKind::Authorization => {
            return Ok((listed, Some(format!("this user may not read the server's catalog; {HINT}"))));
        }
        Err(error) if error.kind() == ErrorKind::Server => {
            return Ok((listed, Some(format!("its catalog cannot be read: {}", reason(&error)))));
        }
        Err(error) => return Err(error),
    };
    for spec in &mut listed {
        let found = whole.iter().find(|other| name(other) == name(spec));
        if let Some(found) = found.filter(|found| has_more(found, spec)) {
            spec.clone_from(found);
        }
    }
    Ok((listed, None))
}

/// Warnings about collections whose catalog could not be read, one for all that have the same reason.
pub(super) fn not_unhidden(notes: Vec<(Namespace, String)>) -> impl Iterator<Item = String> {
    let mut of: BTreeMap<String, (Namespace, usize)> = BTreeMap::new();
    for (namespace, note) in notes {
        of.entry(note).or_insert((namespace, 0)).1 += 1;
    }
    of.into_iter().map(|(note, (first, count))| {
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        format!("{first}{more}: options that the server does not know may be there, and it does not list them: {note}")
    })
}

/// Puts specs that are sorted by their names into the order in which their indexes were made. Whoever may not ask for
/// it has them by their names: the order decides only which of two equal indexes is the one that is built.
async fn in_order_of_creation(server: &Server, namespace: &Namespace, specs: &mut [Vec<u8>]) {
    let names = names(server, namespace).await;
    let place =
        |spec: &Vec<u8>| names.iter().position(|known| name(spec) == Some(known.as_bytes())).unwrap_or(usize::MAX);
    specs.sort_by_cached_key(|spec| (name(spec) != Some(ID), place(spec)));
}

/// The names of the indexes of a collection, in the order in which they were made, which the keys of `indexSizes` are
/// in; none for whoever may not ask.
async fn names(server: &Server, namespace: &Namespace) -> Vec<String> {
    let doing = Doing::new(format!("ask for the size of {namespace}"), "collStats", namespace.database());
    let command = rawdoc! { "collStats": namespace.collection() };
    let Ok(reply) = server.run(namespace.database(), command, &doing).await else {
        return Vec::new();
    };
    reply.get_document("indexSizes").map_or(Vec::new(), |sizes| sizes.keys().cloned().collect())
}

/// Whether the spec as it is kept says what the listed one does not. The order of fields alone is nobody's concern: it
/// is that of whoever made the index.
fn has_more(kept: &[u8], listed: &[u8]) -> bool {
    let differs = |field: Element<'_>| {
        document::find(listed, field.name).is_none_or(|other| (other.kind, other.value) != (field.kind, field.value))
    };
    document::elements(kept).map_while(Result::ok).any(differs)
}
