//! Documents in natural order: by the numbers of their records, which one member of a replica set gives them as they come.
//!
//! Along the index on `_id` a server looks up each document by itself. Where `_id`s come in no order (UUIDs, hashes) and the
//! documents do not fit into its cache, that is a page from the disk for each of them, and many times as slow as to read page after
//! page. So such a collection is read in natural order, in parts, and goes on behind any record with `$_resumeAfter`, which servers
//! have since 4.4.
//!
//! In return the order is that of one member, while it runs: nobody else can go on with a part. And where a document is deleted while a
//! collection is read, and inserted anew, it has another record then: only what is read as of one time has each document once.

use std::{
    collections::{HashMap, VecDeque},
    iter,
    sync::Arc,
};

use bson::rawdoc;
use futures_util::StreamExt;
use mongodb::{
    error::{Error as DriverError, ErrorKind as DriverErrorKind},
    raw_batch_cursor::{RawBatch, RawBatchCursor},
};

use super::{Broken, parts::Bounds};
use crate::{
    catalog::Entry,
    connect::{Doing, Member, Server, batch_documents, command},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// The record behind which a scan was to go on is gone; but also that a server lacks another key (`KeyNotFound`).
const KEY_NOT_FOUND: i32 = 211;
/// What the message says in the first case.
const RECORD_GONE: &str = "resume";
/// Documents of a reply that shows their records.
const SHOWN_AT_ONCE: i32 = 1000;
/// Records that were read last, to begin behind where the last one is gone.
const REMEMBERED: usize = 8;

/// A range of the records of a collection, as one member numbers them.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    member: Arc<Member>,
    /// The last record before the first one; none for the beginning.
    after: Option<i64>,
    /// The last one; none for the end.
    upto: Option<i64>,
    /// Records that were there, in their order: one of them to begin behind, where `after` is gone.
    known: Arc<[i64]>,
    /// The mark of a part that is read so.
    bounds: Bounds,
}

impl Records {
    /// The ranges that end with these records, the last one at the end. They cover all, and do not overlap.
    pub(super) fn between(member: Member, ends: &[i64], known: &[i64]) -> Vec<Self> {
        let (member, known) = (Arc::new(member), Arc::from(known));
        let afters = iter::once(None).chain(ends.iter().copied().map(Some));
        let uptos = ends.iter().copied().map(Some).chain(iter::once(None));
        let of = |(after, upto)| {
            let (member, known) = (Arc::clone(&member), Arc::clone(&known));
            Records { member, after, upto, known, bounds: Bounds::of_natural_order() }
        };
        afters.zip(uptos).map(of).collect()
    }

    /// The bounds that a part with these documents has in an archive.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The server, of which the member alone is read that has these records.
    pub(crate) fn server(&self) -> &Server {
        self.member.server()
    }
}

/// The records of the documents with these `_id`s that are there, in the order of the `_id`s, each with its place among `ids`. None where
/// the server does not tell them.
///
/// # Errors
/// When the server cannot be reached or does not permit to read.
pub(super) async fn of_ids(member: &Member, entry: &Entry, ids: &[&[u8]]) -> Result<Option<Vec<(i64, usize)>>> {
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
    let doing = Doing::new(format!("look up records of {}", entry.data), "find", entry.data.database());
    match member.server().documents(entry.data.database(), command(find.finish())?, &doing).await {
        Err(error) if error.kind() == ErrorKind::Server => Ok(None),
        found => {
            let known = |found: &Vec<u8>| Some((record(found)?, *places.get(document::id(found)?.whole)?));
            Ok(found?.iter().map(known).collect())
        }
    }
}

