//! Puts back a top-level `Timestamp(0, 0)` that the server has replaced by its clock.
//!
//! Servers do so on insert and on replacement, unless told otherwise, which only newer ones can be
//! (SERVER-88750). An update that sets single fields is left alone, so such fields are written a second time that way,
//! and the documents then read back: what is still not as it was counts as refused.
//!
//! `$set` cannot name every field: where a name holds a dot, begins with `$` or is empty, the whole document is
//! written by a pipeline. Not otherwise, and never where a name comes twice: a 6.0.5 server that logs the difference
//! of two such documents aborts (document_diff_serialization.cpp), and takes its whole process down.

use bson::RawDocumentBuf;

use super::{Found, Loaded, Target};
use crate::{
    connect::Doing,
    document::{self, Element, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// Bytes of updates at which a command is sent.
const COMMAND_BYTES: usize = 1024 * 1024;
/// Updates at which a command is sent.
const COMMAND_UPDATES: usize = 1000;

/// Writes the empty timestamps of `documents`, which have been inserted, once more as they should be.
pub(super) async fn put_back(target: &Target, documents: &[&[u8]], loaded: &mut Loaded) -> Result<()> {
    let updates: Vec<Vec<u8>> = documents.iter().filter_map(|document| putting_timestamps_back(document)).collect();
    let mut rest = updates.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |update: &&Vec<u8>| {
            bytes += update.len();
            bytes <= COMMAND_BYTES
        };
        let count = rest.iter().take(COMMAND_UPDATES).take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        send(target, now).await?;
        rest = later;
    }
    let there = Found::read(target, documents).await?;
    for document in documents.iter().filter(|document| !there.has(document)) {
        loaded.inserted -= 1;
        loaded.refused += 1;
        let reason = "the target replaced an empty timestamp in it by its clock".to_owned();
        loaded.reject(&target.namespace, document, reason);
    }
    Ok(())
}

/// Whether `theirs` is `ours`, but for the empty timestamps that a server replaces on insert.
pub(super) fn equal_but_for_clock(ours: &[u8], theirs: &[u8]) -> bool {
    let (mut left, mut right) = (document::elements(ours), document::elements(theirs));
    ours.len() == theirs.len()
        && left.by_ref().zip(right.by_ref()).all(|pair| match pair {
            (Ok(our), Ok(their)) => {
                our.whole == their.whole || (is_empty(&our) && their.kind == our.kind && their.name == our.name)
            }
            _ => false,
        })
}

async fn send(target: &Target, updates: &[Vec<u8>]) -> Result<()> {
    let (server, namespace) = (&target.server, &target.namespace);
    let doing = Doing::new(format!("put timestamps back into {namespace}"), "update", namespace.database());
    let mut patience = server.patience();
    loop {
        let mut command = RawBuilder::new();
        command.string("update", namespace.collection()).bool("ordered", false);
        if target.bypasses() {
            command.bool("bypassDocumentValidation", true);
        }
        command.document("writeConcern", server.write_concern().as_bytes());
        command.embed_array("updates", |array| {
            for (number, update) in updates.iter().enumerate() {
                array.document(number.to_string(), update);
            }
        });
        let command = RawDocumentBuf::from_bytes(command.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        // What an update could not do shows when the documents are read back.
        if target.attempt(command, &doing, &mut patience).await?.is_some() {
            return Ok(());
        }
    }
}

/// The statement of an update command that puts back the empty timestamps of a document, if there is a safe one.
pub(crate) fn putting_timestamps_back(document: &[u8]) -> Option<Vec<u8>> {
    let id = document::id(document)?;
    let elements: Vec<_> = document::elements(document).map_while(Result::ok).collect();
    let empty: Vec<_> = elements.iter().filter(|element| is_empty(element)).collect();
    let mut names: Vec<_> = elements.iter().map(|element| element.name).collect();
    names.sort_unstable();
    let comes_twice =
        |name: &[u8]| names.partition_point(|other| *other <= name) - names.partition_point(|other| *other < name) > 1;
    let can_be_set = empty.iter().all(|element| is_plain(element.name) && !comes_twice(element.name));
    if !can_be_set && names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mut update = RawBuilder::new();
    update.embed("q", |query| {
        query.embed("_id", |condition| {
            condition.append_renamed(&id, "$eq");
        });
    });
    if can_be_set {
        update.embed("u", |modifiers| {
            modifiers.embed("$set", |set| {
                for element in &empty {
                    set.append(element);
                }
            });
        });
    } else {
        update.embed_array("u", |pipeline| {
            pipeline.embed("0", |stage| {
                stage.embed("$replaceWith", |literal| {
                    literal.document("$literal", document);
                });
            });
        });
    }
    Some(update.finish())
}

/// Whether servers replace the field on insert. In `_id` they keep it.
fn is_empty(element: &Element<'_>) -> bool {
    element.kind == kind::TIMESTAMP && element.value == [0; 8] && element.name != b"_id"
}

/// Whether `$set` takes a name for just that.
fn is_plain(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b"$") && !name.contains(&b'.') && std::str::from_utf8(name).is_ok()
}
