//! What each stage of a migration tells of its work, on its way to the board.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    board::{Board, Waiting},
    status::pair,
};
use crate::{
    namespace::Namespace,
    progress::{News, Progress},
};

impl Board {
    /// The progress of reading the source.
    pub(crate) fn of_reading(self: &Arc<Self>) -> Arc<dyn Progress> {
        self.role(Kind::Reading)
    }

    /// The progress of loading the target.
    pub(crate) fn of_loading(self: &Arc<Self>) -> Arc<dyn Progress> {
        self.role(Kind::Loading)
    }

    /// The progress of the replay.
    pub(crate) fn of_replay(self: &Arc<Self>) -> Arc<dyn Progress> {
        self.role(Kind::Replaying)
    }

    /// The progress of what is done at the cutover.
    pub(crate) fn of_cutover(self: &Arc<Self>) -> Arc<dyn Progress> {
        self.role(Kind::CuttingOver)
    }

    /// The progress of copying anew what could not be followed, at the cutover.
    pub(crate) fn of_copying_anew(self: &Arc<Self>) -> Arc<dyn Progress> {
        self.role(Kind::CopyingAnew)
    }

    fn role(self: &Arc<Self>, kind: Kind) -> Arc<dyn Progress> {
        Arc::new(Role { board: Arc::clone(self), kind, builds: AtomicBool::new(false) })
    }
}

/// What a stage tells, and to whom.
#[derive(Debug)]
struct Role {
    board: Arc<Board>,
    kind: Kind,
    /// Whether a load has come to its indexes.
    builds: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reading,
    Loading,
    Replaying,
    CuttingOver,
    CopyingAnew,
}

impl Progress for Role {
    fn stage(&self, name: &str, documents: Option<u64>, bytes: Option<u64>) {
        let board = &self.board;
        match self.kind {
            Kind::CuttingOver => {
                board.step(name);
                board.outer.stage(name, documents, bytes);
            }
            Kind::CopyingAnew => {
                board.log(None, name);
                board.outer.stage(name, documents, bytes);
            }
            // Of the documents the board tells itself.
            Kind::Loading if documents.is_some() => {
                self.builds.store(true, Ordering::Relaxed);
                board.stage_of(name, documents);
            }
            Kind::Loading | Kind::Reading | Kind::Replaying => {}
        }
    }

    fn advance(&self, documents: u64, bytes: u64) {
        let is_told = match self.kind {
            Kind::Reading => false,
            // Of the documents that are loaded the board tells itself; here are those that are read for indexes.
            Kind::Loading => self.builds.load(Ordering::Relaxed),
            Kind::Replaying | Kind::CuttingOver | Kind::CopyingAnew => true,
        };
        if is_told {
            self.board.outer.advance(documents, bytes);
        }
    }

    fn applied(&self, time: u64) {
        let mut state = self.board.state();
        // A replay that is begun again finds itself where it was.
        state.applied = state.applied.max(time);
        state.status.applied = Some(pair(state.applied));
        drop(state);
        self.board.waits_for(Waiting::Stage, None);
    }

    fn of(&self, namespace: &Namespace, news: &News<'_>) {
        match self.kind {
            // All the while it is copied anew.
            Kind::CopyingAnew => self.board.tell(namespace, news),
            _ => self.board.hear(namespace, news),
        }
    }

    fn warn(&self, message: &str) {
        self.board.warn(message);
    }
}
