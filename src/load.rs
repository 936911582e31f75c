//! Writes documents to a server: raw insert commands, and an account of every document in them.
//!
//! Each document of a batch ends up in exactly one count: inserted, duplicate, or refused. After a reply was lost, the
//! documents that turn out to be there already are compared byte by byte with ours, and only what differs counts as a
//! duplicate.

mod insert;
mod mixed_schema;
mod obstacle;
mod timestamps;
mod write_error;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bson::{Bson, Document, RawDocumentBuf};
use transload_format::Documents;

use crate::{
    connect::{Doing, Patience, Retry, Server, command_text, kind_of, retry, retry_code},
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
    rate::{Amount, RateLimit},
    report::Rejected,
};
pub(crate) use timestamps::putting_timestamps_back;

use insert::MOST;
use mixed_schema::MixedSchema;
use obstacle::Obstacle;
use write_error::WriteError;

/// Rejected documents that a report names for each batch.
const NAMED: usize = 10;

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

/// A collection of a server that documents are loaded into.
#[derive(Debug)]
pub(crate) struct Target {
    server: Server,
    namespace: Namespace,
    /// Whether the order of the documents is data, as in a capped collection.
    ordered: bool,
    /// Whether the user may put in what a validator refuses. That takes more than the role `readWrite`, which is all
    /// that is needed where there is no validator; so it is tried.
    bypasses: AtomicBool,
    /// Indexes that must not refuse a document.
    indexes: Obstacle,
    /// Whether all that the collection has came from the same archive: what is there already is what is sent again.
    is_resumed: bool,
    /// Whether a time series has been made one that may have buckets of several types.
    mixed_schema: MixedSchema,
    /// How fast it may be loaded, together with others.
    limit: Option<Arc<RateLimit>>,
}

impl Target {
    /// The collection `namespace` of `server`.
    pub(crate) fn new(server: Server, namespace: Namespace, ordered: bool) -> Self {
        let (bypasses, indexes) = (AtomicBool::new(true), Obstacle::none());
        Target {
            server,
            namespace,
            ordered,
            bypasses,
            indexes,
            is_resumed: false,
            mixed_schema: MixedSchema::default(),
            limit: None,
        }
    }

    /// The same collection, which has indexes that are dropped when they refuse a document.
    pub(crate) fn with_indexes(self) -> Self {
        Target { indexes: Obstacle::there(), ..self }
    }

    /// The same collection, into which a load before this one may have put some of the documents already.
    pub(crate) fn resumed(self) -> Self {
        Target { is_resumed: true, ..self }
    }

    /// The same collection, which is loaded no faster.
    pub(crate) fn held_to(self, limit: Option<Arc<RateLimit>>) -> Self {
        Target { limit, ..self }
    }