/// Whether that member tells how far it has read, and goes on behind a record.
///
/// # Errors
/// When it cannot be reached or does not permit to read.
pub(super) async fn are_told(member: &Member, entry: &Entry, behind: Option<i64>) -> Result<bool> {
    let doing = Doing::new(format!("read {}", entry.data), "find", entry.data.database());
    let mut find = rawdoc! {
        "find": entry.data.collection(),
        "projection": { "_id": 1 },
        "hint": { "$natural": 1 },
        "$_requestResumeToken": true,
        "limit": 1,
        "singleBatch": true,
    };
    if let Some(record) = behind {
        find.append(bson::raw::cstr!("$_resumeAfter"), rawdoc! { "$recordId": record });
    }
    let reply = match member.server().run(entry.data.database(), find, &doing).await {
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

/// The last record that was read for a reply; none if there was nothing to read.
fn read_to(reply: &RawBatch) -> Option<i64> {
    let cursor = document::find(reply.as_raw_document().as_bytes(), b"cursor")?;
    record(document::find(cursor.value, b"postBatchResumeToken")?.value)
}

/// Whether a cursor was refused because the record that it was to go on behind is gone.
fn is_gone(error: &DriverError) -> bool {
    matches!(error.kind.as_ref(), DriverErrorKind::Command(command)
        if command.code == KEY_NOT_FOUND && command.message.contains(RECORD_GONE))
}

/// Where a scan of records stands.
#[derive(Debug)]
pub(super) struct Place<'a> {
    records: &'a Records,
    /// The last record that is done with, as are all before it.
    last: Option<i64>,
    /// Those that were the last ones before, in their order.
    before: VecDeque<i64>,
    /// Whether it was the last one of the range.
    is_over: bool,
}

impl<'a> Place<'a> {
    /// Before the first one.
    pub(super) fn before(records: &'a Records) -> Self {
        Place { records, last: records.after, before: VecDeque::new(), is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Opens a cursor behind the last record: behind the nearest one before it that is there, if it is gone. `find` is the beginning of
    /// a find command, without an order.
    pub(super) async fn open(&self, entry: &Entry, find: &RawBuilder, most: i32) -> Result<RawBatchCursor, Broken> {
        let rest = self.records.upto.map(|upto| upto.saturating_sub(self.last.unwrap_or(0)));
        let (size, mut from) = (reply_of(rest, most), self.last);
        let cursor = loop {
            match (self.cursor(entry, behind(find, from), size).await, self.last) {
                // That one may be gone the next moment, too.
                (Err(error), Some(last)) if from.is_some() && is_gone(&error) => {
                    from = self.walk(entry, find, last, |_| {}).await?;
                }
                (opened, _) => break opened?,
            }
        };
        self.check_member(entry).await?;
        Ok(cursor)
    }

    /// How many documents of a reply are of the range. `find` is the command of [`open`](Self::open).
    pub(super) async fn take(&mut self, entry: &Entry, find: &RawBuilder, reply: &RawBatch) -> Result<usize, Broken> {
        let documents: Vec<&[u8]> = batch_documents(reply)?.collect();
        let Some(last) = read_to(reply) else {
            return match documents.is_empty() {
                true => Ok(0),
                false => Err(untold(entry, "how far it has read").into()),
            };
        };
        let Some(upto) = self.records.upto.filter(|upto| last >= *upto) else {
            self.before.extend(self.last.replace(last));
            if self.before.len() > REMEMBERED {
                self.before.pop_front();
            }
            return Ok(documents.len());
        };
        let mut taken = documents.len();
        if last != upto {
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
            self.check_member(entry).await?;
        }
        self.is_over = true;
        Ok(taken)
    }

    /// Goes through the documents behind the last record that is done with up to `end`, each with its `_id` alone; from farther before, if
    /// that record is gone. Gives the last record up to `end` that is there.
    async fn walk(
        &self,
        entry: &Entry,
        find: &RawBuilder,
        end: i64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Option<i64>, Broken> {
        let server = self.records.server();
        for from in self.candidates() {
            let mut find = behind(find, from);
            show_records(&mut find);
            let mut cursor = match self.cursor(entry, find, SHOWN_AT_ONCE).await {
                Err(error) if from.is_some() && is_gone(&error) => continue,
                opened => opened?,
            };
            let mut there = from;
            while let Some(reply) = server.watched(async { cursor.next().await.transpose() }).await? {
                for shown in batch_documents(&reply)? {
                    let number = record(shown).ok_or_else(|| untold(entry, "the records of its documents"))?;
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

    /// Records to begin behind: the last one that is done with, others before it, farther back each time, and at last the beginning.
    fn candidates(&self) -> impl Iterator<Item = Option<i64>> {
        let known = &self.records.known;
        let first = self.before.front().copied().or(self.last);
        let before = first.map_or(0, |first| known.partition_point(|known| *known < first));
        let steps = iter::successors(Some(1_usize), |step| step.checked_mul(2));
        let back = steps.map_while(move |step| known.get(before.checked_sub(step)?).copied());
        let read = self.last.into_iter().chain(self.before.iter().rev().copied());
        read.chain(back).map(Some).chain(iter::once(None))
    }

    async fn cursor(&self, entry: &Entry, mut find: RawBuilder, size: i32) -> mongodb::error::Result<RawBatchCursor> {
        let server = self.records.server();
        let database = server.database(entry.data.database());
        let find = bson::RawDocumentBuf::from_bytes(find.int32("batchSize", size).finish())?;
        let run = database.run_raw_cursor_command(find).batch_size(size.unsigned_abs());
        server.watched(run.selection_criteria(server.reads()).batch()).await
    }

    /// Records have these numbers for as long as the member runs: after a crash, or a copy of another member, they may have others.
    async fn check_member(&self, entry: &Entry) -> Result<(), Broken> {
        if self.records.member.is_there().await? {
            return Ok(());
        }
        let message =
            format!("the member of which {} is read in natural order was started anew, or is another one", entry.data);
        Err(Error::new(ErrorKind::Unreachable, message).at(self.records.server().place()).into())
    }
}

/// How many documents a reply is to have, at most `most`, where so many records are left of a range: if none of them is gone, the last reply
/// ends with the range.
fn reply_of(rest: Option<i64>, most: i32) -> i32 {
    let Some(rest) = rest.filter(|rest| *rest > 0) else { return most };
    let replies = (rest - 1) / i64::from(most.max(1)) + 1;
    i32::try_from((rest - 1) / replies + 1).unwrap_or(most)
}

/// What a server does not tell that it has told before.
fn untold(entry: &Entry, what: &str) -> Error {
    Error::new(ErrorKind::Server, format!("the server does not tell {what} of {}", entry.data))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_with_the_range() {
        for (rest, most, reply) in [(1000, 400, 334), (1000, 1000, 1000), (1000, 999, 500), (1, 400, 1), (400, 1, 1)] {
            assert_eq!(reply_of(Some(rest), most), reply, "{rest} in replies of {most}");
        }
        assert_eq!([reply_of(None, 7), reply_of(Some(0), 7), reply_of(Some(i64::MAX), 7)], [7, 7, 7]);
    }
}
