//! Creates on a server what a catalog names: collections with their options, views, indexes.

use std::collections::{BTreeSet, HashMap};

use bson::{Document, RawDocument, RawDocumentBuf, rawdoc};
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::error::ErrorKind as DriverErrorKind;
use transload_format::{Collection, CollectionType};

use super::{read::collection_type, scratch::Footprint};
use crate::{
    connect::{Doing, Retry, Server, command_text, kind_of, retry, retry_code},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Options that `listCollections` of old servers reports and `create` refuses or ignores: they name how a
/// collection came to be, not what it is.
const NOT_CREATED: [&[u8]; 4] = [b"create", b"temp", b"flags", b"autoIndexId"];

const NAMESPACE_NOT_FOUND: i32 = 26;
const NAMESPACE_EXISTS: i32 = 48;

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
    let concern = server.write_concern();
    create_for(server, namespace, collection, format!("create {namespace}"), &concern).await
}

/// Creates collections with their options, several at once, each with the name that it is to have.
///
/// Each is acknowledged by the primary alone, and all of them together by the wait at the end: a wait for the journal
/// for each costs more than the collection itself. What an election took back meanwhile is created again; a load must
/// not make up a collection without its options.
///
/// `footprint` notes each command that may have changed something.
///
/// # Errors
/// What the server says.
pub async fn create_all(
    server: &Server,
    footprint: &Footprint,
    collections: &[(&Namespace, &Collection)],
    parallel: usize,
) -> Result<()> {
    let primary = rawdoc! { "w": 1 };
    let mut patience = server.patience();
    let mut missing = collections.to_vec();
    loop {
        stream::iter(&missing)
            .map(Ok::<_, Error>)
            .try_for_each_concurrent(parallel.max(1), async |(namespace, collection)| {
                let what = format!("create {namespace}");
                let is_again = footprint.goes_on_after_a_kill();
                footprint.note(create_from(server, namespace, collection, what, &primary, is_again)).await
            })
            .await?;
        let databases: BTreeSet<&str> = missing.iter().map(|(namespace, _)| namespace.database()).collect();
        let mut there = HashMap::new();
        for database in databases {
            settle(server, footprint, database).await?;
            there.insert(database, existing(server, database).await?);
        }
        let is_there = |namespace: &Namespace| {
            there.get(namespace.database()).is_some_and(|names| names.contains_key(namespace.collection()))
        };
        missing.retain(|(namespace, _)| !is_there(namespace));
        let Some((namespace, _)) = missing.first() else {
            return Ok(());
        };
        if !patience.wait(Retry::BackOff).await {
            let message = format!("{namespace} was created, and is gone again");
            return Err(Error::new(ErrorKind::Server, message).at(server.place()));
        }
    }
}

/// Waits until what was written to a database is acknowledged as the write concern wants it.
async fn settle(server: &Server, footprint: &Footprint, database: &str) -> Result<()> {
    let scratch = footprint.scratches.begin(database)?;
    let nothing = Collection {
        namespace: scratch.to_string(),
        kind: CollectionType::Collection,
        uuid: None,
        options: document::EMPTY.to_vec(),
        indexes: Vec::new(),
    };
    let what = format!("make the collections of {database} durable");
    create_for(server, &scratch, &nothing, what, &server.write_concern()).await?;
    drop(server, &scratch).await?;
    footprint.scratches.ended(&scratch);
    Ok(())
}

/// Creates a collection in order to do `what`.
pub(super) async fn create_for(
    server: &Server,
    namespace: &Namespace,
    collection: &Collection,
    what: String,
    concern: &RawDocument,
) -> Result<()> {
    create_from(server, namespace, collection, what, concern, false).await
}

/// The same, where it may be `again`: a process that was killed has left the command to the server, which comes to it late.
async fn create_from(
    server: &Server,
    namespace: &Namespace,
    collection: &Collection,
    what: String,
    concern: &RawDocument,
    again: bool,
) -> Result<()> {
    let mut command = RawBuilder::new();
    command.string("create", namespace.collection());
    for option in document::elements(&collection.options) {
        let option = option.map_err(|malformed| Error::from(malformed).at(format!("options of {namespace}")))?;
        if !NOT_CREATED.contains(&option.name) {
            command.append(&option);
        }
    }
    command.document("writeConcern", concern.as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    let doing = Doing::new(what, "createCollection", namespace.database());
    // A create that was retried meets its own first attempt.
    ddl_from(server, namespace, command, &doing, &[NAMESPACE_EXISTS], again).await
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
    ddl_from(server, namespace, command, doing, done, false).await
}

/// The same for a command that a process before this one may have run already: each of `done` says so.
pub(crate) async fn ddl_again(
    server: &Server,
    namespace: &Namespace,
    command: RawDocumentBuf,
    doing: &Doing,
    done: &[i32],
) -> Result<()> {
    ddl_from(server, namespace, command, doing, done, true).await
}

async fn ddl_from(
    server: &Server,
    namespace: &Namespace,
    command: RawDocumentBuf,
    doing: &Doing,
    done: &[i32],
    mut retried: bool,
) -> Result<()> {
    let mut patience = server.patience();
    loop {
        let database = server.database(namespace.database());
        match server.watched(database.run_raw_command(command.clone())).await {
            Ok(reply) => match write_concern_error(&reply) {
                None => return Ok(()),
                Some((code, _)) if patience.wait(retry_code(code)).await => retried = true,
                Some((code, text)) => {
                    let message = format!("failed to {doing} as the write concern wants it: {text}");
                    return Err(Error::new(kind_of(code), message).at(server.place()));
                }
            },
            Err(error) => match error.kind.as_ref() {
                DriverErrorKind::Command(command)
                    if done.contains(&command.code) && (retried || command.code == NAMESPACE_NOT_FOUND) =>
                {
                    return Ok(());
                }
                _ if patience.wait(retry(&error)).await => {
                    let ended = server.lost_write_ends(Some(&error), namespace.database(), &mut patience).await;
                    ended.map_err(|_| server.failure(error, doing))?;
                    retried = true;
                }
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
