//! Documents that differ, looked at again, and copied again.

use std::{
    borrow::Cow,
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    finding::Finding,
    findings::Findings,
    item::Place,
    line::{Difference, Line},
    pairs::Pair,
};
use crate::{
    changes::{
        key::Key,
        write::{DUPLICATE_KEY, Target, Write, must_be_inserted},
    },
    document,
    error::{Error, ErrorKind, Result},
    hex::from_hex,
};

/// How long to wait between two looks at what differs.
const PAUSE: Duration = Duration::from_secs(1);

/// A document that differs: its key, and what both sides have of it now.
struct Document {
    difference: Difference,
    key: Vec<u8>,
    left: Option<Vec<u8>>,
    right: Option<Vec<u8>>,
}

/// What differs, by the names on the left.
pub(super) struct Mending<'a> {
    pub(super) pairs: HashMap<String, &'a Pair>,
    pub(super) findings: &'a Findings,
    pub(super) ignores_field_order: bool,
}

impl Mending<'_> {
    /// Looks at what differs again and again, until nothing does or the time is over; at least once. Gives how many documents
    /// differ no more.
    ///
    /// # Errors
    /// When a side cannot be read, or the findings cannot be written.
    pub(super) async fn recheck(&self, patience: Duration) -> Result<u64> {
        let begun = Instant::now();
        let mut resolved = 0;
        loop {
            let (equal, differing) = self.look_again().await?;
            resolved += equal;
            let left = patience.saturating_sub(begun.elapsed());
            if differing == 0 || left.is_zero() {
                return Ok(resolved);
            }
            tokio::time::sleep(PAUSE.min(left)).await;
        }
    }

    /// Writes the findings anew, without the documents that do not differ any more: how many these are, and how many do.
    async fn look_again(&self) -> Result<(u64, u64)> {
        let (mut equal, mut differing) = (0, 0);
        let mut anew = self.findings.anew()?;
        self.findings.other_lines(|line| anew.line(line))?;
        for some in self.findings.differences()? {
            for document in self.fetch(some?).await? {
                let finding = Finding::between(document.left.as_deref(), document.right.as_deref());
                let finding = match finding {
                    // Nothing tells it from others.
                    _ if document.key.is_empty() => {
                        differing += 1;
                        anew.line(&Line::Difference(document.difference))?;
                        continue;
                    }
                    Some(Finding::FieldOrder { .. }) if self.ignores_field_order => None,
                    finding => finding,
                };
                let Some(finding) = finding else {
                    equal += 1;
                    continue;
                };
                differing += 1;
                let namespace = &self.pair(&document.difference)?.left.namespace;
                let line = Difference::new(namespace, document.difference.part, &document.key, &finding)?;
                anew.line(&Line::Difference(line))?;
            }
        }
        self.findings.put(anew)?;
        Ok((equal, differing))
    }

    /// Copies documents that differ from the left to the right once more, and looks whether they are equal then: how many are.
    ///
    /// # Errors
    /// When a side cannot be read or written.
    pub(super) async fn repair(&self) -> Result<u64> {
        for some in self.findings.differences()? {
            let documents = self.fetch(some?).await?;
            let Some(first) = documents.first() else { continue };
            let pair = self.pair(&first.difference)?;
            let Place::Server(server, entry) = &pair.right.place else {
                return Err(
                    Error::new(ErrorKind::Usage, "an archive cannot be repaired").at(pair.right.namespace.to_string())
                );
            };
            let target = Target::new(server.clone(), entry.data.clone());
            let outcome = target.send(&documents.iter().flat_map(Document::writes).collect::<Vec<_>>()).await?;
            if outcome.refused.iter().any(|refused| refused.code == DUPLICATE_KEY) {
                // They stand in each other's way.
                let whole: Vec<Vec<u8>> = documents.iter().filter_map(|document| document.left.clone()).collect();
                target.exchange(&whole).await?;
            }
        }
        self.look_again().await.map(|(equal, _)| equal)
    }

    /// What both sides have of documents of one part.
    async fn fetch(&self, some: Vec<Difference>) -> Result<Vec<Document>> {
        let Some(first) = some.first() else { return Ok(Vec::new()) };
        let pair = self.pair(first)?;
        let bounds = pair.parts.get(first.part).cloned().unwrap_or_default();
        let keys: Vec<Vec<u8>> = some.iter().map(|difference| from_hex(&difference.key)).collect();
        let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).filter(|key| !key.is_empty()).collect();
        let (mut left, mut right) =
            futures_util::try_join!(pair.left.fetch(&bounds, &asked), pair.right.fetch(&bounds, &asked))?;
        let of = |(difference, key): (Difference, Vec<u8>)| {
            let canonical = document::id(&key).map(|id| Key::of(&id).into_bytes()).unwrap_or_default();
            let (left, right) = (left.remove(&canonical), right.remove(&canonical));
            Document { difference, key, left, right }
        };
        Ok(some.into_iter().zip(keys).map(of).collect())
    }

    fn pair(&self, difference: &Difference) -> Result<&Pair> {
        self.pairs.get(&difference.namespace).copied().ok_or_else(|| {
            let message = format!("{} is not compared, and the findings name it", difference.namespace);
            Error::new(ErrorKind::Damaged, message).at(self.findings.place())
        })
    }
}

impl Document {
    /// What makes the right side what the left one is.
    fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let (delete, put) = match (&self.left, &self.right) {
            (None, None) => (None, None),
            (None, Some(right)) => (Some(Write::Delete(Cow::Borrowed(right))), None),
            (Some(left), None) => (None, Some(Write::Insert(Cow::Borrowed(left)))),
            // The bytes of an `_id` change by no update.
            (Some(left), Some(right)) if document::id(left) != document::id(right) || must_be_inserted(left) => {
                (Some(Write::Delete(Cow::Borrowed(right))), Some(Write::Insert(Cow::Borrowed(left))))
            }
            (Some(left), Some(_)) => (None, Some(Write::Put(Cow::Borrowed(left)))),
        };
        delete.into_iter().chain(put)
    }
}
