//! Two streams of documents whose order only the server knows, or which have none: a document waits until the same one comes
//! from the other side.
//!
//! Copies come in the same order, so few wait. If all had to, as in collections without an index on `_id` that were loaded in
//! parallel, their `_id`s and digests would be in memory.

use std::collections::{HashMap, HashSet, VecDeque};

use transload_format::document_digest;

use super::{item::Item, ledger::Ledger, stream::Stream};
use crate::{
    changes::{key::Key, shelf::FETCHED_AT_ONCE},
    document::{self, RawBuilder},
    error::Result,
    scan::Bounds,
};

/// Bytes of documents of one side that wait. Of those above it digests are kept.
pub(crate) const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// A side, of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Left,
    Right,
}

impl Hand {
    fn other(self) -> Self {
        match self {
            Hand::Left => Hand::Right,
            Hand::Right => Hand::Left,
        }
    }
}

/// A document that waits, and its place on its side.
struct Waiting {
    place: u64,
    document: Held,
}

/// What is kept of a document.
enum Held {
    Whole(Vec<u8>),
    /// Its digest, and its `{_id: …}`.
    Digest(u64, Vec<u8>),
}

impl Held {
    fn is(&self, document: &[u8]) -> bool {
        match self {
            Held::Whole(held) => held == document,
            Held::Digest(digest, _) => *digest == document_digest(document),
        }
    }

    /// The document, or `{_id: …}`.
    fn bytes(&self) -> &[u8] {
        match self {
            Held::Whole(bytes) | Held::Digest(_, bytes) => bytes,
        }
    }

    /// Notes what it is against the same document of the other side; `of` is the side that it is of.
    fn compare(&self, of: Hand, other: &[u8], ledger: &mut Ledger<'_>) -> Result<()> {
        match self {
            Held::Whole(held) if of == Hand::Left => ledger.compare(Some(held), Some(other)),
            Held::Whole(held) => ledger.compare(Some(other), Some(held)),
            Held::Digest(..) if self.is(other) => ledger.compare(Some(other), Some(other)),
            Held::Digest(_, key) => ledger.unequal(if of == Hand::Left { key } else { other }),
        }
    }
}

/// The documents of one side that wait, by their `_id`s, or by all of them where they have none.
#[derive(Default)]
struct Side {
    waiting: HashMap<Vec<u8>, VecDeque<Waiting>>,
    bytes: usize,
}

impl Side {
    fn wait(&mut self, key: Vec<u8>, place: u64, document: &[u8]) {
        let document = if self.bytes + document.len() <= WAITING_BYTES {
            self.bytes += document.len();
            Held::Whole(document.to_vec())
        } else {
            Held::Digest(document_digest(document), id_of(document))
        };
        self.waiting.entry(key).or_default().push_back(Waiting { place, document });
    }

    /// The one that waits for `document`: an equal one, if there is one.
    fn meet(&mut self, key: &[u8], document: &[u8]) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(key)?;
        let equal = waiting.iter().position(|waiting| waiting.document.is(document));
        let met = waiting.remove(equal.unwrap_or(0));
        if waiting.is_empty() {
            self.waiting.remove(key);
        }
        if let Some(Waiting { document: Held::Whole(whole), .. }) = &met {
            self.bytes -= whole.len();
        }
        met
    }
}

/// Whether what has met came in one order on both sides. Pairs are found in the order of the later of both, so as long as both
/// sides' places grow, nothing stands elsewhere.
#[derive(Default)]
struct Places {
    left: u64,
    right: u64,
    crossed: bool,
}

impl Places {
    fn meet(&mut self, left: u64, right: u64) {
        self.crossed |= left < self.left || right < self.right;
        (self.left, self.right) = (left, right);
    }
}

/// Documents that wait, on both sides.
#[derive(Default)]
struct Waiters {
    left: Side,
    right: Side,
    places: Places,
}

impl Waiters {
    fn is_nobody(&self) -> bool {
        self.left.waiting.is_empty() && self.right.waiting.is_empty()
    }

