//! Follows a cursor through one part, and opens it again after its last document whenever it breaks.
//!
//! Any error ends a cursor: polling the driver's stream once more would skip a batch. So the part goes on with a new
//! one, behind the last document that was delivered, and each document comes exactly once.

use futures_util::StreamExt;
use mongodb::{
    error::ErrorKind as DriverErrorKind,
    raw_batch_cursor::{RawBatch, RawBatchCursor},
};

use super::{
    Bounds,
    history::past,
    records::{Place, Records},
};
use crate::{
    catalog::{Entry, Order, uuid_of},
    connect::{AsOf, Doing, NO_MAJORITY_READS, Patience, Retry, Server, batch_documents, command, retry},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    rate::Amount,
};

/// Bytes that a reply of the server should have. A reply exists twice for a moment, once for each cursor.
pub(crate) const REPLY_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a reply that servers do not exceed, but for one document that is as large.
pub(crate) const LARGEST_REPLY: u64 = 16 * 1024 * 1024;
/// Bytes that a document is taken to have when its size is not known.
const DOCUMENT_BYTES: u64 = 4 * 1024;
/// The most documents of a reply.
const REPLY_DOCUMENTS: u64 = 100_000;
/// Documents of a reply of which the `_id`s alone are wanted.
const IDS_OF_A_REPLY: i32 = 20_000;

/// The number of an error that the server has answered with.
fn code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        DriverErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// What ends a cursor.
#[derive(Debug)]
pub(super) enum Broken {
    /// What the server or the way to it has failed with: another cursor may do.
    Cursor(mongodb::error::Error),
    /// What no other cursor would mend.
    ForGood(Error),
}

impl From<mongodb::error::Error> for Broken {
    fn from(error: mongodb::error::Error) -> Self {
        Broken::Cursor(error)
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::ForGood(error)
    }
}

/// A part being read.
#[allow(missing_debug_implementations, reason = "the driver's cursor has none")]
pub struct PartScan<'a> {
    server: &'a Server,
    entry: &'a Entry,
    bounds: &'a Bounds,
    /// The cluster time that what is read must not be older than.
    low: u64,
    /// Whether the part is read as it was at `low`, so that it is of that one time, however long it takes.
    at_one_time: bool,
    /// Whether the server tells what a majority has.
    knows_majority: bool,
    /// Whether to fail rather than to read what is not of that one time.
    or_fail: bool,
    /// Bytes that a document has, in the mean.
    average: u64,
    batch_size: i32,
    cursor: Option<RawBatchCursor>,
    /// The last document delivered: its `{_id: …}`, or the whole of it where it has no `_id`.
    last: Option<Vec<u8>>,
    /// Whether the cursor was opened with `min` and without `max`.
    open_above: bool,
    /// Whether what is read is the document under `MaxKey` alone.
    at_max_key: bool,
    /// In natural order after a restart: documents up to the last one are still to be passed over.
    passing: bool,
    /// Where it stands among the records of a member, if it is read in their order.
    place: Option<Place<'a>>,
    /// Whether the `_id`s alone are read, which the index has.
    ids_only: bool,
    /// Whether the collection is not what it was when its scan began.
    is_lost: bool,
    patience: Patience,
}

/// Documents of a reply that were not delivered before; none of them may be new.
#[derive(Debug)]
pub struct Delivered {
    reply: RawBatch,
    skip: usize,
    /// How many of the others are of the part.
    take: usize,
}

impl Delivered {
    /// The documents, in the order of the server.
    ///
    /// # Errors
    /// When the reply is malformed.
    pub fn documents(&self) -> Result<impl Iterator<Item = &[u8]>> {
        Ok(batch_documents(&self.reply)?.skip(self.skip).take(self.take))
    }

    /// How many documents were read for them, and of how many bytes: with those that had been delivered before.
    ///
    /// # Errors
    /// As [`documents`](Self::documents).
    pub(crate) fn amount(&self) -> Result<Amount> {
        Ok(batch_documents(&self.reply)?.fold(Amount::default(), |sum, document| Amount {
            documents: sum.documents + 1,
            bytes: sum.bytes + document.len() as u64,
        }))
    }

    /// The reply that they stand in.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.reply.as_raw_document().as_bytes()
    }
}

