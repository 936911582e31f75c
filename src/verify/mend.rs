//! Documents that differ, looked at again, and copied again.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{
    finding::{Finding, ONLY_RIGHT},
    findings::Findings,
    item::Place,
    line::{Difference, Line},
    pairs::Pair,
};
use crate::{
    changes::{
        key::Key,
        write::{DUPLICATE_KEY, Target, Write},
    },
    document,
    error::{Error, ErrorKind, Result},
    hex::from_hex,
    progress::Progress,
};

/// How long to wait between two looks at what differs.
const PAUSE: Duration = Duration::from_secs(1);

/// What is said when the end of the writes that are under way takes its time.
const LATE: &str =
    "the right side is at writes to the same databases: the end of those that are under way is waited for";

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
        for some in self.findings.differences()? {
            let some = some?;
            for some in self.at_once(&some)? {
                for document in self.fetch(some).await? {
                    let line = document.look_again(self)?;
                    equal += u64::from(line.is_none());
                    differing += u64::from(line.is_some());
                    line.map_or(Ok(()), |line| anew.line(&Line::Difference(line)))?;
                }
            }
        }
        anew.line(&Line::Finished)?;
        self.findings.put(anew)?;
        Ok((equal, differing))
    }

    /// Waits for the end of what a repair before this one has left to the right side when it was killed: it must not write what it has
    /// read over what this one has.
    ///
    /// # Errors
    /// When the right side cannot be reached.
    pub(super) async fn late_writes_end(&self, progress: &dyn Progress) -> Result<()> {
        let on_servers = self.pairs.values().filter_map(|pair| match &pair.right.place {
            Place::Server(server, entry) => Some((server, entry.data.database())),
            Place::Archive(..) => None,
        });
        let (servers, databases): (Vec<_>, HashSet<&str>) = on_servers.unzip();
        // All pairs are of the same two sides.
        if let Some(server) = servers.first() {
            server.writes_end(|database| databases.contains(database), || progress.warn(LATE)).await?;
        }
        Ok(())
    }

    /// Makes the documents that differ on the right what they are on the left, as long as that gets on, and looks whether they
    /// are equal then: how many are, and why others are not.
    ///
    /// # Errors
    /// When a side cannot be read or written.
    pub(super) async fn repair(&self) -> Result<(u64, Vec<String>)> {
        let (mut repaired, mut before) = (0, u64::MAX);
        loop {
            let mut refused = BTreeMap::new();
            // What is in the way of others goes first; and only what was known to be there alone when it was asked about.
            let passes: &[bool] = if before == u64::MAX { &[true, false] } else { &[false] };
            for &deletes in passes {
                for some in self.findings.differences()? {
                    let some = some?;
                    for some in self.at_once(&some)? {
                        self.write(&self.fetch(some).await?, deletes, &mut refused).await?;
                    }
                }
            }
            let (equal, differing) = self.look_again().await?;
            repaired += equal;
            if differing == 0 || differing >= before {
                let why = refused
                    .into_iter()
                    .map(|(reason, count): (String, u64)| format!("not repaired: {reason} ({count})"));
                return Ok((repaired, why.collect()));
            }
            before = differing;
        }
    }

    /// Deletes what only the right side has, or writes what the left one has.
    async fn write(&self, documents: &[Document], deletes: bool, refused: &mut BTreeMap<String, u64>) -> Result<()> {
        let Some(first) = documents.first() else { return Ok(()) };
        let pair = self.pair(&first.difference)?;
        let Place::Server(server, entry) = &pair.right.place else {
            let message = "an archive cannot be repaired";
            return Err(Error::new(ErrorKind::Usage, message).at(pair.right.namespace.to_string()));
        };
        let mut refuse = |reason: String, count: usize| *refused.entry(reason).or_default() += count as u64;
        if pair.is_ordered() {
            refuse(
                format!("{} is capped, and the order of its documents is data", pair.right.namespace),
                documents.len(),
            );
            return Ok(());
        }
        let target = Target::open(server.clone(), entry.data.clone()).await?;
        // Whoever is interrupted has not deleted what it was to insert.
        let anew = |document: &&Document| !deletes && document.is_put_anew(&target);
        let anew: Vec<&Document> = documents.iter().filter(anew).collect();
        let whole: Vec<Vec<u8>> = anew.iter().filter_map(|document| document.left.clone()).collect();
        let not_put = target.put_anew(&whole).await?;
        // Where there are no transactions, it is done without.
        let done: HashSet<&[u8]> = (0..anew.len())
            .filter(|place| !not_put.impossible.contains(place))
            .filter_map(|place| anew.get(place).map(|document| document.key.as_slice()))
            .collect();
        let known = documents.iter().filter(|document| !document.key.is_empty());
        let written: Vec<(&Document, Write<'_>)> = known
            .filter(|document| match deletes {
                true => document.left.is_none() && document.difference.difference == ONLY_RIGHT,
                false => document.left.is_some() && !done.contains(document.key.as_slice()),
            })
            .flat_map(|document| document.writes(&target).map(move |write| (document, write)))
            .collect();
        let writes: Vec<Write<'_>> = written.iter().map(|(_, write)| write.clone()).collect();
        let outcome = target.send(&writes).await?;
        let (mut in_the_way, mut back) = (Vec::new(), Vec::new());
        for one in not_put.refused {
            in_the_way.extend(whole.get(one.index).cloned());
            refuse(format!("{}: {}", pair.right.namespace, one.reason), 1);
        }
        for one in outcome.refused {
            let Some((document, write)) = written.get(one.index) else { continue };
            if let (Write::Insert(_), Some(right)) = (write, &document.right) {
                // It was deleted for that.
                back.push(Write::Insert(Cow::Borrowed(right)));
            }
            if one.code == DUPLICATE_KEY {
                in_the_way.extend(document.left.clone());
            }
            refuse(format!("{}: {}", pair.right.namespace, one.reason), 1);
        }
        target.send(&back).await?;
        target.exchange(&in_the_way).await.map(drop)
    }

    /// Differences of one part, as many as may be in memory with their documents.
    fn at_once<'a>(&self, some: &'a [Difference]) -> Result<impl Iterator<Item = &'a [Difference]> + use<'a>> {
        let Some(first) = some.first() else { return Ok(some.chunks(1)) };
        let pair = self.pair(first)?;
        Ok(some.chunks(pair.left.at_once().min(pair.right.at_once())))
    }

    /// What both sides have of documents of one part.
    async fn fetch(&self, some: &[Difference]) -> Result<Vec<Document>> {
        let Some(first) = some.first() else { return Ok(Vec::new()) };
        let pair = self.pair(first)?;
        let bounds = pair.parts.get(first.part).cloned().unwrap_or_default();
        let keys: Vec<Vec<u8>> = some.iter().map(|difference| from_hex(&difference.key)).collect();
        let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).filter(|key| !key.is_empty()).collect();
        let (mut left, mut right) =
            futures_util::try_join!(pair.left.fetch(&bounds, &asked), pair.right.fetch(&bounds, &asked))?;
        let of = |(difference, key): (&Difference, Vec<u8>)| {
            let canonical = document::id(&key).map(|id| Key::of(&id).into_bytes()).unwrap_or_default();
            let (left, right) = (left.remove(&canonical), right.remove(&canonical));
            Document { difference: difference.clone(), key, left, right }
        };
        Ok(some.iter().zip(keys).map(of).collect())
    }

    fn pair(&self, difference: &Difference) -> Result<&Pair> {
        self.pairs.get(&difference.namespace).copied().ok_or_else(|| {
            let message = format!("{} is not compared, and the findings name it", difference.namespace);
            Error::new(ErrorKind::Damaged, message).at(self.findings.place())
        })
    }
}

