//! The records of a journal, as documents.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Recorded;
use crate::{
    changes::{
        log::{EventPlace, LogPlace},
        shelf::Span,
    },
    document::{self, Element, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
};

/// Where a lane is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct LaneRecord {
    /// The first event that is not known to be done.
    pub(in super::super) next: EventPlace,
    /// Where the run ends that was begun there; the same place if none was.
    pub(in super::super) end: EventPlace,
    /// The source's cluster time of the last event before that.
    pub(in super::super) time: u64,
    /// Of that run: the documents that were to be computed from what the target had, each by its key and the place in
    /// the run of the last event that is in it, with the digest that it has once it is written.
    pub(in super::super) computed: BTreeMap<(Vec<u8>, u32), u64>,
    /// Documents that were fetched from the source, by their keys: what happened to them up to then is in them.
    pub(in super::super) fetched: HashMap<Vec<u8>, Fetched>,
    /// Paths that were removed, by their documents' keys, while it is not known which updates of these the copy has.
    pub(in super::super) removed: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// Documents of the run that are deleted before they are inserted anew, and may be nowhere else.
    pub(in super::super) parked: Vec<Vec<u8>>,
    /// Documents that have to be fetched before anything else, by their raw keys.
    pub(in super::super) owed: Vec<Vec<u8>>,
    /// Whether all that was told so far was of another collection than the migration's.
    pub(in super::super) is_ignored: bool,
}

/// A document that was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Fetched {
    /// Of when it is.
    pub(in super::super) span: Span,
    /// Its key, raw.
    pub(in super::super) key: Vec<u8>,
}

/// Where a log is: everything before it is done, in all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct LogRecord {
    /// Where reading goes on.
    pub(in super::super) place: LogPlace,
    /// The source's cluster time there.
    pub(in super::super) time: u64,
}

const LANE: &str = "lane";
const LOG: &str = "log";
const IGNORED: &str = "ignored";

/// Under what the records of a lane stand.
pub(super) fn lane_key(log: u32, namespace: &str) -> Vec<u8> {
    [&log.to_le_bytes()[..], namespace.as_bytes()].concat()
}

/// Under what the records of a log stand.
pub(super) fn log_key(log: u32) -> Vec<u8> {
    log.to_le_bytes().to_vec()
}

/// Under what a record stands.
pub(super) fn key(record: &[u8]) -> Result<Vec<u8>> {
    let log = log_of(record)?;
    match document::find(record, LANE.as_bytes()) {
        Some(lane) => Ok(lane_key(log, text(&lane)?)),
        None => Ok(log_key(log)),
    }
}

impl LaneRecord {
    pub(super) fn encode(&self, log: u32, namespace: &str) -> Vec<u8> {
        let mut record = RawBuilder::new();
        record.int64(LOG, i64::from(log)).string(LANE, namespace);
        record.int64("segment", signed(self.next.segment)).int64("ordinal", signed(self.next.ordinal));
        record.int64("end_segment", signed(self.end.segment)).int64("end_ordinal", signed(self.end.ordinal));
        record.int64("time", signed(self.time));
        if self.is_ignored {
            record.int64(IGNORED, 1);
        }
        record.embed_array("computed", |array| {
            for (number, ((key, last), digest)) in self.computed.iter().enumerate() {
                array.embed(number.to_string(), |entry| {
                    entry.binary("key", 0, key).int64("last", i64::from(*last)).int64("digest", signed(*digest));
                });
            }
        });
        record.embed_array("fetched", |array| {
            for (number, (key, fetched)) in self.fetched.iter().enumerate() {
                array.embed(number.to_string(), |entry| {
                    entry.binary("key", 0, key).binary("raw", 0, &fetched.key);
                    entry.int64("low", signed(fetched.span.low)).int64("high", signed(fetched.span.high));
                });
            }
        });
        record.embed_array("removed", |array| {
            let removed = self.removed.iter().flat_map(|(key, paths)| paths.iter().map(move |path| (key, path)));
            for (number, (key, path)) in removed.enumerate() {
                array.embed(number.to_string(), |entry| {
                    entry.binary("key", 0, key).binary("path", 0, path);
                });
            }
        });
        record.embed_array("parked", |array| {
            for (number, document) in self.parked.iter().enumerate() {
                array.embed(number.to_string(), |entry| {
                    entry.binary("raw", 0, document);
                });
            }
        });
        record.embed_array("owed", |array| {
            for (number, key) in self.owed.iter().enumerate() {
                array.embed(number.to_string(), |entry| {
                    entry.binary("raw", 0, key);
                });
            }
        });
        record.finish()
    }

