//! The scratch collections of a migration: known by its number, so that what a process leaves on the target when it is killed is
//! dropped by the one that goes on.

use std::collections::BTreeSet;

use super::{Migration, directory::Paths, parts::Parts, state::State};
use crate::{
    catalog::{self, Scratches},
    connect::Server,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::Selection,
};

impl Migration {
    /// Those that are still to be made.
    pub(super) fn scratches(&self) -> Scratches {
        Scratches::known_by(self.state().number)
    }

    /// Drops those that were left. Nothing else may be trying anything on the target meanwhile. What the target does not let go is
    /// of no consequence to the move.
    pub(super) async fn sweep_scratches(&self) -> Result<()> {
        match sweep(&self.state(), &self.paths, &self.target).await {
            Err(error) if error.kind() != ErrorKind::Unreachable => {
                self.board.warn(&may_be_left(&error));
                Ok(())
            }
            swept => swept,
        }
    }
}

/// What is said where they could not be dropped.
pub(super) fn may_be_left(error: &Error) -> String {
    format!("a scratch collection of an interrupted run may be left on the target: {error}")
}

/// Drops the scratch collections that a migration has left in the databases to which it moves something.
///
/// # Errors
/// When what the directory holds cannot be read, or the target does not do it.
pub(super) async fn sweep(state: &State, paths: &Paths, target: &Server) -> Result<()> {
    let selection = Selection::new(&state.selection)?;
    let parts = Parts::read(&paths.parts())?;
    let copied = parts.iter().flat_map(Parts::namespaces).map(|(name, ..)| name);
    let mut databases = BTreeSet::new();
    for name in copied.chain(state.made.keys().map(String::as_str)) {
        if let Some(target) = selection.target(&Namespace::parse(name)?)? {
            databases.insert(target.database().to_owned());
        }
    }
    catalog::sweep_left(target, state.number, &databases).await
}