impl Document {
    /// What is found about it now; nothing if it is equal.
    fn look_again(self, mending: &Mending<'_>) -> Result<Option<Difference>> {
        if self.key.is_empty() {
            // Nothing tells it from others.
            return Ok(Some(self.difference));
        }
        let finding = match Finding::between(self.left.as_deref(), self.right.as_deref()) {
            Some(Finding::FieldOrder { .. }) if mending.ignores_field_order => None,
            finding => finding,
        };
        let place = (&mending.pair(&self.difference)?.left.namespace, self.difference.part);
        finding.map(|finding| Difference::new(place, (&self.key, true), &finding)).transpose()
    }

    /// Whether no update makes the right side what the left one is: the bytes of an `_id` stay as they are.
    fn is_put_anew(&self, target: &Target) -> bool {
        matches!((&self.left, &self.right), (Some(left), Some(right))
            if document::id(left) != document::id(right) || target.must_insert(left))
    }

    /// What makes the right side what the left one is.
    fn writes(&self, target: &Target) -> impl Iterator<Item = Write<'_>> + use<'_> {
        let (delete, put) = match (&self.left, &self.right) {
            (None, None) => (None, None),
            (None, Some(right)) => (Some(Write::Delete(Cow::Borrowed(right))), None),
            (Some(left), None) => (None, Some(Write::Insert(Cow::Borrowed(left)))),
            (Some(left), Some(right)) if self.is_put_anew(target) => {
                (Some(Write::Delete(Cow::Borrowed(right))), Some(Write::Insert(Cow::Borrowed(left))))
            }
            (Some(left), Some(_)) => (None, Some(Write::Put(Cow::Borrowed(left)))),
        };
        delete.into_iter().chain(put)
    }
}
