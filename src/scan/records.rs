//! Documents in natural order: by the numbers of their records, which one member of a replica set gives them as they come.
//!
//! Along the index on `_id` a server looks up each document by itself. Where `_id`s come in no order (UUIDs, hashes) and the
//! documents do not fit into its cache, that is a page from the disk for each of them, and many times as slow as to read page after
//! page. So such a collection is read in natural order, in parts, and goes on behind any record with `$_resumeAfter`, which servers
//! have since 4.4.
//!
//! In return the order is that of one member alone: nobody else can go on with a part. And where a document is deleted while a
//! collection is read, and inserted anew, it has another record then: only what is read as of one time has each document once.

use std::{collections::HashMap, iter, sync::Arc};

use bson::{RawDocumentBuf, rawdoc};
use futures_util::StreamExt;
use mongodb::{
    error::{Error as DriverError, ErrorKind as DriverErrorKind},
    raw_batch_cursor::{RawBatch, RawBatchCursor},
};

use crate::{
    catalog::Entry,
    connect::{Doing, Server, batch_documents},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// The record behind which a scan was to go on is gone (`KeyNotFound`).
const RECORD_GONE: i32 = 211;
/// Documents of a reply, where their records are looked up.
const LOOKED_UP: i32 = 1000;

/// A range of the records of a collection, as one member numbers them.
#[derive(Clone, Debug)]
pub struct Records {
    member: Server,
    /// The last record before the first one; none for the beginning.
    after: Option<i64>,
    /// The last one; none for the end.
    upto: Option<i64>,
    /// Records that were there, in their order: one of them to begin behind, where `after` is gone.
    known: Arc<[i64]>,
}

/// The ranges that end with these records, the last one at the end. They cover all, and do not overlap.
pub(super) fn between(member: &Server, ends: &[i64], known: Arc<[i64]>) -> Vec<Records> {
    let afters = iter::once(None).chain(ends.iter().copied().map(Some));
    let uptos = ends.iter().copied().map(Some).chain(iter::once(None));
    let of = |(after, upto)| Records { member: member.clone(), after, upto, known: Arc::clone(&known) };
    afters.zip(uptos).map(of).collect()
}

/// The records of the documents with these `_id`s that are there, in the order of the `_id`s, each with its place among `ids`. None where
/// the server does not tell them.
///
/// # Errors
/// When the server cannot be reached or does not permit to read.
pub(super) async fn of_ids(member: &Server, entry: &Entry, ids: &[&[u8]]) -> Result<Option<Vec<(i64, usize)>>> {
    let places: HashMap<&[u8], usize> =
        ids.iter().enumerate().filter_map(|(at, id)| Some((document::id(id)?.whole, at))).collect();
    let mut find = RawBuilder::new();
    find.string("find", entry.data.collection()).int32("batchSize", 100_000);
    find.embed("filter", |filter| {
        filter.embed("_id", |of| {
            of.embed_array("$in", |list| {
                for (at, id) in ids.iter().filter_map(|id| document::id(id)).enumerate() {
                    list.append_renamed(&id, at.to_string());
                }
            });
        });
    });
    show_records(&mut find);
    for name in ["hint", "sort"] {
        find.embed(name, |along| {
            along.int32("_id", 1);
        });
    }
    let find = RawDocumentBuf::from_bytes(find.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, format!("a bad command of our own: {error}")))?;
    let doing = Doing::new(format!("look up records of {}", entry.data), "find", entry.data.database());
    let found = member.documents(entry.data.database(), find, &doing).await?;
    let known = |found: &Vec<u8>| Some((record(found)?, *places.get(document::id(found)?.whole)?));
    Ok(found.iter().map(known).collect())
}

/// Whether that member tells how far it has read.
///
/// # Errors
/// When it cannot be reached or does not permit to read.
pub(super) async fn are_told(member: &Server, entry: &Entry) -> Result<bool> {
    let doing = Doing::new(format!("read {}", entry.data), "find", entry.data.database());
    let find = rawdoc! {
        "find": entry.data.collection(),
        "projection": { "_id": 1 },
        "hint": { "$natural": 1 },
        "$_requestResumeToken": true,
        "limit": 1,
        "singleBatch": true,
    };
    let reply = match member.run(entry.data.database(), find, &doing).await {
        Err(error) if error.kind() == ErrorKind::Server => return Ok(false),
        reply => reply?,
    };
    let token = reply.get_document("cursor").and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    Ok(token.is_ok_and(|token| token.get_i64("$recordId").is_ok()))
}

/// Asks for `{_id: …, $recordId: …}` of each document.
fn show_records(find: &mut RawBuilder) {
    find.embed("projection", |projection| {
        projection.int32("_id", 1);
    });
    find.bool("showRecordId", true);
}

/// The record of a document that is shown with it, or of a resume token.
fn record(shown: &[u8]) -> Option<i64> {
    let record = document::find(shown, b"$recordId").filter(|record| record.kind == kind::INT64)?;
    Some(i64::from_le_bytes(record.value.try_into().ok()?))
}

/// The last record that a reply has read; none at the end.
fn read_to(reply: &RawBatch) -> Option<i64> {
    let cursor = document::find(reply.as_raw_document().as_bytes(), b"cursor")?;
    record(document::find(cursor.value, b"postBatchResumeToken")?.value)
}

