//! Documents that stand in each other's way, put in their places in one transaction.
//!
//! Two documents that have changed the values of a unique index with each other cannot be written one after the other: each
//! finds its value with the other one. So all of them are deleted and then inserted, in one transaction: nobody sees them
//! gone, and a kill leaves all of it or nothing.

use std::borrow::Cow;

use bson::Document;
use mongodb::ClientSession;

use super::{DUPLICATE_KEY, Refused, Target, Write, command::Verb, refused};
use crate::{
    connect::{Doing, Retry, kind_of, retry, retry_code},
    error::{Error, Result},
};

/// Documents that go into one transaction, which must not be too large for a server.
const AT_ONCE: usize = 100;

/// Documents that were not put.
#[derive(Debug, Default)]
pub(crate) struct NotPut {
    /// Those that the server refused.
    pub(crate) refused: Vec<Refused>,
    /// The places of those for which the server or its collection knows no transactions, or not for these.
    pub(crate) impossible: Vec<usize>,
}

/// What became of a transaction.
enum Attempt {
    Done,
    /// The server refused the insert of this document, and everything is as it was.
    Refused(Refused),
    /// The server or its collection knows no transactions, or not for this.
    Impossible,
}

/// Why a transaction ended early.
enum Trouble {
    Driver(mongodb::error::Error),
    /// Another attempt may get further.
    Passing(Error),
    Attempt(Attempt),
}

impl From<mongodb::error::Error> for Trouble {
    fn from(error: mongodb::error::Error) -> Self {
        Trouble::Driver(error)
    }
}

impl Target {
    /// Puts whole documents that unique indexes keep from being written one by one. Gives back the places of those that are
    /// still refused, because of documents that are not among them; these stay as they are.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn exchange(&self, documents: &[Vec<u8>]) -> Result<Vec<usize>> {
        // One alone is in its own way in no case.
        if let [_] = documents {
            return Ok(vec![0]);
        }
        let mut not_put = NotPut::default();
        self.put_together((0..documents.len()).collect(), documents, &mut not_put).await?;
        let refused = not_put.refused.iter().map(|refused| refused.index);
        Ok(refused.chain(not_put.impossible).collect())
    }

    /// Deletes documents and inserts them as they are here, which changes what no update does: the bytes of an `_id`. What is not put
    /// stays as it is.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn put_anew(&self, documents: &[Vec<u8>]) -> Result<NotPut> {
        let mut not_put = NotPut::default();
        for first in (0..documents.len()).step_by(AT_ONCE) {
            let places = (first..documents.len().min(first + AT_ONCE)).collect();
            self.put_together(places, documents, &mut not_put).await?;
        }
        Ok(not_put)
    }

    /// Puts the documents at these places in one transaction.
    async fn put_together(&self, mut places: Vec<usize>, documents: &[Vec<u8>], not_put: &mut NotPut) -> Result<()> {
        while !places.is_empty() {
            let some: Vec<&[u8]> = places.iter().filter_map(|place| documents.get(*place)).map(Vec::as_slice).collect();
            match self.until_known(&some).await? {
                Attempt::Done => {
                    let put: Vec<Write<'_>> = some.iter().map(|document| Write::Put(Cow::Borrowed(document))).collect();
                    self.put_timestamps_back(self.with_empty_timestamps(&put, 0).map(|(_, document)| document)).await?;
                    return Ok(());
                }
                Attempt::Refused(refused) if refused.index < places.len() => {
                    let index = places.remove(refused.index);
                    not_put.refused.push(Refused { index, ..refused });
                }
                Attempt::Refused(_) | Attempt::Impossible => break,
            }
        }
        not_put.impossible.extend(places);
        Ok(())
    }

    /// Tries until what became of it is known: done twice, it has the same effect.
    async fn until_known(&self, documents: &[&[u8]]) -> Result<Attempt> {
        let namespace = &self.namespace;
        let doing = Doing::new(format!("exchange documents in {namespace}"), "insert", namespace.database());
        let mut patience = self.server.patience();
        loop {
            let error = match self.attempt(documents).await {
                Ok(()) => return Ok(Attempt::Done),
                Err(Trouble::Attempt(attempt)) => return Ok(attempt),
                Err(Trouble::Passing(error)) => error,
                Err(Trouble::Driver(error)) if passes(&error) => self.server.failure(error, &doing),
                Err(Trouble::Driver(_)) => return Ok(Attempt::Impossible),
            };
            if !patience.wait(Retry::BackOff).await {
                return Err(error);
            }
        }
    }

    async fn attempt(&self, documents: &[&[u8]]) -> std::result::Result<(), Trouble> {
        let mut session = self.server.begin_transaction().await?;
        let deletes: Vec<Write<'_>> = documents.iter().map(|document| Write::Delete(Cow::Borrowed(document))).collect();
        let inserts: Vec<Write<'_>> = documents.iter().map(|document| Write::Insert(Cow::Borrowed(document))).collect();
        let done = async {
            self.within(&mut session, &deletes).await?;
            self.within(&mut session, &inserts).await
        };
        if let Err(trouble) = done.await {
            // The server has ended it already, or will: then this has nothing to do.
            let _ = session.abort_transaction().await;
            return Err(trouble);
        }
        Ok(session.commit_transaction().await?)
    }

    async fn within(&self, session: &mut ClientSession, writes: &[Write<'_>]) -> std::result::Result<(), Trouble> {
        let (mut rest, mut from) = (writes, 0);
        while let Some(command) = self.next_command(&mut rest) {
            let encoded = self.collection.in_transaction(&command).map_err(Trouble::Passing)?;
            let database = self.server.database(self.namespace.database());
            let run = database.run_raw_command(encoded).session(&mut *session);
            let reply: Document = self.server.watched(run).await?;
            if let Some(trouble) = refusal(command.verb, from, &reply) {
                return Err(trouble);
            }
            from += command.count;
        }
        Ok(())
    }
}

/// Whether another attempt may get further.
fn passes(error: &mongodb::error::Error) -> bool {
    let labels = ["TransientTransactionError", "UnknownTransactionCommitResult"];
    labels.iter().any(|label| error.contains_label(label)) || retry(error) != Retry::Stop
}

/// What the errors of a reply come to.
fn refusal(verb: Verb, from: usize, reply: &Document) -> Option<Trouble> {
    let error = reply.get_array("writeErrors").ok()?.first()?.as_document()?;
    let code = error.get_i32("code").unwrap_or(0);
    let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
    Some(match index {
        Some(index) if code == DUPLICATE_KEY && verb == Verb::Insert => {
            Trouble::Attempt(Attempt::Refused(Refused { index: from + index, ..refused(error) }))
        }
        _ if retry_code(code) != Retry::Stop => {
            Trouble::Passing(Error::new(kind_of(code), format!("a transaction was given up: error {code}")))
        }
        _ => Trouble::Attempt(Attempt::Impossible),
    })
}
