//! The tasks that insert batches: several for all collections, one more for each collection whose order is data.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::JoinSet,
};

use super::{Moving, Plan, RestoreOptions, first_error};
use crate::{
    archive::PendingBatch,
    brake::Brake,
    connect::Server,
    error::Result,
    load::{Loaded, Target},
    progress::Progress,
    rate::RateLimit,
};

/// Batches that wait for each loader. The memory budget bounds their bytes.
const AHEAD: usize = 2;

/// A batch, and where it goes.
struct Work {
    index: usize,
    target: Arc<Target>,
    batch: PendingBatch,
}

/// The loaders of a restore.
pub(super) struct Loaders {
    shared: mpsc::Sender<Work>,
    lanes: HashMap<usize, mpsc::Sender<Work>>,
    targets: HashMap<u32, (usize, Arc<Target>)>,
    tasks: JoinSet<Result<()>>,
    loaded: Arc<Mutex<Vec<Loaded>>>,
    moving: Option<Arc<Moving>>,
    brake: Option<Brake>,
}

impl Loaders {
    /// Starts them; `early` are the ids of the collections that have indexes already, and `brake` holds them back.
    pub(super) fn start(
        server: &Server,
        plan: &Plan,
        early: &HashSet<u32>,
        options: &RestoreOptions,
        progress: &Arc<dyn Progress>,
        moving: Option<&Arc<Moving>>,
        brake: Option<&Brake>,
    ) -> Self {
        let parallel = options.parallel.max(1);
        let limit = options.max_rate.map(|rate| Arc::new(RateLimit::new(rate, parallel)));
        let (shared, works) = mpsc::channel(parallel * AHEAD);
        let works = Arc::new(AsyncMutex::new(works));
        let loaded = Arc::new(Mutex::new(vec![Loaded::default(); plan.collections().count()]));
        let (lanes, targets, moving, brake) = (HashMap::new(), HashMap::new(), moving.cloned(), brake.cloned());
        let mut loaders = Loaders { shared, lanes, targets, tasks: JoinSet::new(), loaded, moving, brake };
        for _ in 0..parallel {
            loaders.spawn(Arc::clone(&works), progress);
        }
        for (index, planned) in plan.collections().enumerate() {
            let mut target =
                Target::new(server.clone(), planned.data.clone(), planned.is_ordered()).held_to(limit.clone());
            if early.contains(&planned.id) {
                target = target.with_indexes();
            }
            if loaders.moving.as_deref().is_some_and(Moving::goes_on) {
                target = target.resumed();
            }
            loaders.targets.insert(planned.id, (index, Arc::new(target)));
            if planned.is_ordered() {
                let (lane, works) = mpsc::channel(AHEAD);
                loaders.lanes.insert(index, lane);
                loaders.spawn(Arc::new(AsyncMutex::new(works)), progress);
            }
        }
        loaders
    }

    fn spawn(&mut self, works: Arc<AsyncMutex<mpsc::Receiver<Work>>>, progress: &Arc<dyn Progress>) {
        let (progress, loaded) = (Arc::clone(progress), Arc::clone(&self.loaded));
        let (moving, brake) = (self.moving.clone(), self.brake.clone());
        let one = async move |work: Work| {
            let bytes = u64::from(work.batch.len);
            let (namespace, block) = (work.batch.namespace, work.batch.block);
            if let Some(brake) = &brake {
                brake.pass().await;
            }
            let batch = work.batch.wait().await?;
            let done = work.target.load(&batch.documents).await?;
            progress.advance(done.inserted, bytes);
            if let Some(moving) = &moving {
                let is_whole = done.duplicates + done.refused == 0;
                moving.loaded(namespace, block, done.inserted, bytes, is_whole).await?;
            }
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sum) = loaded.get_mut(work.index) {
                sum.add(done);
            }
            Ok(())
        };
        self.tasks.spawn(async move {
            loop {
                let Some(work) = works.lock().await.recv().await else {
                    return Ok(());
                };
                if let Err(error) = one(work).await {
                    // Nothing more is handed over; the feeder finds the queue closed.
                    works.lock().await.close();
                    return Err(error);
                }
            }
        });
    }

    /// Hands a batch to a loader; false if they have stopped, and [`finish`](Loaders::finish) says why.
    pub(super) async fn hand_over(&self, batch: PendingBatch) -> bool {
        let Some((index, target)) = self.targets.get(&batch.namespace).cloned() else {
            return true;
        };
        let queue = self.lanes.get(&index).unwrap_or(&self.shared);
        queue.send(Work { index, target, batch }).await.is_ok()
    }

    /// Counts a batch that the target has already.
    pub(super) fn pass_over(&self, batch: &PendingBatch) {
        let Some((index, _)) = self.targets.get(&batch.namespace) else { return };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = loaded.get_mut(*index) {
            sum.inserted += u64::from(batch.count);
        }
    }

    /// Waits until all batches are loaded.
    pub(super) async fn finish(mut self) -> Result<Vec<Loaded>> {
        drop((self.shared, self.lanes));
        first_error(&mut self.tasks).await?;
        Ok(std::mem::take(&mut *self.loaded.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
