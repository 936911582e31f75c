//! The verb `restore`: an archive into a server.
//!
//! ```text
//! archive: blocks ─▶ cpu: check, decompress ─▶ batches ─▶ load: M inserters ─▶ indexes ─▶ views
//! ```
//! Nothing is written before the plan stands: the archive is whole, the selection matches, the target is free. Small
//! collections get their indexes before their documents already, where that changes nothing but the time it takes.

mod account;
mod building;
mod early;
mod indexes;
mod load_journal;
mod loaders;
mod moving;
mod plan;
mod users_and_roles;

use std::{
    collections::HashSet,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transload_format::{CollectionType, Contents, Kind};

pub use indexes::{IndexPlan, IndexPolicy, IndexSource, LeftIndex};
pub use plan::{Existing, Plan, Planned};
pub(crate) use {
    load_journal::LoadJournal,
    moving::{LoadWatch, Moving, Within, build_unique, load, restore_in_move},
};

use crate::{
    archive::{ArchiveFile, Streamed, stream as stream_archive},
    at_once::at_once,
    batch::Budget,
    brake::Brake,
    catalog::{self, BuildWatch, Footprint, sharding::Sharding},
    connect::Server,
    error::{Error, ErrorKind, Result},
    load::Loaded,
    progress::Progress,
    rate::Rate,
    report::RestoreReport,
    selection::SelectionOptions,
};
use account::Done;
use loaders::Loaders;
use users_and_roles::UsersAndRoles;

/// Bytes of batches that may be in memory between the archive and the server.
pub(crate) const MEMORY: usize = 32 * 1024 * 1024;

/// What is said when that takes its time.
const LATE: &str = "the target is at writes to the same databases: the end of those that are under way is waited for";
/// How long an interrupted restore waits for the proofs of index specs that are under way.
const LAST_PROOFS: Duration = Duration::from_secs(5);
/// Blocks that are proven at once.
const CHECKED_AT_ONCE: usize = 8;

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// What to restore, and under which names.
    pub selection: SelectionOptions,
    /// What to do with collections that the target has already.
    pub existing: Existing,
    /// Make the plan and stop.
    pub dry_run: bool,
    /// Whether to prove the whole archive before anything is written.
    pub check: bool,
    /// Which indexes to build; the one on `_id` comes with each collection.
    pub indexes: IndexSource,
    /// What to do about index specs that are not as servers take them.
    pub index_policy: IndexPolicy,
    /// Whether to merge the archive's users and roles into the target's.
    pub users_and_roles: bool,
    /// Insert commands in flight at once, and collections whose indexes are built at once.
    pub parallel: usize,
    /// How much is loaded in a second, at most.
    pub max_rate: Option<Rate>,
}

/// Where the archive comes from.
pub enum Source {
    /// A file.
    File(ArchiveFile),
    /// A stream, with its name for messages.
    Stream(&'static str, Box<dyn Read + Send>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(archive) => write!(f, "File({})", archive.name()),
            Source::Stream(name, _) => write!(f, "Stream({name})"),
        }
    }
}

/// What all stages of a restore share.
struct Restore<'a> {
    server: &'a Server,
    options: &'a RestoreOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
    budget: Budget,
    footprint: Footprint,
    /// The migration that it is a part of.
    within: Option<Within>,
    /// What it is besides, as the load of a copy.
    moving: Option<Arc<Moving>>,
}

