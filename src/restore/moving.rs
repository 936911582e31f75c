//! A restore that is a part of a migration: it follows an archive that is still written, may be killed at any moment, and
//! leaves for later what changes must not meet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{LoadJournal, RestoreOptions, Source, building::build, indexes, plan::Plan, run};
use crate::{
    archive::ArchiveFile,
    brake::Brake,
    catalog::{
        self, IndexFailure,
        sharding::Sharding,
        sidecar::{index_name, spec_value},
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    report::RestoreReport,
};

/// What all restores of a migration have in common.
#[derive(Clone, Debug)]
pub(crate) struct Within {
    /// What their scratch collections are known by.
    pub(crate) number: u32,
    /// Which collections are sharded when they are created.
    pub(crate) sharding: Option<Arc<Sharding>>,
    /// What holds them back.
    pub(crate) brake: Brake,
}

/// Is told how far each namespace of the archive is, by its id.
pub(crate) trait LoadWatch: std::fmt::Debug + Send + Sync {
    /// The target has this much more of a namespace.
    fn loaded(&self, namespace: u32, documents: u64, bytes: u64);
    /// A namespace is about to be loaded from its beginning: what was loaded of it before does not count.
    fn anew(&self, namespace: u32);
    /// The target has all of a namespace, which is written down.
    fn complete(&self, namespace: u32);
}

/// What a load of a migration is besides a restore.
#[derive(Debug)]
pub(crate) struct Moving {
    journal: LoadJournal,
    /// Whether the collections were made by a load before this one.
    goes_on: bool,
    watch: Arc<dyn LoadWatch>,
    /// How many blocks each namespace has of which no more come.
    expected: Mutex<HashMap<u32, u64>>,
    /// How many blocks of each namespace hold documents that the target does not take.
    refused: Mutex<HashMap<u32, u64>>,
}

impl Moving {
    /// A load that goes on where `journal` ends.
    pub(crate) fn new(journal: LoadJournal, watch: Arc<dyn LoadWatch>) -> Self {
        let goes_on = journal.has_begun();
        Moving { journal, goes_on, watch, expected: Mutex::default(), refused: Mutex::default() }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    pub(super) fn has(&self, namespace: u32, block: u64) -> bool {
        self.journal.has(namespace, block)
    }

    /// Forgets what was loaded of collections that are about to be made.
    pub(super) fn forget(&self, plan: &Plan) -> Result<()> {
        plan.collections().filter(|planned| planned.create).try_for_each(|planned| {
            self.watch.anew(planned.id);
            self.journal.anew(planned.id)
        })
    }

    /// The collections are made.
    pub(super) fn prepared(&self) -> Result<()> {
        self.journal.begin()
    }

    /// Counts a block that the target has from before.
    pub(super) fn pass_over(&self, namespace: u32, documents: u32, bytes: u32) {
        self.watch.loaded(namespace, u64::from(documents), u64::from(bytes));
    }

    /// The target has a block, or all that it takes of it. Then it is sent again by a load that goes on, and refused again: it
    /// is not forgotten that it was.
    pub(super) async fn loaded(
        self: &Arc<Self>,
        namespace: u32,
        block: u64,
        documents: u64,
        bytes: u64,
        is_whole: bool,
    ) -> Result<()> {
        self.watch.loaded(namespace, documents, bytes);
        let moving = Arc::clone(self);
        blocking(move || {
            if is_whole {
                moving.journal.note(namespace, block)?;
            } else {
                *moving.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace).or_default() += 1;
            }
            moving.look(namespace)
        })
        .await
    }

    /// No more of a namespace comes.
    pub(super) async fn expect(self: &Arc<Self>, namespace: u32, blocks: u64) -> Result<()> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace, blocks);
        let moving = Arc::clone(self);
        blocking(move || moving.look(namespace)).await
    }

    /// Whether all of a namespace is loaded.
    fn look(&self, namespace: u32) -> Result<()> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).get(&namespace).copied();
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(&namespace).copied();
        let done = self.journal.blocks(namespace) + refused.unwrap_or(0);
        if expected.is_some_and(|blocks| done >= blocks) {
            self.journal.write_down()?;
            self.watch.complete(namespace);
        }
        Ok(())
    }

    /// Writes down what is loaded.
    pub(super) async fn write_down(self: &Arc<Self>) -> Result<()> {
        let moving = Arc::clone(self);
        blocking(move || moving.journal.write_down()).await
    }
}

async fn blocking(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let died = |panic| Err(Error::new(ErrorKind::Internal, format!("the journal of the load died: {panic}")));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(died)
}

/// Restores an archive that is whole.
///
/// # Errors
/// As [`restore`](super::restore).
pub(crate) async fn restore_in_move(
    archive: ArchiveFile,
    server: &Server,
    options: RestoreOptions,
    within: Within,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport> {
    run(Source::File(archive), server, options, Some(within), None, progress, cancel).await
}

/// Loads an archive as it grows.
///
/// # Errors
/// As [`restore`](super::restore).
pub(crate) async fn load(
    growing: Source,
    server: &Server,
    options: RestoreOptions,
    within: Within,
    moving: Moving,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport> {
    run(growing, server, options, Some(within), Some(Arc::new(moving)), progress, cancel).await
}

/// Builds the unique indexes that a load has left for later, of collections that are there still. Gives back which of them
/// could not be built.
///
/// # Errors
/// When the archive or the target cannot be read.
pub(crate) async fn build_unique(
    archive: &ArchiveFile,
    server: &Server,
    options: &RestoreOptions,
    moving: &Moving,
    progress: &dyn Progress,
) -> Result<Vec<IndexFailure>> {
    let sidecar = indexes::sidecar(&options.indexes, Some(archive), archive.contents())?;
    let plan = Plan::new(server, archive.contents(), &sidecar, options, Some(moving), None).await?;
    let mut failures = Vec::new();
    progress.stage("building unique indexes", None, None);
    for planned in plan.collections() {
        let specs: Vec<Vec<u8>> = planned
            .indexes
            .build
            .iter()
            .filter(|index| catalog::is_unique(&index.spec))
            .map(|index| catalog::without_expiry(&index.spec, server.version()))
            .collect();
        if specs.is_empty() || catalog::found(server, &planned.target).await?.is_none() {
            continue;
        }
        let reasons = build(server, planned, &specs, u64::MAX, progress).await?;
        for (spec, reason) in specs.iter().zip(reasons) {
            let Some(reason) = reason else { continue };
            let text = spec_value(spec).map_or_else(|_| "(malformed)".to_owned(), |spec| spec.to_string());
            let (namespace, index) = (planned.target.clone(), index_name(spec));
            failures.push(IndexFailure { namespace, index, spec: text, reason });
        }
    }
    Ok(failures)
}
