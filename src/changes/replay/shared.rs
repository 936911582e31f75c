//! What all lanes of a replay share, and the questions that they ask it.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use transload_format::{Collection, CollectionType};

use super::{
    DeadLetter, UNTOLD, UNTOLD_LATER,
    dead_letter::DeadLetters,
    journal::Journal,
    lag::Lag,
    lost::Lost,
    reading::Memory,
    report::Counts,
    windows::{Standing, Windows},
};
use crate::{
    catalog::{self, sharding::Sharding},
    changes::{Event, Nested, Paths, cdc},
    connect::{Server, Version},
    document,
    error::{Error, ErrorKind, Result},
    hex::from_hex,
    namespace::Namespace,
    progress::{News, Progress},
    selection::Selection,
};

/// The first release whose update events may name fields with dots in them.
const DOTS_SINCE: Version = Version::new(5, 0, 0);

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: Server,
    /// Where documents are fetched from, if they may be.
    pub(super) source: Option<Server>,
    pub(super) source_version: Option<Version>,
    /// Whether the source is one replica set, and no cluster of several.
    pub(super) source_is_one_set: bool,
    /// Whether updates came with their documents, which are of no later time than what is to be applied in the end.
    pub(super) tells_documents: bool,
    pub(super) windows: Option<Windows>,
    pub(super) until: Option<u64>,
    pub(super) selection: Selection,
    /// What was moved before, if the changes lead back.
    pub(super) back: Option<Selection>,
    /// Whether a cutover will do what no replay can.
    pub(super) until_cutover: bool,
    /// Which collections are sharded when they are created.
    pub(super) sharding: Option<Arc<Sharding>>,
    /// Whether the target is a cluster, whose collections may be sharded.
    pub(super) is_routed: bool,
    pub(super) journal: Journal,
    pub(super) dead_letters: DeadLetters,
    pub(super) counts: Counts,
    pub(super) lag: Lag,
    /// The logs that are not followed any more.
    pub(super) lost: Lost,
    pub(super) warnings: std::sync::Mutex<Vec<String>>,
    /// Runs that may be applied at once.
    pub(super) slots: Semaphore,
    pub(super) memory: Memory,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) cancel: CancellationToken,
}

impl Shared {
    /// Whether updates may be applied as what they are: only if it is known which of them the copy has.
    pub(super) fn patches(&self) -> bool {
        self.windows.is_some()
    }

    pub(super) fn standing(&self, namespace: &Namespace, event: &Event<'_>) -> Standing {
        let id = || event.key.and_then(document::id);
        self.windows.as_ref().map_or(Standing::After, |windows| windows.of_document(namespace, id, event.time))
    }

    /// Whether a collection was copied once more after that.
    pub(super) fn was_made_after(&self, namespace: &Namespace, time: u64) -> bool {
        self.windows.as_ref().is_some_and(|windows| windows.was_made_after(namespace, time))
    }

    /// Under which name a namespace of the source is applied; none when it is not selected.
    ///
    /// # Errors
    /// When that is a name of the collections that hold events: a replay would destroy what it reads.
    pub(super) fn target_of(&self, source: &Namespace) -> Result<Option<Namespace>> {
        let target = match &self.back {
            None => self.selection.target(source)?,
            Some(moved) if self.selection.takes(source) => moved.origin(source)?,
            Some(_) => None,
        };
        match target.as_ref().filter(|target| [cdc::EVENTS, cdc::POSITIONS].contains(&target.collection())) {
            None => Ok(target),
            Some(taken) => Err(Error::new(
                ErrorKind::Usage,
                format!("{source} would be applied to {taken}, which is kept for change events"),
            )
            .with_hint("name another collection in --rename, or leave it out with --exclude")),
        }
    }