impl<'a> PartScan<'a> {
    /// A scan of the documents between `bounds`: as they were at the cluster time `low`, where the server can (5.0+, but
    /// no capped collections), or at that time or later; 0 for whenever. A secondary that is behind waits until it has come
    /// that far. Which of the two it was, [`is_of_one_time`](Self::is_of_one_time) tells in the end.
    pub fn new(server: &'a Server, entry: &'a Entry, bounds: &'a Bounds, low: u64) -> Self {
        let average = match (entry.bytes, entry.documents) {
            (Some(bytes), Some(documents)) if documents > 0 => (bytes / documents).max(1),
            _ => DOCUMENT_BYTES,
        };
        PartScan {
            server,
            entry,
            bounds,
            low,
            at_one_time: low != 0 && entry.order == Order::Id && server.version().reads_as_of_a_time(),
            knows_majority: true,
            or_fail: false,
            average,
            batch_size: documents_of(REPLY_BYTES / average),
            cursor: None,
            last: None,
            open_above: false,
            at_max_key: entry.order == Order::Id && bounds.lower.as_deref().is_some_and(is_max_key),
            passing: false,
            place: None,
            ids_only: false,
            is_lost: false,
            patience: server.patience(),
        }
    }

    /// The same of the documents behind `last`: those up to it were delivered by a scan that is no more. What they were read
    /// as of is past, so the part is of no one time.
    #[must_use]
    pub(crate) fn behind(mut self, last: &[u8]) -> Self {
        (self.last, self.at_one_time) = (Some(key(last)), false);
        self.passing = self.entry.order == Order::Natural;
        self
    }

    /// The same of these records of the collection, instead of what is between bounds.
    #[must_use]
    pub(crate) fn of_records(self, records: &'a Records) -> Self {
        PartScan { server: records.server(), place: Some(Place::before(records)), ..self }
    }

    /// The same of whatever time: what is read may be later than `low`.
    #[must_use]
    pub(crate) fn at_any_time(self) -> Self {
        PartScan { at_one_time: false, ..self }
    }

    /// The same of `_id`s alone: each document comes as `{_id: …}`.
    #[must_use]
    pub fn of_ids(self) -> Self {
        PartScan { ids_only: true, batch_size: IDS_OF_A_REPLY, ..self }
    }

    /// The same in replies of about so many bytes, and of no more documents; of one document at least.
    #[must_use]
    pub(crate) fn in_replies_of(self, most: Amount) -> Self {
        let batch_size = documents_of((most.bytes / self.average).min(most.documents));
        PartScan { batch_size, ..self }
    }

    /// Bytes that its next reply is likely to have.
    pub(crate) fn likely_reply(&self) -> u64 {
        u64::from(self.batch_size.unsigned_abs()).saturating_mul(self.average).min(LARGEST_REPLY)
    }

    /// The same for a reader to whom only what was there at `low` is of use: the scan fails if the server cannot tell
    /// it. Then the order of the documents is no matter: all that the server reads at a time at all can be had.
    #[must_use]
    pub fn at_one_time_or_fail(mut self) -> Self {
        (self.at_one_time, self.or_fail) = (true, true);
        self
    }

    /// The next documents, or nothing at the end of the part.
    ///
    /// # Errors
    /// When the server refuses, or has not answered for as long as its [`Patience`] lasts.
    pub async fn next(&mut self) -> Result<Option<Delivered>> {
        loop {
            let batch = match self.advance().await {
                Ok(Some((reply, take))) if self.place.is_some() => Some(Delivered { reply, skip: 0, take }),
                Ok(Some((reply, _))) => self.deliver(reply)?,
                Ok(None) if self.passing => {
                    self.is_lost = true;
                    return Err(self.rolled_over());
                }
                Ok(None) if self.open_above => {
                    // To a server, `min` without `max` ends before MaxKey, which is an `_id` like any other.
                    (self.cursor, self.open_above, self.at_max_key) = (None, false, true);
                    continue;
                }
                Ok(None) => {
                    // A find on what is not there any more finds nothing, and that is no error to a server.
                    self.check_identity().await?;
                    return Ok(None);
                }
                Err(Broken::ForGood(error)) => return Err(error),
                Err(Broken::Cursor(error)) => {
                    self.cursor = None;
                    self.passing = self.entry.order == Order::Natural && self.last.is_some();
                    if self.at_one_time && !self.or_fail && retry(&error) == Retry::Stop {
                        // The server keeps no history that old any more (239 SnapshotTooOld), or the catalog has changed
                        // since (246 SnapshotUnavailable), or it never had one. If it is another trouble, it comes again.
                        self.at_one_time = false;
                        continue;
                    }
                    if self.knows_majority && code(&error) == Some(NO_MAJORITY_READS) {
                        self.knows_majority = false;
                        continue;
                    }
                    if !self.patience.wait(retry(&error)).await {
                        return Err(self.explained(error).await);
                    }
                    self.check_identity().await?;
                    continue;
                }
            };
            if let Some(batch) = batch {
                self.patience.progress();
                return Ok(Some(batch));
            }
        }
    }

