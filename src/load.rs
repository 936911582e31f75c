//! Writes documents to a server: raw insert commands, and an account of every document in them.
//!
//! Each document of a batch ends up in exactly one count: inserted, duplicate, or refused. A command whose reply was
//! lost is sent again; the documents that then turn out to be there already are compared byte by byte with ours, and
//! only what differs counts as a duplicate.

mod insert;
mod timestamps;

use std::collections::HashMap;

use bson::{Bson, Document};
use transload_format::Documents;

use crate::{
    connect::{Doing, Retry, Server, command_text, retry, retry_code},
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
    report::Rejected,
};
use insert::InsertCommand;

/// Rejected documents that a report names for each batch.
const NAMED: usize = 10;
const DUPLICATE_KEY: i32 = 11000;

/// What became of the documents of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// Documents that the target has now, as they were in the batch.
    pub(crate) inserted: u64,
    /// Documents whose `_id` the target had already.
    pub(crate) duplicates: u64,
    /// Documents that the target refused.
    pub(crate) refused: u64,
    /// The first that were not inserted.
    pub(crate) rejected: Vec<Rejected>,
}

impl Loaded {
    /// Adds what became of another batch.
    pub(crate) fn add(&mut self, other: Loaded) {
        self.inserted += other.inserted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        let room = NAMED.saturating_sub(self.rejected.len());
        self.rejected.extend(other.rejected.into_iter().take(room));
    }

    fn reject(&mut self, namespace: &Namespace, document: &[u8], reason: String) {
        if self.rejected.len() < NAMED {
            let id = document::id(document).map_or_else(|| "(none)".to_owned(), |id| extjson::value(&id));
            self.rejected.push(Rejected { namespace: namespace.clone(), id, reason });
        }
    }
}

/// Inserts the documents of a batch, unordered, or in their order for a capped collection.
///
/// # Errors
/// When the server cannot be reached, or refuses the command as such. A document that it refuses is no error but
/// counted.
pub(crate) async fn load(server: &Server, namespace: &Namespace, documents: &[u8], ordered: bool) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut command = InsertCommand::new(server, namespace, ordered);
    let mut held: Vec<&[u8]> = Vec::new();
    for document in Documents::new(documents) {
        let document = document.map_err(|problem| {
            Error::new(ErrorKind::Damaged, format!("the batch is malformed: {problem}")).at(namespace.to_string())
        })?;
        if command.is_full_before(document) {
            loaded.add(send(server, namespace, &command, &held).await?);
            command.clear();
            held.clear();
        }
        command.push(document);
        held.push(document);
    }
    if !held.is_empty() {
        loaded.add(send(server, namespace, &command, &held).await?);
    }
    Ok(loaded)
}

/// Sends a command until its outcome is known, and accounts for each of its documents.
async fn send(server: &Server, namespace: &Namespace, command: &InsertCommand, documents: &[&[u8]]) -> Result<Loaded> {
    let doing = Doing::new(format!("insert into {namespace}"), "insert", namespace.database());
    let mut patience = server.patience();
    let mut repeated = false;
    let reply = loop {
        let database = server.database(namespace.database());
        let wait = match database.run_raw_command(command.finish()?).await {
            Ok(reply) => match write_concern_code(&reply) {
                None => break reply,
                Some(code) if retry_code(code) != Retry::Stop => retry_code(code),
                Some(code) => {
                    let text = command_text(code, "WriteConcernFailed", "");
                    let message = format!("failed to {doing} as the write concern wants it: {text}");
                    return Err(Error::new(ErrorKind::Server, message).at(server.place()));
                }
            },
            Err(error) if patience.wait(retry(&error)).await => {
                repeated = true;
                continue;
            }
            Err(error) => return Err(server.failure(error, &doing)),
        };
        if !patience.wait(wait).await {
            return Err(
                Error::new(ErrorKind::Unreachable, format!("failed to {doing}: no majority")).at(server.place())
            );
        }
        repeated = true;
    };
    let errors = WriteError::all(&reply, documents.len())?;
    let mut loaded = Loaded { inserted: (documents.len() - errors.len()) as u64, ..Loaded::default() };
    let inserted = reply.get_i32("n").ok().and_then(|n| u64::try_from(n).ok());
    if inserted != Some(loaded.inserted) {
        let message =
            format!("the server counts {inserted:?} documents inserted into {namespace}, not {}", loaded.inserted);
        return Err(Error::new(ErrorKind::Server, message).at(server.place()));
    }
    account(server, namespace, documents, errors, repeated, &mut loaded).await?;
    Ok(loaded)
}