    fn decode(record: &[u8]) -> Result<Self> {
        let mut lane = LaneRecord {
            next: EventPlace { segment: number(record, "segment")?, ordinal: number(record, "ordinal")? },
            end: EventPlace { segment: number(record, "end_segment")?, ordinal: number(record, "end_ordinal")? },
            time: number(record, "time")?,
            is_ignored: document::find(record, IGNORED.as_bytes()).is_some(),
            ..LaneRecord::default()
        };
        for entry in entries(record, "computed")? {
            let last = u32::try_from(number(entry, "last")?).map_err(|_| unreadable())?;
            lane.computed.insert((binary(entry, "key")?, last), number(entry, "digest")?);
        }
        for entry in entries(record, "fetched")? {
            let span = Span { low: number(entry, "low")?, high: number(entry, "high")? };
            lane.fetched.insert(binary(entry, "key")?, Fetched { span, key: binary(entry, "raw")? });
        }
        for entry in entries(record, "removed")? {
            lane.removed.entry(binary(entry, "key")?).or_default().insert(binary(entry, "path")?);
        }
        for entry in entries(record, "parked")? {
            lane.parked.push(binary(entry, "raw")?);
        }
        for entry in entries(record, "owed")? {
            lane.owed.push(binary(entry, "raw")?);
        }
        Ok(lane)
    }
}

impl LogRecord {
    pub(super) fn encode(&self, log: u32) -> Vec<u8> {
        let mut record = RawBuilder::new();
        record.int64(LOG, i64::from(log)).int64("segment", signed(self.place.segment));
        record.int64("offset", signed(self.place.offset)).int64("time", signed(self.time));
        record.finish()
    }

    fn decode(record: &[u8]) -> Result<Self> {
        let place = LogPlace { segment: number(record, "segment")?, offset: number(record, "offset")? };
        Ok(LogRecord { place, time: number(record, "time")? })
    }
}

/// Reads a record, which takes the place of an earlier one of the same.
pub(super) fn read(record: &[u8], recorded: &mut Recorded) -> Result<()> {
    let log = log_of(record)?;
    match document::find(record, LANE.as_bytes()) {
        Some(lane) => {
            recorded.lanes.insert((log, text(&lane)?.to_owned()), LaneRecord::decode(record)?);
        }
        None => {
            recorded.logs.insert(log, LogRecord::decode(record)?);
        }
    }
    Ok(())
}

fn log_of(record: &[u8]) -> Result<u32> {
    u32::try_from(number(record, LOG)?).map_err(|_| unreadable())
}

fn entries<'a>(record: &'a [u8], name: &str) -> Result<impl Iterator<Item = &'a [u8]>> {
    let array = document::find(record, name.as_bytes()).filter(|array| array.kind == kind::ARRAY);
    let array = array.ok_or_else(unreadable)?;
    Ok(document::elements(array.value).map_while(Result::ok).map(|entry| entry.value))
}

fn number(record: &[u8], name: &str) -> Result<u64> {
    let number = document::find(record, name.as_bytes()).filter(|number| number.kind == kind::INT64);
    let bytes = number.and_then(|number| number.value.first_chunk().copied());
    bytes.map(u64::from_le_bytes).ok_or_else(unreadable)
}

fn binary(record: &[u8], name: &str) -> Result<Vec<u8>> {
    let binary = document::find(record, name.as_bytes()).filter(|binary| binary.kind == kind::BINARY);
    binary.and_then(|binary| binary.value.get(5..)).map(<[u8]>::to_vec).ok_or_else(unreadable)
}

fn text<'a>(element: &Element<'a>) -> Result<&'a str> {
    element.string().and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(unreadable)
}

/// The same 64 bits: BSON knows signed numbers only.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// Its checksum passed, so it is another version's.
fn unreadable() -> Error {
    Error::new(ErrorKind::NewerVersion, "the journal has a record that this version does not understand")
        .with_hint("use the version of transload that wrote it, or a later one")
}
