//! Builds indexes on a server: all of a collection in one command, and none at the cost of another.

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use serde::Serialize;

use super::apply::ddl;
use crate::{
    connect::{Doing, Server, Version},
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// The first release that knows `commitQuorum`. A standalone server refuses it.
const COMMIT_QUORUM: Version = Version::new(4, 4, 0);
/// Up to so many documents a build takes no time on any member, and nobody need wait for the others to say so.
const FEW_DOCUMENTS: u64 = 10_000;

/// An index that was not built.
#[derive(Clone, Debug, Serialize)]
pub struct IndexFailure {
    /// The collection.
    pub namespace: Namespace,
    /// The index.
    pub index: String,
    /// Its spec, as extended JSON.
    pub spec: String,
    /// Why: the server's reason, or ours.
    pub reason: String,
}

/// Builds the indexes of a collection of about so many documents, all in one command, so that the server reads the
/// collection once. If the command fails, each index is tried alone, so that one that cannot be built costs no other.
/// Gives back, for each spec, why it was not built.
///
/// # Errors
/// When the server does not answer.
pub async fn create_indexes(
    server: &Server,
    namespace: &Namespace,
    specs: &[Vec<u8>],
    documents: u64,
) -> Result<Vec<Option<String>>> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    match build(server, namespace, specs, documents).await {
        Ok(()) => return Ok(vec![None; specs.len()]),
        Err(error) if error.kind() == ErrorKind::Server && specs.len() > 1 => {}
        Err(error) if error.kind() == ErrorKind::Server => return Ok(vec![Some(reason(&error))]),
        Err(error) => return Err(error),
    }
    let mut reasons = Vec::with_capacity(specs.len());
    for spec in specs {
        reasons.push(match build(server, namespace, std::slice::from_ref(spec), documents).await {
            Ok(()) => None,
            Err(error) if error.kind() == ErrorKind::Server => Some(reason(&error)),
            Err(error) => return Err(error),
        });
    }
    Ok(reasons)
}

/// Why an index was not built, for a line that names the collection and the index already.
pub(crate) fn reason(error: &Error) -> String {
    let (_, text) = error.message().split_once(": ").unwrap_or(("", error.message()));
    match text.starts_with("error 11000 ") {
        true => format!("documents of the collection have the same key ({text})"),
        false => text.to_owned(),
    }
}

/// Drops all indexes of a collection but the one on `_id`.
pub(crate) async fn drop_indexes(server: &Server, namespace: &Namespace) -> Result<()> {
    let doing = Doing::new(format!("drop indexes of {namespace}"), "dropIndex", namespace.database());
    let concern = server.write_concern();
    let command = rawdoc! { "dropIndexes": namespace.collection(), "index": "*", "writeConcern": concern };
    ddl(server, namespace, command, &doing, &[]).await
}

/// Builds the indexes of a collection that was just created, all of them or none. The primary alone says so; whoever
/// must be sure builds them again when the documents are there, which is nothing to do where they are.
pub(crate) async fn build_on_empty(server: &Server, namespace: &Namespace, specs: &[Vec<u8>]) -> Result<()> {
    send(server, namespace, specs, 0, &rawdoc! { "w": 1 }).await
}

/// Builds indexes of a collection of about so many documents, all of them or none.
pub(crate) async fn build(server: &Server, namespace: &Namespace, specs: &[Vec<u8>], documents: u64) -> Result<()> {
    send(server, namespace, specs, documents, &server.write_concern()).await
}

async fn send(
    server: &Server,
    namespace: &Namespace,
    specs: &[Vec<u8>],
    documents: u64,
    concern: &RawDocument,
) -> Result<()> {
    let mut command = RawBuilder::new();
    command.string("createIndexes", namespace.collection());
    command.embed_array("indexes", |array| {
        for (number, spec) in specs.iter().enumerate() {
            array.document(number.to_string(), spec);
        }
    });
    // By default a build waits for every voting member, and so for ever while one of them is down.
    if server.version() >= COMMIT_QUORUM && server.replicates() {
        match documents {
            0..=FEW_DOCUMENTS => command.int32("commitQuorum", 0),
            _ => command.string("commitQuorum", "majority"),
        };
    }
    command.document("writeConcern", concern.as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    let doing = Doing::new(format!("build indexes of {namespace}"), "createIndex", namespace.database());
    // No error means success here: servers answer a spec that they have already with none, and a conflict of one
    // spec says nothing about the others in the command.
    ddl(server, namespace, command, &doing, &[]).await
}