/// Puts each document that was not inserted into its count.
async fn account(
    server: &Server,
    namespace: &Namespace,
    documents: &[&[u8]],
    errors: HashMap<usize, WriteError>,
    repeated: bool,
    loaded: &mut Loaded,
) -> Result<()> {
    let there_already: Vec<&[u8]> = documents
        .iter()
        .enumerate()
        .filter(|(index, _)| errors.get(index).is_some_and(|error| error.is_duplicate_id))
        .map(|(_, document)| *document)
        .collect();
    let equal = if repeated { equal_on_server(server, namespace, &there_already).await? } else { Vec::new() };
    for (index, document) in documents.iter().enumerate() {
        match errors.get(&index) {
            None => {}
            Some(error) if error.is_duplicate_id && equal.contains(document) => loaded.inserted += 1,
            Some(error) if error.is_duplicate_id => {
                loaded.duplicates += 1;
                loaded.reject(namespace, document, "the target has a document with this _id".to_owned());
            }
            Some(error) => {
                loaded.refused += 1;
                loaded.reject(namespace, document, error.reason.clone());
            }
        }
    }
    let taken =
        documents.iter().enumerate().filter(|(index, _)| !errors.contains_key(index)).map(|(_, document)| *document);
    if !server.version().keeps_empty_timestamps() {
        let replaced: Vec<&[u8]> = taken.filter(|document| document::has_empty_timestamp(document)).collect();
        timestamps::put_back(server, namespace, &replaced, loaded).await?;
    }
    Ok(())
}

/// Those of `documents` that the server has, byte by byte.
async fn equal_on_server<'a>(server: &Server, namespace: &Namespace, documents: &[&'a [u8]]) -> Result<Vec<&'a [u8]>> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let mut find = RawBuilder::new();
    find.string("find", namespace.collection());
    find.embed("filter", |filter| {
        filter.embed("_id", |condition| {
            condition.embed_array("$in", |ids| {
                let all = documents.iter().filter_map(|document| document::id(document));
                for (number, id) in all.enumerate() {
                    ids.append_renamed(&id, number.to_string());
                }
            });
        });
    });
    let command = bson::RawDocumentBuf::from_bytes(find.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let doing = Doing::new(format!("read back from {namespace}"), "find", namespace.database());
    let found: std::collections::HashSet<Vec<u8>> =
        server.documents(namespace.database(), command, &doing).await?.into_iter().collect();
    Ok(documents.iter().copied().filter(|document| found.contains(*document)).collect())
}

/// Why one document was not inserted.
struct WriteError {
    is_duplicate_id: bool,
    reason: String,
}

impl WriteError {
    /// The errors of a reply, by the index of their document.
    fn all(reply: &Document, documents: usize) -> Result<HashMap<usize, WriteError>> {
        let malformed = || Error::new(ErrorKind::Server, "the server's reply names a document that was not sent");
        let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let one = |error: &Bson| {
            let error = error.as_document().ok_or_else(malformed)?;
            let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
            let index = index.filter(|index| *index < documents).ok_or_else(malformed)?;
            Ok((index, WriteError::new(error)))
        };
        errors.iter().map(one).collect()
    }

    fn new(error: &Document) -> Self {
        let code = error.get_i32("code").unwrap_or(0);
        let message = error.get_str("errmsg").unwrap_or_default();
        let keys = error.get_document("keyPattern").ok();
        let on_id = keys.is_none_or(|keys| keys.len() == 1 && keys.contains_key("_id"));
        let reason = match keys {
            Some(keys) if code == DUPLICATE_KEY => {
                let fields: Vec<_> = keys.keys().map(String::as_str).collect();
                format!("another document has the same key of the unique index on {}", fields.join(", "))
            }
            _ => command_text(code, error.get_str("codeName").unwrap_or_default(), message),
        };
        WriteError { is_duplicate_id: code == DUPLICATE_KEY && on_id, reason }
    }
}

fn write_concern_code(reply: &Document) -> Option<i32> {
    reply.get_document("writeConcernError").ok().map(|error| error.get_i32("code").unwrap_or(0))
}