    /// A document has come from one side: the other one has it waiting, or it waits.
    fn come(&mut self, from: Hand, place: u64, document: &[u8], ledger: &mut Ledger<'_>) -> Result<()> {
        let (own, others) = match from {
            Hand::Left => (&mut self.left, &mut self.right),
            Hand::Right => (&mut self.right, &mut self.left),
        };
        let key = key_of(document);
        let Some(waiting) = others.meet(&key, document) else {
            own.wait(key, place, document);
            return Ok(());
        };
        match from {
            Hand::Left => self.places.meet(place, waiting.place),
            Hand::Right => self.places.meet(waiting.place, place),
        }
        waiting.document.compare(from.other(), document, ledger)
    }
}

/// Compares two streams of these items. Gives whether documents stand in another order on the right.
///
/// # Errors
/// When a side cannot be read.
pub(super) async fn join(
    (left_item, left): (&Item, &mut Stream),
    (right_item, right): (&Item, &mut Stream),
    ledger: &mut Ledger<'_>,
) -> Result<bool> {
    let (mut waiters, mut place) = (Waiters::default(), 0);
    loop {
        futures_util::try_join!(left.fill(), right.fill())?;
        let (one, other) = (left.current(), right.current());
        if one.is_none() && other.is_none() {
            break;
        }
        place += 1;
        match one.zip(other).filter(|(one, other)| waiters.is_nobody() && is_one(one, other)) {
            Some((one, other)) => {
                waiters.places.meet(place, place);
                ledger.compare(Some(one), Some(other))?;
            }
            None => {
                one.map_or(Ok(()), |document| waiters.come(Hand::Left, place, document, ledger))?;
                other.map_or(Ok(()), |document| waiters.come(Hand::Right, place, document, ledger))?;
            }
        }
        left.advance();
        right.advance();
    }
    let crossed = waiters.places.crossed;
    alone((left_item, waiters.left), (right_item, waiters.right), ledger).await?;
    Ok(crossed)
}

/// Documents that have met none with their `_id`. Where a server may hold other bytes to be equal, it is asked.
async fn alone(
    (left, of_left): (&Item, Side),
    (right, of_right): (&Item, Side),
    ledger: &mut Ledger<'_>,
) -> Result<()> {
    let rest = |side: Side| side.waiting.into_values().flatten().map(|waiting| waiting.document).collect::<Vec<Held>>();
    let (of_left, of_right) = (rest(of_left), rest(of_right));
    let may_be_pairs = left.has_collation() && !of_left.is_empty() && !of_right.is_empty();
    let met = if may_be_pairs && !right.is_in_archive() {
        pairs((&of_left, Hand::Left), right, ledger).await?
    } else if may_be_pairs && !left.is_in_archive() {
        pairs((&of_right, Hand::Right), left, ledger).await?
    } else {
        HashSet::new()
    };
    for held in of_left.iter().filter(|held| !met.contains(&key_of(held.bytes()))) {
        ledger.compare(Some(held.bytes()), None)?;
    }
    for held in of_right.iter().filter(|held| !met.contains(&key_of(held.bytes()))) {
        ledger.compare(None, Some(held.bytes()))?;
    }
    Ok(())
}

/// Compares documents of one side with what the server of the other one holds under their `_id`s. Gives the keys of both.
async fn pairs((alone, of): (&[Held], Hand), other: &Item, ledger: &mut Ledger<'_>) -> Result<HashSet<Vec<u8>>> {
    let mut met = HashSet::new();
    for some in alone.chunks(FETCHED_AT_ONCE) {
        let keys: Vec<Vec<u8>> = some.iter().map(|held| id_of(held.bytes())).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let found = other.fetch(&Bounds::default(), &keys).await?;
        for held in some {
            if let Some(document) = found.get(&key_of(held.bytes())) {
                held.compare(of, document, ledger)?;
                met.extend([key_of(held.bytes()), key_of(document)]);
            }
        }
    }
    Ok(met)
}

/// Whether two documents have one `_id`, by its bytes.
fn is_one(one: &[u8], other: &[u8]) -> bool {
    document::id(one).zip(document::id(other)).is_some_and(|(one, other)| one.whole == other.whole)
}

/// The `_id` as the server compares it, where it needs no collation for that; of a document that has none, its digest.
fn key_of(document: &[u8]) -> Vec<u8> {
    let digest = || document_digest(document).to_le_bytes().to_vec();
    document::id(document).map_or_else(digest, |id| Key::of(&id).into_bytes())
}

/// `{_id: …}`, empty where there is none.
fn id_of(document: &[u8]) -> Vec<u8> {
    document::id(document).map_or_else(Vec::new, |id| RawBuilder::new().append(&id).finish())
}