    /// An event as it is to be applied.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn event<'a>(&self, raw: &'a [u8]) -> Result<Event<'a>> {
        let event = Event::parse(raw)?;
        Ok(if self.tells_documents { event.with_later_document() } else { event })
    }

    /// What dots mean in the events of this source.
    pub(super) fn paths(&self) -> Paths {
        match self.source_version {
            Some(version) if version < DOTS_SINCE => Paths::Plain,
            _ if self.source.is_some() => Paths::Maybe(Nested::Refetch),
            _ => Paths::Maybe(Nested::Trust),
        }
    }

    /// Keeps dead letters, and takes back those of documents that are whole again; durable when this returns.
    pub(super) async fn keep(self: &Arc<Self>, letters: Vec<DeadLetter>) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        self.tell_of(&letters);
        let shared = Arc::clone(self);
        blocking(move || shared.dead_letters.add(letters)).await
    }

    /// Tells of dead letters: of those for one reason once, as there may be thousands.
    fn tell_of(&self, letters: &[DeadLetter]) {
        let mut counts: BTreeMap<(&Namespace, &str), u64> = BTreeMap::new();
        for letter in letters.iter().filter(|letter| !letter.healed) {
            *counts.entry((&letter.namespace, &letter.reason)).or_default() += 1;
            if letter.is_of_all() {
                self.progress.of(&letter.namespace, &News::NotFollowed);
            }
        }
        for ((namespace, reason), count) in counts {
            self.progress.of(namespace, &News::DeadLetters { count, reason });
        }
    }

    /// The dead letters about documents of a collection.
    pub(super) async fn letters_of(self: &Arc<Self>, namespace: &Namespace) -> Result<Vec<DeadLetter>> {
        if self.dead_letters.is_empty() {
            return Ok(Vec::new());
        }
        let (shared, namespace) = (Arc::clone(self), namespace.clone());
        blocking(move || shared.dead_letters.of_documents(&namespace)).await
    }

    /// The dead letters that say of a collection that it has to be copied anew.
    pub(super) async fn letters_of_all(self: &Arc<Self>, namespace: &Namespace) -> Result<Vec<DeadLetter>> {
        if self.dead_letters.is_empty() {
            return Ok(Vec::new());
        }
        let (shared, namespace) = (Arc::clone(self), namespace.clone());
        blocking(move || shared.dead_letters.of_all(&namespace)).await
    }

    /// Keeps what could not be done to a collection, once, so that no replay of the directory looks whole any more.
    pub(super) async fn keep_of_collection(self: &Arc<Self>, letter: DeadLetter) -> Result<()> {
        if self.dead_letters.has(&letter.namespace, &from_hex(&letter.id)) {
            return Ok(());
        }
        self.progress.warn(&format!("{}: {}", letter.namespace, letter.reason));
        self.keep(vec![letter]).await
    }

    /// Says that the target has not all of a collection of which no server gives change events.
    pub(super) async fn is_untold(self: &Arc<Self>, namespace: &Namespace) -> Result<()> {
        if self.target_of(namespace)?.is_none() {
            return Ok(());
        }
        if self.until_cutover {
            self.progress.warn(&format!("{namespace}: {UNTOLD_LATER}"));
            self.progress.of(namespace, &News::NotFollowed);
            return Ok(());
        }
        self.keep_of_collection(DeadLetter::of_all(namespace, UNTOLD)).await
    }

    /// Creates a collection of the target, and shards it if it is to be.
    pub(super) async fn create(&self, target: &Namespace, collection: &Collection) -> Result<()> {
        catalog::create(&self.target, target, collection).await?;
        match collection.kind {
            CollectionType::Collection => self.shard(target).await,
            CollectionType::View | CollectionType::TimeSeries => Ok(()),
        }
    }

    /// Shards a collection of the target, if it is to be and is not yet.
    pub(super) async fn shard(&self, target: &Namespace) -> Result<()> {
        match &self.sharding {
            Some(sharding) => sharding.shard(&self.target, target, None).await,
            None => Ok(()),
        }
    }

    /// A log is applied up to this time.
    pub(super) fn reached(&self, log: u32, time: u64) {
        if let Some(applied) = self.lag.reached(log, time) {
            self.progress.applied(applied);
        }
    }

    /// The stream of a log is not followed any more, which is written down.
    pub(super) fn ended(&self, log: u32) {
        if let Some(applied) = self.lag.ended(log) {
            self.progress.applied(applied);
        }
    }

    pub(super) fn warn(&self, message: String) {
        self.progress.warn(&message);
        self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(message);
    }
}

/// Does what waits for a disk in a thread that may wait.
///
/// # Errors
/// What it fails with; a panic in it is an internal error.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let died = |panic| Err(Error::new(ErrorKind::Internal, format!("what reads or writes a disk died: {panic}")));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(died)
}
