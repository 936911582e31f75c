//! The raw documents of a cursor's replies.

use std::convert::Infallible;

use bson::RawDocumentBuf;
use futures_util::StreamExt;
use mongodb::{
    error::{Error as DriverError, ErrorKind as DriverErrorKind},
    raw_batch_cursor::RawBatch,
};

use super::{Doing, Server, retry};
use crate::{
    document::{self, kind},
    error::{Error, ErrorKind, Result},
};

/// The raw documents of one reply.
///
/// # Errors
/// When the reply is malformed.
pub fn batch_documents(batch: &RawBatch) -> Result<impl Iterator<Item = &[u8]>> {
    let malformed = || Error::new(ErrorKind::Server, "the server's reply holds no batch of documents");
    let cursor = document::find(batch.as_raw_document().as_bytes(), b"cursor").ok_or_else(malformed)?.value;
    let batch = document::find(cursor, b"nextBatch").or_else(|| document::find(cursor, b"firstBatch"));
    let batch = batch.filter(|batch| batch.kind == kind::ARRAY).ok_or_else(malformed)?.value;
    // Walked twice, so that a malformed reply is an error and not a shorter one.
    if document::elements(batch).any(|element| element.is_err()) {
        return Err(malformed());
    }
    Ok(document::elements(batch).filter_map(Result::ok).map(|element| element.value))
}

/// A command that was built by its bytes.
///
/// # Errors
/// When they are none: a bug.
pub(crate) fn command(bytes: Vec<u8>) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(bytes)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("a bad command of our own: {error}")))
}

impl Server {
    /// Runs a command that opens a cursor, to its end, and collects what it gives; anew from the beginning whenever
    /// it breaks. For what fits into memory.
    ///
    /// # Errors
    /// What the server says.
    pub async fn documents(&self, database: &str, command: RawDocumentBuf, doing: &Doing) -> Result<Vec<Vec<u8>>> {
        match self.documents_or(database, command, doing, |_| None::<Infallible>).await? {
            Ok(documents) => Ok(documents),
            Err(never) => match never {},
        }
    }

    /// The same for a caller that knows what to do about some of the server's errors: `expected` is given the
    /// code, and makes of it what the caller wants to know.
    ///
    /// # Errors
    /// What else the server says.
    pub(crate) async fn documents_or<T>(
        &self,
        database: &str,
        command: RawDocumentBuf,
        doing: &Doing,
        expected: impl Fn(i32) -> Option<T>,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, T>> {
        let expected = |error: &DriverError| match error.kind.as_ref() {
            DriverErrorKind::Command(command) => expected(command.code),
            _ => None,
        };
        let mut patience = self.patience();
        'again: loop {
            let database = self.database(database);
            let run = database.run_raw_cursor_command(command.clone()).selection_criteria(self.reads());
            let mut batches = match self.watched(run.batch()).await {
                Ok(cursor) => cursor,
                Err(error) if patience.wait(retry(&error)).await => continue,
                Err(error) => return expected(&error).map(Err).ok_or_else(|| self.failure(error, doing)),
            };
            let mut documents = Vec::new();
            while let Some(batch) = self.watched(async { batches.next().await.transpose() }).await.transpose() {
                match batch {
                    Ok(batch) => documents.extend(batch_documents(&batch)?.map(<[u8]>::to_vec)),
                    Err(error) if patience.wait(retry(&error)).await => continue 'again,
                    Err(error) => return Err(self.failure(error, doing)),
                }
            }
            return Ok(Ok(documents));
        }
    }
}
