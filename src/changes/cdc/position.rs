//! A position of a stream: what everything before it is known by, and its document.

use bson::{RawDocumentBuf, rawdoc};

use super::{Cdc, POSITIONS, signed, unsigned};
use crate::{
    changes::log::{Item, LogPlace, Position},
    document::{self, Element, RawBuilder, kind},
    error::Result,
};

/// A position, with where the writer stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// From 1, without a gap.
    pub(super) number: u64,
    /// The events before it.
    pub(super) n: u64,
    pub(super) run: u64,
    /// The block that begins behind it.
    pub(super) block: u64,
    pub(super) position: Position,
}

impl Mark {
    pub(super) fn place(&self) -> LogPlace {
        LogPlace { segment: self.number, offset: self.n }
    }

    pub(super) fn item(self) -> Item {
        Item::Checkpoint { place: self.place(), position: self.position }
    }

    /// Its document.
    pub(super) fn document(&self, cdc: &Cdc) -> Vec<u8> {
        let mut document = RawBuilder::new();
        document.embed("_id", |id| {
            id.int64("stream", i64::from(cdc.stream)).int64("number", signed(self.number));
        });
        document.string("capture", &cdc.capture).int64("n", signed(self.n)).int64("run", signed(self.run));
        document.int64("block", signed(self.block)).document("token", &self.position.token);
        if self.position.time > 0 {
            document.append_element(kind::TIMESTAMP, "time", &self.position.time.to_le_bytes());
        }
        document.finish()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let id = document::id(bytes).filter(|id| id.kind == kind::DOCUMENT)?;
        let token = document::find(bytes, b"token").filter(|token| token.kind == kind::DOCUMENT)?.value;
        let time = document::find(bytes, b"time").filter(|time| time.kind == kind::TIMESTAMP);
        Some(Mark {
            number: number(document::find(id.value, b"number"))?,
            n: number(document::find(bytes, b"n"))?,
            run: number(document::find(bytes, b"run"))?,
            block: number(document::find(bytes, b"block"))?,
            position: Position {
                token: token.to_vec(),
                time: time.and_then(|time| time.value.first_chunk().copied()).map_or(0, u64::from_le_bytes),
            },
        })
    }
}

/// A 64-bit integer that is not negative.
pub(super) fn number(element: Option<Element<'_>>) -> Option<u64> {
    let element = element.filter(|element| element.kind == kind::INT64)?;
    let number = element.value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes))?;
    (number >= 0).then(|| unsigned(number))
}

/// Which capture a position is of.
pub(super) fn capture(document: &[u8]) -> Option<&str> {
    std::str::from_utf8(document::find(document, b"capture")?.string()?).ok()
}

impl Cdc {
    /// The positions behind the one of this number, the oldest first.
    pub(super) async fn marks_behind(&self, number: u64, limit: i64) -> Result<Vec<Mark>> {
        self.marks(signed(number), 1, limit).await
    }

    /// The newest position.
    ///
    /// # Errors
    /// When there is none: to begin with the present would lose what happened since.
    pub(super) async fn newest(&self) -> Result<Mark> {
        let mark = self.marks(-1, -1, 1).await?.pop();
        mark.ok_or_else(|| self.damaged(format!("{POSITIONS} has no position of this stream")))
    }

    async fn marks(&self, behind: i64, order: i32, limit: i64) -> Result<Vec<Mark>> {
        let stream = i64::from(self.stream);
        let command: RawDocumentBuf = rawdoc! {
            "find": POSITIONS,
            "filter": { "_id": {
                "$gt": { "stream": stream, "number": behind },
                "$lt": { "stream": stream, "number": i64::MAX },
            } },
            "sort": { "_id": order },
            "limit": limit,
            "readConcern": { "level": "majority" },
        };
        let found = self.find(POSITIONS, command).await?;
        let parsed = found.iter().map(|document| {
            if capture(document).is_some_and(|capture| capture != self.capture) {
                return Err(self.damaged(format!("{POSITIONS} is another capture's")));
            }
            Mark::parse(document).ok_or_else(|| self.damaged(format!("a document of {POSITIONS} is no position")))
        });
        parsed.collect()
    }
}