    /// Whether it has failed because the collection is not what it was: it was dropped, renamed or made anew, or has rolled
    /// over. No scan of it can go on then.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    async fn check_identity(&mut self) -> Result<()> {
        let checked = check_identity(self.server, self.entry).await;
        self.is_lost |= matches!(&checked, Err(error) if error.kind() == ErrorKind::NotFound);
        checked
    }

    /// Whether all that was read was so at the cluster time that the scan was given.
    pub fn is_of_one_time(&self) -> bool {
        self.at_one_time
    }

    /// The next reply, and how many of its documents are of the part.
    async fn advance(&mut self) -> Result<Option<(RawBatch, usize)>, Broken> {
        if self.place.as_ref().is_some_and(Place::is_over) {
            return Ok(None);
        }
        // Nothing is behind MaxKey, and no range begins there.
        if self.cursor.is_none() && self.entry.order == Order::Id && self.last.as_deref().is_some_and(is_max_key) {
            self.open_above = false;
            return Ok(None);
        }
        if self.cursor.is_none() {
            self.cursor = Some(self.open().await?);
        }
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        let reply = self.server.watched(async { cursor.next().await.transpose() }).await?;
        let Some(reply) = reply else { return Ok(None) };
        let begun = self.begun();
        let taken = match &mut self.place {
            Some(place) => place.take(self.entry, &begun, &reply).await?,
            None => usize::MAX,
        };
        Ok(Some((reply, taken)))
    }

    /// Passes over what was delivered before a restart, and remembers the last document.
    fn deliver(&mut self, reply: RawBatch) -> Result<Option<Delivered>> {
        let mut documents = batch_documents(&reply)?;
        let mut skip = 0;
        if self.passing {
            let last = self.last.as_deref();
            match documents.position(|document| last == Some(&key(document))) {
                Some(found) => {
                    self.passing = false;
                    skip = found + 1;
                }
                // Nothing of it is new, but it was read, and whoever reads may be held to a rate.
                None => {
                    drop(documents);
                    let skip = batch_documents(&reply)?.count();
                    return Ok((skip > 0).then_some(Delivered { reply, skip, take: usize::MAX }));
                }
            }
        }
        match documents.last() {
            Some(last) => {
                self.last = Some(key(last));
                Ok(Some(Delivered { reply, skip, take: usize::MAX }))
            }
            None => Ok(None),
        }
    }

    async fn open(&mut self) -> Result<RawBatchCursor, Broken> {
        if let Some(place) = &self.place {
            return place.open(self.entry, &self.begun(), self.batch_size).await;
        }
        let has_min = self.last.is_some() || self.bounds.lower.is_some();
        self.open_above = self.entry.order == Order::Id && has_min && self.bounds.upper.is_none() && !self.at_max_key;
        let database = self.server.database(self.entry.data.database());
        let run = database.run_raw_cursor_command(command(self.find())?).batch_size(self.batch_size.unsigned_abs());
        Ok(self.server.watched(run.selection_criteria(self.server.reads()).batch()).await?)
    }

    /// What every find command begins with.
    fn begun(&self) -> RawBuilder {
        let mut find = RawBuilder::new();
        find.string("find", self.entry.data.collection());
        if self.low != 0 {
            let as_of = match (self.at_one_time, self.knows_majority) {
                (true, _) => AsOf::Time(self.low),
                (false, true) => AsOf::After(self.low),
                (false, false) => AsOf::AfterOfOne(self.low),
            };
            as_of.append_to(&mut find);
        }
        find
    }

    /// The find command. Parts are cut by `min` and `max` on the index: a filter by `$gte` would compare within one
    /// type only, and lose what is of another. The last document itself is passed over by the server's own idea of
    /// equality, which knows numbers of all types and the collection's collation.
    fn find(&self) -> Vec<u8> {
        let mut find = self.begun();
        find.int32("batchSize", self.batch_size);
        if self.ids_only {
            find.embed("projection", |projection| {
                projection.int32("_id", 1);
            });
        }
        match self.entry.order {
            Order::Natural => {
                find.embed("hint", |hint| {
                    hint.int32("$natural", 1);
                });
                if let Some(database) = &self.entry.of_database {
                    find.embed("filter", |filter| {
                        filter.string("db", database);
                    });
                }
            }
            Order::Id | Order::Nothing => {
                // The index is in that order; a router, which reads from several shards at once, keeps to it only if told.
                for name in ["hint", "sort"] {
                    find.embed(name, |along| {
                        along.int32("_id", 1);
                    });
                }
                if self.at_max_key {
                    find.embed("filter", |filter| {
                        filter.append_element(kind::MAX_KEY, "_id", &[]);
                    });
                    return find.finish();
                }
                let last = self.last.as_deref().and_then(document::id);
                if last.is_some() || self.entry.of_database.is_some() {
                    find.embed("filter", |filter| {
                        if let Some(id) = &last {
                            filter.embed("_id", |not| {
                                not.append_renamed(id, "$ne");
                            });
                        }
                        if let Some(database) = &self.entry.of_database {
                            filter.string("db", database);
                        }
                    });
                }
                if let Some(last) = &self.last {
                    find.document("min", last);
                } else if let Some(lower) = &self.bounds.lower {
                    find.document("min", lower);
                }
                if let Some(upper) = &self.bounds.upper {
                    find.document("max", upper);
                }
            }
        }
        find.finish()
    }

    /// What ended the part, in words for the user.
    async fn explained(&mut self, error: mongodb::error::Error) -> Error {
        const CAPPED_POSITION_LOST: i32 = 136;
        const QUERY_PLAN_KILLED: i32 = 175;
        let changed = match error.kind.as_ref() {
            DriverErrorKind::Command(command) if command.code == CAPPED_POSITION_LOST => {
                self.is_lost = true;
                Some(self.rolled_over())
            }
            // Of a collection that was dropped, as a rule.
            DriverErrorKind::Command(command) if command.code == QUERY_PLAN_KILLED => self.check_identity().await.err(),
            DriverErrorKind::Command(command) if self.or_fail => {
                past(self.server, self.entry, self.low, command.code).await
            }
            _ => None,
        };
        changed.unwrap_or_else(|| self.failure(error))
    }

    fn failure(&self, error: mongodb::error::Error) -> Error {
        let doing = Doing::new(format!("read {}", self.entry.data), "find", self.entry.data.database());
        self.server.failure(error, &doing)
    }

    fn rolled_over(&self) -> Error {
        Error::new(
            ErrorKind::Server,
            format!("{} has rolled over while it was read: the document read last is gone since", self.entry.data),
        )
        .with_hint("a capped collection must be read anew from its beginning: start again")
        .at(self.server.place())
    }
}

/// What a cursor finds must be what the catalog names, and what the cursors before it read: a collection of that name
/// may have been dropped, or made again, since.
pub(crate) async fn check_identity(server: &Server, entry: &Entry) -> Result<()> {
    let Some(uuid) = entry.uuid else {
        return Ok(());
    };
    // Not on a secondary, which may still have what the one that was read has dropped.
    if uuid_of(&server.reading_primary(), &entry.data).await? == Some(uuid) {
        return Ok(());
    }
    let message = format!("{} was dropped, renamed or made anew while it was read", entry.data);
    Err(Error::new(ErrorKind::NotFound, message).at(server.place()))
}

/// A number of documents that a server can be asked for.
fn documents_of(count: u64) -> i32 {
    i32::try_from(count.clamp(1, REPLY_DOCUMENTS)).unwrap_or(i32::MAX)
}

/// What a document is recognised by: its `_id`, or all of it where it has none.
fn key(document: &[u8]) -> Vec<u8> {
    match document::id(document) {
        Some(id) => RawBuilder::new().append(&id).finish(),
        None => document.to_vec(),
    }
}

fn is_max_key(key: &[u8]) -> bool {
    document::id(key).is_some_and(|id| id.kind == kind::MAX_KEY)
}