/// Whether a cursor was refused because the record that it was to go on behind is gone.
fn is_gone(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), DriverErrorKind::Command(command) if command.code == RECORD_GONE)
}

/// Where a scan of records stands.
#[derive(Debug)]
pub(super) struct Place<'a> {
    records: &'a Records,
    /// The last record that was read, and all before it.
    last: Option<i64>,
    /// Whether that was the last one of the range.
    is_over: bool,
}

impl<'a> Place<'a> {
    /// Before the first one.
    pub(super) fn before(records: &'a Records) -> Self {
        Place { records, last: records.after, is_over: records.upto.is_some_and(|upto| Some(upto) == records.after) }
    }

    /// The member that has them.
    pub(super) fn member(&self) -> &'a Server {
        &self.records.member
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Opens a cursor behind the last record: behind the nearest one before it that is there, if it is gone. `find` is the beginning of
    /// a find command, without an order.
    pub(super) async fn open(
        &self,
        entry: &Entry,
        find: &RawBuilder,
        size: i32,
    ) -> mongodb::error::Result<RawBatchCursor> {
        match (self.cursor(entry, behind(find, self.last), size).await, self.last) {
            (Err(error), Some(last)) if is_gone(&error) => {
                let there = self.walk(entry, find, last, |_| {}).await?;
                self.cursor(entry, behind(find, there), size).await
            }
            (opened, _) => opened,
        }
    }

    /// How many documents of a reply are of the range. `find` is the command of [`open`](Self::open).
    pub(super) async fn take(
        &mut self,
        entry: &Entry,
        find: &RawBuilder,
        reply: &RawBatch,
    ) -> mongodb::error::Result<usize> {
        let documents: Vec<&[u8]> = batch_documents(reply).map_err(malformed)?.collect();
        let last = read_to(reply);
        if last.is_none() && !documents.is_empty() {
            return Err(DriverError::custom("the server does not tell how far it has read"));
        }
        let Some(upto) = self.records.upto.filter(|upto| last.is_none_or(|last| last >= *upto)) else {
            self.last = last.or(self.last);
            return Ok(documents.len());
        };
        let mut taken = documents.len();
        if last != Some(upto) {
            // Those up to the last one that is there and of the range. Behind it, those of the range have been deleted since, and
            // those of the next one are not to come twice.
            let id = |(at, document): (usize, &&[u8])| Some((document::id(document)?.whole.to_vec(), at));
            let places: HashMap<Vec<u8>, usize> = documents.iter().enumerate().filter_map(id).collect();
            taken = 0;
            let take = |shown: &[u8]| {
                let at = document::id(shown).and_then(|id| places.get(id.whole));
                taken = at.map_or(taken, |at| taken.max(at + 1));
            };
            self.walk(entry, find, upto, take).await?;
        }
        self.is_over = true;
        Ok(taken)
    }

    /// Goes through the documents behind the last record that was read up to `end`, each with its `_id` alone; from farther before, if that
    /// record is gone. Gives the last record up to `end` that is there.
    async fn walk(
        &self,
        entry: &Entry,
        find: &RawBuilder,
        end: i64,
        mut each: impl FnMut(&[u8]),
    ) -> mongodb::error::Result<Option<i64>> {
        for from in self.candidates() {
            let mut find = behind(find, from);
            show_records(&mut find);
            let mut cursor = match self.cursor(entry, find, LOOKED_UP).await {
                Err(error) if is_gone(&error) => continue,
                opened => opened?,
            };
            let mut there = from;
            while let Some(reply) = self.member().watched(async { cursor.next().await.transpose() }).await? {
                for shown in batch_documents(&reply).map_err(malformed)? {
                    let number =
                        record(shown).ok_or_else(|| DriverError::custom("the server does not show records"))?;
                    if number > end {
                        return Ok(there);
                    }
                    there = Some(number);
                    each(shown);
                }
            }
            return Ok(there);
        }
        Ok(None)
    }

    /// Records to begin behind: the last one that was read, others before it, farther back each time, and at last the beginning.
    fn candidates(&self) -> impl Iterator<Item = Option<i64>> {
        let known = &self.records.known;
        let before = self.last.map_or(0, |last| known.partition_point(|known| *known < last));
        let steps = iter::successors(Some(1_usize), |step| step.checked_mul(2));
        let back = steps.map_while(move |step| known.get(before.checked_sub(step)?).copied());
        self.last.into_iter().chain(back).map(Some).chain(iter::once(None))
    }

    async fn cursor(&self, entry: &Entry, mut find: RawBuilder, size: i32) -> mongodb::error::Result<RawBatchCursor> {
        let member = self.member();
        let database = member.database(entry.data.database());
        let find = RawDocumentBuf::from_bytes(find.int32("batchSize", size).finish())?;
        let run = database.run_raw_cursor_command(find).batch_size(size.unsigned_abs());
        member.watched(run.selection_criteria(member.reads()).batch()).await
    }
}

/// A find command in natural order, behind a record.
fn behind(find: &RawBuilder, record: Option<i64>) -> RawBuilder {
    let mut find = find.clone();
    find.embed("hint", |hint| {
        hint.int32("$natural", 1);
    });
    find.bool("$_requestResumeToken", true);
    if let Some(record) = record {
        find.embed("$_resumeAfter", |after| {
            after.int64("$recordId", record);
        });
    }
    find
}

fn malformed(error: Error) -> DriverError {
    DriverError::custom(error.message().to_owned())
}
