//! What each stage of a migration tells of its work, on its way to the board.

use std::sync::Arc;

use super::{
    board::{Board, Waiting},
    status::pair,
};
use crate::progress::Progress;

impl Board {
    /// The progress of reading the source.
    pub(crate) fn of_reading(self: &Arc<Self>) -> Arc<dyn Progress> {
        Arc::new(Role(Arc::clone(self), Kind::Reading))
    }

    /// The progress of loading the target.
    pub(crate) fn of_loading(self: &Arc<Self>) -> Arc<dyn Progress> {
        Arc::new(Role(Arc::clone(self), Kind::Loading))
    }

    /// The progress of the replay.
    pub(crate) fn of_replay(self: &Arc<Self>) -> Arc<dyn Progress> {
        Arc::new(Role(Arc::clone(self), Kind::Replaying))
    }

    /// The progress of what is done at the cutover.
    pub(crate) fn of_cutover(self: &Arc<Self>) -> Arc<dyn Progress> {
        Arc::new(Role(Arc::clone(self), Kind::CuttingOver))
    }
}

/// What a stage tells, and to whom.
#[derive(Debug)]
struct Role(Arc<Board>, Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reading,
    Loading,
    Replaying,
    CuttingOver,
}

impl Progress for Role {
    fn stage(&self, name: &str, documents: Option<u64>, bytes: Option<u64>) {
        let Role(board, kind) = self;
        match kind {
            Kind::CuttingOver => {
                board.log(None, name);
                board.outer.stage(name, documents, bytes);
            }
            // Of the documents the board tells itself.
            Kind::Loading if documents.is_some() => {
                board.state().status.stage = name.to_owned();
                board.outer.stage(name, documents, bytes);
            }
            _ => {}
        }
    }

    fn advance(&self, documents: u64, bytes: u64) {
        let Role(board, kind) = self;
        match kind {
            Kind::Reading | Kind::Loading => {}
            Kind::Replaying => {
                board.state().status.events += documents;
                board.outer.advance(documents, bytes);
            }
            Kind::CuttingOver => board.outer.advance(documents, bytes),
        }
    }

    fn applied(&self, time: u64) {
        let mut state = self.0.state();
        // A replay that is begun again finds itself where it was.
        state.applied = state.applied.max(time);
        state.status.applied = Some(pair(state.applied));
        drop(state);
        self.0.waits_for(Waiting::Stage, None);
    }

    fn warn(&self, message: &str) {
        self.0.warn(message);
    }
}
