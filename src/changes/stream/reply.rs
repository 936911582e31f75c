//! One reply of a stream: its events, and the position behind them.

use mongodb::raw_batch_cursor::RawBatch;

use crate::{
    changes::token,
    connect::batch_documents,
    document::{self, kind},
    error::{Error, ErrorKind, Result},
};

/// What came of a stream in one go.
#[derive(Debug)]
pub struct Reply {
    events: Events,
    /// The resume token behind all of it, a document: of the last event, or one further on.
    pub token: Vec<u8>,
    /// The cluster time of the token: see [`token::time`].
    pub time: u64,
}

#[derive(Debug)]
enum Events {
    /// As the server sent them.
    Sent(RawBatch),
    /// Some were joined or reduced.
    Made(Vec<Vec<u8>>),
}

impl Reply {
    pub(super) fn sent(batch: RawBatch, token: Vec<u8>, time: u64) -> Self {
        Reply { events: Events::Sent(batch), token, time }
    }

    pub(super) fn made(events: Vec<Vec<u8>>, token: Vec<u8>, time: u64) -> Self {
        Reply { events: Events::Made(events), token, time }
    }

    /// The raw events, in the order of the server.
    ///
    /// # Errors
    /// When the reply is malformed.
    pub fn events(&self) -> Result<Vec<&[u8]>> {
        match &self.events {
            Events::Sent(batch) => Ok(batch_documents(batch)?.collect()),
            Events::Made(events) => Ok(events.iter().map(Vec::as_slice).collect()),
        }
    }

    /// The bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        match &self.events {
            Events::Sent(batch) => batch.as_raw_document().as_bytes().len(),
            Events::Made(events) => events.iter().map(Vec::len).sum(),
        }
    }
}

/// The `postBatchResumeToken` of a reply.
pub(super) fn post_batch_token(batch: &RawBatch) -> Result<Vec<u8>> {
    let cursor = document::find(batch.as_raw_document().as_bytes(), b"cursor");
    let token = cursor.and_then(|cursor| document::find(cursor.value, b"postBatchResumeToken"));
    match token.filter(|token| token.kind == kind::DOCUMENT) {
        Some(token) => Ok(token.value.to_vec()),
        None => Err(Error::new(
            ErrorKind::Server,
            "the server gives no token to take a stream up again with (postBatchResumeToken)",
        )
        .with_hint("streams can be captured from MongoDB 4.2 on; this server is older, or another product")),
    }
}

/// The time of a token behind `last`, the last event that came, when `known` was the time before.
///
/// Where a token does not tell, the last event's own time is no later than the truth. The reply's `operationTime` would
/// be: it is that of the member's latest write, which the stream, reading what a majority has, may not have told yet.
pub(super) fn time_behind(token: &[u8], last: Option<&[u8]>, known: u64) -> u64 {
    let of_event = || {
        let time = document::find(last?, b"clusterTime").filter(|time| time.kind == kind::TIMESTAMP)?;
        time.value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    };
    token::time(token).or_else(of_event).unwrap_or(known)
}
