//! Creates on a server what a catalog names: collections with their options, views, indexes.

use std::collections::HashMap;

use bson::{Document, RawDocumentBuf, rawdoc};
use mongodb::error::ErrorKind as DriverErrorKind;
use serde::Serialize;
use transload_format::{Collection, CollectionType};

use super::read::{collection_type, is_id_index};
use crate::{
    connect::{Doing, Server, Version, command_text, retry, retry_code},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Options that `listCollections` of old servers reports and `create` refuses or ignores: they name how a
/// collection came to be, not what it is.
const NOT_CREATED: [&[u8]; 4] = [b"create", b"temp", b"flags", b"autoIndexId"];

const NAMESPACE_NOT_FOUND: i32 = 26;
const NAMESPACE_EXISTS: i32 = 48;

/// The first release that knows `commitQuorum`. A standalone server refuses it.
const COMMIT_QUORUM: Version = Version::new(4, 4, 0);

/// What is in a database of the target already: the names, and what each one is.
///
/// # Errors
/// What the server says.
pub async fn existing(server: &Server, database: &str) -> Result<HashMap<String, CollectionType>> {
    let doing = Doing::new(format!("list the collections of {database}"), "listCollections", database);
    let command = rawdoc! { "listCollections": 1, "nameOnly": true, "cursor": {} };
    let infos = server.documents(database, command, &doing).await?;
    let name = |info: &Vec<u8>| {
        let name = document::find(info, b"name")?.string()?;
        Some((String::from_utf8_lossy(name).into_owned(), collection_type(info)))
    };
    Ok(infos.iter().filter_map(name).collect())
}

/// Drops a collection or a view. One that is not there is dropped already.
///
/// # Errors
/// What the server says.
pub async fn drop(server: &Server, namespace: &Namespace) -> Result<()> {
    let doing = Doing::new(format!("drop {namespace}"), "dropCollection", namespace.database());
    let command = rawdoc! { "drop": namespace.collection(), "writeConcern": server.write_concern() };
    ddl(server, namespace, command, &doing, &[NAMESPACE_NOT_FOUND]).await
}

/// Creates a collection or a view with its options.
///
/// # Errors
/// What the server says.
pub async fn create(server: &Server, namespace: &Namespace, collection: &Collection) -> Result<()> {
    let mut command = RawBuilder::new();
    command.string("create", namespace.collection());
    for option in document::elements(&collection.options) {
        let option = option.map_err(|malformed| Error::from(malformed).at(format!("options of {namespace}")))?;
        if !NOT_CREATED.contains(&option.name) {
            command.append(&option);
        }
    }
    command.document("writeConcern", server.write_concern().as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    let doing = Doing::new(format!("create {namespace}"), "createCollection", namespace.database());
    // A create that was retried meets its own first attempt.
    ddl(server, namespace, command, &doing, &[NAMESPACE_EXISTS]).await
}

/// Runs a command that changes the catalog until it succeeds. After a retry, the codes in `done` mean that the first
/// attempt had succeeded.
pub(crate) async fn ddl(
    server: &Server,
    namespace: &Namespace,
    command: RawDocumentBuf,
    doing: &Doing,
    done: &[i32],
) -> Result<()> {
    let mut patience = server.patience();
    let mut retried = false;
    loop {
        let database = server.database(namespace.database());
        match server.watched(database.run_raw_command(command.clone())).await {
            Ok(reply) => match write_concern_error(&reply) {
                None => return Ok(()),
                Some((code, _)) if patience.wait(retry_code(code)).await => retried = true,
                Some((_, text)) => {
                    let message = format!("failed to {doing} as the write concern wants it: {text}");
                    return Err(Error::new(ErrorKind::Server, message).at(server.place()));
                }
            },
            Err(error) => match error.kind.as_ref() {
                DriverErrorKind::Command(command)
                    if done.contains(&command.code) && (retried || command.code == NAMESPACE_NOT_FOUND) =>
                {
                    return Ok(());
                }
                _ if patience.wait(retry(&error)).await => retried = true,
                _ => return Err(server.failure(error, doing)),
            },
        }
    }
}

/// A command can succeed and its write concern fail; the driver shows that only in the reply.
fn write_concern_error(reply: &Document) -> Option<(i32, String)> {
    let error = reply.get_document("writeConcernError").ok()?;
    let code = error.get_i32("code").unwrap_or(0);
    let name = error.get_str("codeName").unwrap_or("WriteConcernFailed");
    Some((code, command_text(code, name, error.get_str("errmsg").unwrap_or_default())))
}

/// An index that was not built.
#[derive(Clone, Debug, Serialize)]
pub struct IndexFailure {
    /// The collection.
    pub namespace: Namespace,
    /// The index.
    pub index: String,
    /// The server's reason.
    pub reason: String,
}

/// Builds the indexes of a collection, all in one command, so that the server reads the collection once. If the
/// command fails, each index is tried alone, so that one that cannot be built costs no other. Gives back how many
/// were built, and what was not.
///
/// # Errors
/// When the server does not answer.
pub async fn create_indexes(
    server: &Server,
    namespace: &Namespace,
    collection: &Collection,
) -> Result<(usize, Vec<IndexFailure>)> {
    let specs = collection.indexes.iter().filter(|spec| must_build(spec)).map(|spec| portable(spec, collection));
    let specs: Vec<Vec<u8>> = specs.collect::<Result<_>>()?;
    if specs.is_empty() {
        return Ok((0, Vec::new()));
    }
    match build(server, namespace, &specs).await {
        Ok(()) => return Ok((specs.len(), Vec::new())),
        Err(error) if error.kind() == ErrorKind::Server => {}
        Err(error) => return Err(error),
    }
    let mut failures = Vec::new();
    for spec in &specs {
        match build(server, namespace, std::slice::from_ref(spec)).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Server => {
                failures.push(IndexFailure { namespace: namespace.clone(), index: name(spec), reason: reason(&error) })
            }
            Err(error) => return Err(error),
        }
    }
    Ok((specs.len() - failures.len(), failures))
}

/// Why an index was not built, for a line that names the collection and the index already.
pub(crate) fn reason(error: &Error) -> String {
    let (_, text) = error.message().split_once(": ").unwrap_or(("", error.message()));
    match text.starts_with("error 11000 ") {
        true => format!("documents of the collection have the same key ({text})"),
        false => text.to_owned(),
    }
}

pub(crate) async fn build(server: &Server, namespace: &Namespace, specs: &[Vec<u8>]) -> Result<()> {
    let mut command = RawBuilder::new();
    command.string("createIndexes", namespace.collection());
    command.embed_array("indexes", |array| {
        for (number, spec) in specs.iter().enumerate() {
            array.document(number.to_string(), spec);
        }
    });
    // By default a build waits for every voting member, and so for ever while one of them is down.
    if server.version() >= COMMIT_QUORUM && server.operation_time().await? != 0 {
        command.string("commitQuorum", "majority");
    }
    command.document("writeConcern", server.write_concern().as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    let doing = Doing::new(format!("build indexes of {namespace}"), "createIndex", namespace.database());
    // No error means success here: servers answer a spec that they have already with none, and a conflict of one
    // spec says nothing about the others in the command.
    ddl(server, namespace, command, &doing, &[]).await
}

/// How many indexes of a collection must be built: all but those that come with it.
pub fn indexes_to_build(collection: &Collection) -> usize {
    collection.indexes.iter().filter(|spec| must_build(spec)).count()
}

/// Whether an index does not come with the collection itself.
fn must_build(spec: &[u8]) -> bool {
    !is_id_index(spec) && document::find(spec, b"clustered").is_none()
}

/// A spec that means the same on another server: without the namespace that old ones put in, which would name the
/// source's; and with the simple collation where it has none in a collection that has one. Servers leave the simple
/// one out of what they list, and give the collection's to an index that names none.
fn portable(spec: &[u8], collection: &Collection) -> Result<Vec<u8>> {
    let mut portable = RawBuilder::new();
    for option in document::elements(spec) {
        let place = || format!("an index of {}", collection.namespace);
        let option = option.map_err(|malformed| Error::from(malformed).at(place()))?;
        if option.name != b"ns" {
            portable.append(&option);
        }
    }
    let has_collation = |options: &[u8]| document::find(options, b"collation").is_some();
    if has_collation(&collection.options) && !has_collation(spec) {
        portable.embed("collation", |collation| {
            collation.string("locale", "simple");
        });
    }
    Ok(portable.finish())
}

fn name(spec: &[u8]) -> String {
    let name = document::find(spec, b"name").and_then(|name| name.string());
    name.map_or_else(|| "(without a name)".to_owned(), |name| String::from_utf8_lossy(name).into_owned())
}

/// Sorts views so that each comes after the views it reads from; a view can be created before a collection it
/// names, but not before a view whose collation it shares. Cycles, which no server allows, stay as they are.
pub fn in_order_of_dependency(views: &mut Vec<(Namespace, Collection)>) {
    let mut sorted: Vec<(Namespace, Collection)> = Vec::with_capacity(views.len());
    while !views.is_empty() {
        let names: Vec<_> = views.iter().map(|(namespace, _)| namespace.clone()).collect();
        let ready = views.iter().position(|(namespace, view)| {
            let read = read_by_view(view);
            !names.iter().any(|other| {
                other != namespace
                    && other.database() == namespace.database()
                    && read.contains(&other.collection().to_owned())
            })
        });
        sorted.push(views.remove(ready.unwrap_or(0)));
    }
    *views = sorted;
}

/// The names of the collections, of its own database, that a view reads.
pub fn read_by_view(view: &Collection) -> Vec<String> {
    let mut names = Vec::new();
    names_in(&view.options, u8::MAX, &mut names);
    names
}

/// The collections that a view's options name: `viewOn`, and `from` and `coll` of the stages of its pipeline.
fn names_in(document: &[u8], depth: u8, names: &mut Vec<String>) {
    // An archive may nest deeper than any server allows; what is down there is no view.
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for element in document::elements(document).map_while(Result::ok) {
        match element.kind {
            kind::STRING if [&b"viewOn"[..], b"from", b"coll", b"$unionWith"].contains(&element.name) => {
                names.push(String::from_utf8_lossy(element.string().unwrap_or_default()).into_owned());
            }
            kind::DOCUMENT | kind::ARRAY => names_in(element.value, depth, names),
            _ => {}
        }
    }
}