    /// Its name.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Inserts the documents of a batch, unordered, or in their order where that is data.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses the command as such. A document that it refuses is no error but
    /// counted.
    pub(crate) async fn load(&self, documents: &[u8]) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let (mut held, mut bytes) = (Vec::new(), 0);
        let most = self.limit.as_ref().map_or(Amount::ANY, |limit| limit.step()).min(MOST);
        for document in Documents::new(documents) {
            let document = document.map_err(|problem| {
                let message = format!("the batch is malformed: {problem}");
                Error::new(ErrorKind::Damaged, message).at(self.namespace.to_string())
            })?;
            if !held.is_empty() && (bytes + document.len() as u64 > most.bytes || held.len() as u64 >= most.documents) {
                self.send_in_time(std::mem::take(&mut held), &mut loaded).await?;
                bytes = 0;
            }
            bytes += document.len() as u64;
            held.push(document);
        }
        self.send_in_time(held, &mut loaded).await?;
        Ok(loaded)
    }

    /// Sends documents when there is time for them.
    async fn send_in_time(&self, documents: Vec<&[u8]>, loaded: &mut Loaded) -> Result<()> {
        if let Some(limit) = &self.limit {
            let bytes = documents.iter().map(|document| document.len() as u64).sum();
            limit.take(Amount { documents: documents.len() as u64, bytes }).await;
        }
        self.send(documents, loaded).await
    }

    /// Sends documents until the fate of each is known.
    ///
    /// After a lost reply, what has arrived is looked up, and the rest is sent. One that has arrived goes with it:
    /// the reply to that one says that a majority has what came before it.
    async fn send(&self, mut pending: Vec<&[u8]>, loaded: &mut Loaded) -> Result<()> {
        let doing = Doing::new(format!("insert into {}", self.namespace), "insert", self.namespace.database());
        let mut patience = self.server.patience();
        let (mut lost, mut allowed_mixed) = (false, false);
        while !pending.is_empty() {
            let (bypass, has_indexes) = (self.bypasses(), self.indexes.is_there());
            let command = insert::command(self, bypass, &pending)?;
            let reply = match self.attempt(command, &doing, &mut patience).await {
                Err(error) if bypass && error.kind() == ErrorKind::Authorization => {
                    self.bypasses.store(false, Ordering::Relaxed);
                    continue;
                }
                reply => reply?,
            };
            let Some(reply) = reply else {
                lost = true;
                let there = Found::read(self, &pending).await?;
                let mut all_so_far = true;
                let (mut arrived, rest): (Vec<_>, Vec<_>) = pending.into_iter().partition(|document| {
                    let has = there.has(document);
                    all_so_far &= has;
                    if self.ordered { all_so_far } else { has }
                });
                let again = arrived.pop();
                loaded.inserted += arrived.len() as u64;
                pending = again.into_iter().chain(rest).collect();
                continue;
            };
            let mut errors = WriteError::all(&reply, pending.len())?;
            let tried = match errors.keys().min() {
                // The documents behind the first that failed were not tried.
                Some(first) if self.ordered => first + 1,
                _ => pending.len(),
            };
            let inserted = reply.get_i32("n").ok().and_then(|n| usize::try_from(n).ok());
            if inserted != Some(tried - errors.len()) {
                let message = format!(
                    "the server counts {inserted:?} documents inserted into {}, not {}",
                    self.namespace,
                    tried - errors.len()
                );
                return Err(Error::new(ErrorKind::Server, message).at(self.server.place()));
            }
            let mut rest = pending.split_off(tried);
            if has_indexes && errors.values().any(WriteError::may_be_of_an_index) {
                self.indexes.remove(&self.server, &self.namespace).await?;
                let (done, again) = WriteError::apart(pending, &mut errors, WriteError::may_be_of_an_index);
                pending = done;
                rest.extend(again);
            }
            let refused_buckets = errors.values().any(|error| error.is_mixed_schema);
            if refused_buckets && !allowed_mixed && self.mixed_schema.allow(&self.server, &self.namespace).await? {
                allowed_mixed = true;
                let (done, again) = WriteError::apart(pending, &mut errors, |error| error.is_mixed_schema);
                pending = done;
                rest.extend(again);
            }
            self.account(&pending, &mut errors, lost, loaded).await?;
            pending = rest;
        }
        Ok(())
    }

    /// Puts each document that was tried into its count. After a lost reply, one that is there already may be ours.
    async fn account(
        &self,
        documents: &[&[u8]],
        errors: &mut HashMap<usize, WriteError>,
        lost: bool,
        loaded: &mut Loaded,
    ) -> Result<()> {
        let keeps = self.server.version().keeps_empty_timestamps();
        let there = if lost {
            let duplicates = documents.iter().enumerate();
            let duplicates = duplicates.filter(|(at, _)| errors.get(at).is_some_and(|error| error.is_duplicate_id));
            let duplicates: Vec<_> = duplicates.map(|(_, document)| *document).collect();
            Found::read(self, &duplicates).await?
        } else {
            Found::default()
        };
        let mut replaced = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            match errors.remove(&index) {
                Some(error) if error.is_duplicate_id && self.is_resumed => {
                    loaded.inserted += 1;
                    if !keeps && document::has_empty_timestamp(document) {
                        replaced.push(*document);
                    }
                }
                Some(error) if error.is_duplicate_id => {
                    if there.has(document) {
                        loaded.inserted += 1;
                    } else if !keeps && there.has_but_for_clock(document) {
                        loaded.inserted += 1;
                        replaced.push(*document);
                    } else {
                        loaded.duplicates += 1;
                        let reason = "the target has a document with this _id".to_owned();
                        loaded.reject(&self.namespace, document, reason);
                    }
                }
                Some(error) => {
                    loaded.refused += 1;
                    loaded.reject(&self.namespace, document, error.reason);
                }
                None => {
                    loaded.inserted += 1;
                    if !keeps && document::has_empty_timestamp(document) {
                        replaced.push(*document);
                    }
                }
            }
        }
        timestamps::put_back(self, &replaced, loaded).await
    }

    fn bypasses(&self) -> bool {
        self.bypasses.load(Ordering::Relaxed)
    }

    /// Runs a write command once. No reply means that its outcome is not known, or not known to be durable, and that
    /// it is time for another attempt.
    async fn attempt(
        &self,
        command: RawDocumentBuf,
        doing: &Doing,
        patience: &mut Patience,
    ) -> Result<Option<Document>> {
        let server = &self.server;
        let database = server.database(self.namespace.database());
        let reply = match server.watched(database.run_raw_command(command)).await {
            Ok(reply) => reply,
            Err(error) if patience.wait(retry(&error)).await => {
                let ended = server.lost_write_ends(Some(&error), self.namespace.database(), patience).await;
                return ended.map(|()| None).map_err(|_| server.failure(error, doing));
            }
            Err(error) => return Err(server.failure(error, doing)),
        };
        let Some((code, concern)) = failed(&reply) else {
            return Ok(Some(reply));
        };
        let wait = retry_code(code);
        if wait == Retry::Stop && !concern {
            // About single documents, which are accounted for one by one.
            return Ok(Some(reply));
        }
        if patience.wait(wait).await {
            server.lost_write_ends(None, self.namespace.database(), patience).await?;
            return Ok(None);
        }
        let text = command_text(code, if concern { "WriteConcernFailed" } else { "" }, "");
        Err(Error::new(kind_of(code), format!("failed to {doing} as the write concern wants it: {text}"))
            .at(server.place()))
    }
}