/// Restores what the options select.
///
/// # Errors
/// When the archive is not whole, the target is not free, or a server fails. Documents and indexes that the target
/// refuses are no error: they are counted, and [`RestoreReport::is_whole`] says so.
pub async fn restore(
    source: Source,
    server: &Server,
    options: RestoreOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport> {
    run(source, server, options, None, None, progress, cancel).await
}

async fn run(
    source: Source,
    server: &Server,
    options: RestoreOptions,
    within: Option<Within>,
    moving: Option<Arc<Moving>>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport> {
    let begun = Instant::now();
    server.check_acknowledged()?;
    let server = &server.reading_primary();
    let retries_before = server.retries();
    let restore = Restore {
        server,
        options: &options,
        progress,
        cancel,
        budget: Budget::new(MEMORY),
        footprint: within
            .as_ref()
            .map_or_else(Footprint::default, |within| Footprint::known_by(within.number, moving.is_some())),
        within,
        moving,
    };
    let name = match &source {
        Source::File(archive) => archive.name().to_owned(),
        Source::Stream(name, _) => (*name).to_owned(),
    };
    let stop = restore.cancel.clone();
    let work = async {
        match source {
            Source::File(archive) => restore.file(&archive).await,
            Source::Stream(name, input) => restore.stream(name, input).await,
        }
    };
    let mut work = std::pin::pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        () = stop.cancelled() => {
            tokio::select! {
                _ = &mut work => {}
                () = restore.footprint.scratches.stop() => {}
                () = tokio::time::sleep(LAST_PROOFS) => {}
            }
            Err(Error::interrupted())
        }
    };
    if done.is_err() {
        restore.footprint.scratches.sweep(server).await;
    }
    let done = done.map_err(|error| restore.what_stays(error))?;
    let mut report = done.into_report();
    (report.archive, report.target) = (name, server.place());
    (report.dry_run, report.seconds) = (options.dry_run, begun.elapsed().as_secs_f64());
    report.retries = server.retries() - retries_before;
    Ok(report)
}

impl Restore<'_> {
    /// Which collections are sharded when they are created.
    fn sharding(&self) -> Option<&Sharding> {
        self.within.as_ref()?.sharding.as_deref()
    }

    /// What holds it back.
    fn brake(&self) -> Option<&Brake> {
        self.within.as_ref().map(|within| &within.brake)
    }

    /// Says what a failed restore leaves on the target.
    fn what_stays(&self, error: Error) -> Error {
        let left = match self.footprint.is_any() {
            // What the target had before is no matter of ours to drop.
            _ if self.within.is_some() => return error,
            true if self.options.existing == Existing::Append => "what was loaded stays on the target",
            true => "what was loaded stays on the target; 'restore --drop' begins anew",
            false => "nothing was written to the target",
        };
        let hint = error.hint().map_or(left.to_owned(), |hint| format!("{hint}; {left}"));
        error.with_hint(hint)
    }

    async fn file(&self, archive: &ArchiveFile) -> Result<Done> {
        let contents = archive.contents();
        let sidecar = indexes::sidecar(&self.options.indexes, Some(archive), contents)?;
        let mut plan = Plan::new(self.server, contents, &sidecar, self.options, None, self.sharding()).await?;
        let mut those = self.users_and_roles(contents)?;
        plan.warnings.iter().for_each(|warning| self.progress.warn(warning));
        if self.options.dry_run {
            indexes::refuse_bad(&plan, self.options.index_policy)?;
            return Ok(Done::nothing(plan, contents));
        }
        let wanted: Vec<usize> = contents
            .blocks()
            .iter()
            .enumerate()
            .filter(|(_, block)| block.kind == Kind::Documents && plan.by_id(block.namespace).is_some())
            .map(|(number, _)| number)
            .collect();
        if self.options.check {
            // Records are few and small; one that is damaged says that the file is not what was written.
            let records = contents.blocks().iter().enumerate().filter(|(_, block)| block.kind == Kind::Record);
            let all: Vec<usize> = records.map(|(number, _)| number).chain(wanted.iter().copied()).collect();
            self.check(archive, &all).await?;
        }
        if self.late_writes_end(&plan).await? {
            plan = Plan::new(self.server, contents, &sidecar, self.options, None, self.sharding()).await?;
        }
        self.prove_indexes(&mut plan).await?;
        self.prepare(&plan).await?;
        let sharding = self.sharding();
        let early =
            early::build(self.server, &self.footprint, &plan, contents, sharding, self.options.parallel).await?;
        let (documents, bytes) = plan.sums(contents);
        self.progress.stage("restoring", Some(documents), Some(bytes));
        let loaders = Loaders::start(self.server, &plan, &early, self.options, &self.progress, None, self.brake());
        for number in wanted {
            let batch = archive.batch(number, &self.budget).await?;
            if !loaders.hand_over(batch).await {
                break;
            }
        }
        let loaded = loaders.finish().await?;
        if self.options.users_and_roles {
            those.read(archive, &self.budget).await?;
        }
        self.complete(plan, contents, loaded, &those).await
    }

    /// The users and roles of an archive.
    fn users_and_roles(&self, contents: &Contents) -> Result<UsersAndRoles> {
        let those = UsersAndRoles::of(contents);
        if self.options.users_and_roles {
            those.check()?;
        }
        Ok(those)
    }

    async fn stream(&self, name: &str, input: Box<dyn Read + Send>) -> Result<Done> {
        let mut stream = stream_archive(name, input, self.budget.clone());
        let early = || Error::new(ErrorKind::Internal, "the stream ended without a word");
        let Streamed::Announced(announced) = stream.recv().await.ok_or_else(early)?? else { return Err(early()) };
        let sidecar = indexes::sidecar(&self.options.indexes, None, &announced)?;
        let moving = self.moving.as_deref();
        let mut plan = Plan::new(self.server, &announced, &sidecar, self.options, moving, self.sharding()).await?;
        let mut those = self.users_and_roles(&announced)?;
        plan.warnings.iter().for_each(|warning| self.progress.warn(warning));
        if self.options.dry_run {
            indexes::refuse_bad(&plan, self.options.index_policy)?;
        } else {
            if self.late_writes_end(&plan).await? {
                plan = Plan::new(self.server, &announced, &sidecar, self.options, None, self.sharding()).await?;
            }
            self.prove_indexes(&mut plan).await?;
            if let Some(moving) = &self.moving {
                plan.hold_back(self.server.version());
                moving.forget(&plan)?;
            }
            self.prepare(&plan).await?;
            if let Some(moving) = &self.moving {
                moving.prepared()?;
            }
            self.progress.stage("restoring", None, None);
        }
        // How many documents a collection has is known when they have come.
        let (none, moving) = (HashSet::new(), self.moving.as_ref());
        let loaders = Loaders::start(self.server, &plan, &none, self.options, &self.progress, moving, self.brake());
        loop {
            match stream.recv().await.ok_or_else(early)?? {
                Streamed::Announced(_) => return Err(late(name)),
                Streamed::Batch(batch) => {
                    if batch.kind == Kind::Events {
                        return Err(plan::holds_events());
                    }
                    if self.options.users_and_roles && those.has(batch.namespace) {
                        let id = batch.namespace;
                        those.keep(id, batch.wait().await?.documents);
                    } else if self.options.dry_run || plan.by_id(batch.namespace).is_none() {
                        // Whatever is not loaded must still be whole.
                        batch.wait().await?;
                    } else if let Some(moving) = moving.filter(|moving| moving.has(batch.namespace, batch.block)) {
                        moving.pass_over(batch.namespace, batch.count, batch.len);
                        loaders.pass_over(&batch);
                    } else if !loaders.hand_over(batch).await {
                        loaders.finish().await?;
                        return Err(early());
                    }
                }
                Streamed::NamespaceFinished { namespace, blocks } => {
                    if let Some(moving) = moving.filter(|_| plan.by_id(namespace).is_some()) {
                        moving.expect(namespace, blocks).await?;
                    }
                }
                Streamed::Finished(contents) => {
                    let loaded = loaders.finish().await?;
                    if let Some(moving) = moving {
                        moving.write_down().await?;
                    }
                    if self.options.dry_run {
                        return Ok(Done::nothing(plan, &contents));
                    }
                    return self.complete(plan, &contents, loaded, &those).await;
                }
            }
        }
    }

    /// Proves every byte that will be used, stored and raw, before anything is written.
    async fn check(&self, archive: &ArchiveFile, wanted: &[usize]) -> Result<()> {
        let bytes = archive.bytes()?;
        self.progress.stage("checking the archive", None, Some(bytes));
        let one = async |number: usize| {
            let proof = archive.prove(number, &self.budget).await?;
            self.progress.advance(0, proof);
            Ok(())
        };
        stream::iter(wanted.iter().copied()).map(Ok).try_for_each_concurrent(CHECKED_AT_ONCE, one).await
    }

    /// Waits for the end of what a restore before this one has left to the target when it was killed: it may drop what this one
    /// makes. A migration has done so.
    ///
    /// Gives whether there was any, and so whether what the target has is to be looked at once more.
    async fn late_writes_end(&self, plan: &Plan) -> Result<bool> {
        if self.within.is_some() {
            return Ok(false);
        }
        let mut databases: HashSet<&str> = plan.collections().map(|planned| planned.target.database()).collect();
        if self.options.users_and_roles {
            databases.insert("admin");
        }
        self.server.writes_end(|database| databases.contains(database), || self.progress.warn(LATE)).await
    }

    /// Finds out which indexes the target takes, while there is nothing to lose.
    async fn prove_indexes(&self, plan: &mut Plan) -> Result<()> {
        self.progress.stage("proving the index specs", None, None);
        let proven = indexes::prove(self.server, &self.footprint.scratches, plan, self.options).await?;
        if self.cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        if proven {
            return Ok(());
        }
        let unproven = "index specs cannot be proven beforehand, for lack of the privileges 'createCollection' and \
                        'dropCollection'";
        if self.options.index_policy == IndexPolicy::Strict {
            let hint = "--index-policy repair builds what the target takes, and reports the rest";
            return Err(Error::new(ErrorKind::Authorization, unproven).with_hint(hint).at(self.server.place()));
        }
        self.progress.warn(&format!("{unproven}; what the target refuses of them will show at the end"));
        Ok(())
    }

    /// Drops what is to be dropped, and creates the collections.
    async fn prepare(&self, plan: &Plan) -> Result<()> {
        self.progress.stage("creating collections", None, None);
        let planned = plan.collections().filter(|planned| planned.kind() != CollectionType::View);
        stream::iter(planned.clone().filter(|planned| planned.dropped))
            .map(Ok::<_, Error>)
            .try_for_each_concurrent(self.options.parallel.max(1), async |planned: &Planned| {
                self.footprint.note(catalog::drop(self.server, &planned.target)).await
            })
            .await?;
        let created = planned.clone().filter(|planned| planned.create);
        let created: Vec<_> = created.map(|planned| (&planned.target, &planned.collection)).collect();
        if !created.is_empty() {
            catalog::create_all(self.server, &self.footprint, &created, self.options.parallel).await?;
        }
        if let Some(sharding) = self.sharding() {
            self.progress.stage("sharding collections", None, None);
            // Those as well that a load before this one has created, and perhaps not come to shard.
            for planned in planned.filter(|planned| planned.kind() == CollectionType::Collection) {
                let sharded = sharding.shard(self.server, &planned.target, planned.shard_index.as_deref());
                self.footprint.note(sharded).await?;
                if let Some(note) = sharding.note_of(&planned.target) {
                    self.progress.warn(&format!("{}: {note}", planned.target));
                }
            }
        }
        // From here on documents may be on their way.
        self.footprint.note(async { Ok(()) }).await
    }

    /// After the documents: indexes, then views, then users and roles.
    async fn complete(
        &self,
        plan: Plan,
        contents: &Contents,
        loaded: Vec<Loaded>,
        those: &UsersAndRoles,
    ) -> Result<Done> {
        let begun = Instant::now();
        let unbuilt = self.build_indexes(&plan, &loaded).await?;
        let index_time = begun.elapsed();
        let mut views: Vec<_> = plan
            .collections()
            .filter(|planned| planned.kind() == CollectionType::View)
            .map(|planned| (planned.target.clone(), planned.collection.clone()))
            .collect();
        catalog::in_order_of_dependency(&mut views);
        for planned in plan.collections().filter(|planned| planned.kind() == CollectionType::View && planned.dropped) {
            catalog::drop(self.server, &planned.target).await?;
        }
        for (target, view) in &views {
            catalog::create(self.server, target, view).await?;
        }
        let mut done = Done::nothing(plan, contents);
        (done.loaded, done.unbuilt, done.index_time) = (loaded, unbuilt, index_time);
        done.account()?;
        if self.options.users_and_roles {
            (done.users, done.roles) = those.merge(self.server, &self.footprint.scratches).await?;
        }
        Ok(done)
    }

    /// Builds the indexes of each collection; gives back, by collection, which were not built, and why.
    async fn build_indexes(&self, plan: &Plan, loaded: &[Loaded]) -> Result<Vec<Vec<Option<String>>>> {
        let with_indexes = plan.collections().zip(loaded).filter(|(planned, _)| !planned.indexes.build.is_empty());
        let watch =
            BuildWatch::new(&*self.progress, with_indexes.map(|(planned, loaded)| (&planned.target, loaded.inserted)));
        self.progress.stage("building indexes", Some(watch.documents()), None);
        // What was there before counts too.
        let documents = |(planned, loaded): &(&Planned, &Loaded)| match planned.create {
            true => loaded.inserted,
            false => u64::MAX,
        };
        let one = async |each: (&Planned, &Loaded)| {
            let (planned, documents) = (each.0, documents(&each));
            let specs: Vec<_> = planned.indexes.build.iter().map(|index| index.spec.clone()).collect();
            let unbuilt = building::build(self.server, planned, &specs, documents, &*self.progress).await?;
            watch.done(&planned.target);
            Ok(unbuilt)
        };
        let work = |each: &(&Planned, &Loaded)| documents(each).saturating_mul(each.0.indexes.build.len() as u64);
        let all = at_once(plan.collections().zip(loaded), self.options.parallel, work, one);
        let watching = async {
            watch.watch(self.server).await;
            std::future::pending().await
        };
        tokio::select! {
            built = all => built,
            never = watching => never,
        }
    }
}

/// The plan was made before this namespace was known.
fn late(name: &str) -> Error {
    Error::new(ErrorKind::Usage, "the archive names a collection after documents")
        .with_hint("such an archive cannot be restored from a stream: restore it from a file")
        .at(name)
}

/// What the tasks give, or the first error: the others are stopped with the set.
async fn first_error<T: 'static>(tasks: &mut JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let died = |panic| Err(Error::new(ErrorKind::Internal, format!("a worker died: {panic}")));
        results.push(ended.unwrap_or_else(died)?);
    }
    Ok(results)
}