/// The code that speaks against a reply as a whole, and whether it is the write concern's: that, or a document's that
/// another attempt may cure, as when the primary stepped down in the middle.
fn failed(reply: &Document) -> Option<(i32, bool)> {
    let code = |error: &Document| error.get_i32("code").unwrap_or(0);
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let mut codes = errors.iter().filter_map(Bson::as_document).map(code);
    let passing = codes.find(|code| retry_code(*code) != Retry::Stop).map(|code| (code, false));
    passing.or_else(|| reply.get_document("writeConcernError").ok().map(|error| (code(error), true)))
}

/// The documents that the server has under the `_id`s of ours.
#[derive(Default)]
struct Found(HashMap<Vec<u8>, Vec<u8>>);

impl Found {
    async fn read(target: &Target, documents: &[&[u8]]) -> Result<Self> {
        let (server, namespace) = (&target.server, &target.namespace);
        if documents.is_empty() {
            return Ok(Found::default());
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
        let command = RawDocumentBuf::from_bytes(find.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let doing = Doing::new(format!("read back from {namespace}"), "find", namespace.database());
        let found = server.documents(namespace.database(), command, &doing).await?.into_iter();
        Ok(Found(found.filter_map(|theirs| Some((document::id(&theirs)?.whole.to_vec(), theirs))).collect()))
    }

    fn under_id_of(&self, document: &[u8]) -> Option<&[u8]> {
        self.0.get(document::id(document)?.whole).map(Vec::as_slice)
    }

    /// Whether the server has the document, byte by byte.
    fn has(&self, document: &[u8]) -> bool {
        self.under_id_of(document) == Some(document)
    }

    /// Whether it has the document, but for empty timestamps that it has replaced by its clock.
    fn has_but_for_clock(&self, document: &[u8]) -> bool {
        self.under_id_of(document).is_some_and(|theirs| timestamps::equal_but_for_clock(document, theirs))
    }
}
