//! What the process before this one has left on the target when it was killed: writes that are still under way, whose end is waited
//! for, and scratch collections, which are known by the migration's number and dropped.

use std::collections::BTreeSet;

use super::{Migration, board::Waiting, directory::Paths, parts::Parts, state::State};
use crate::{
    catalog::{self, Scratches},
    connect::Server,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::Selection,
};

/// What is said when writes are waited for.
pub(super) const LATE: &str = "the target is at writes that a process before this one may have left to it: the end of those that are under way is waited for";

impl Migration {
    /// Waits for the end of what is under way. Nothing may be written before.
    ///
    /// # Errors
    /// When the target cannot be reached, or this is interrupted.
    pub(super) async fn late_writes_end(&self) -> Result<()> {
        let databases = databases(&self.state(), &self.paths)?;
        let tell = || self.board.is_held(Waiting::Stage, Some(LATE.to_owned()));
        tokio::select! {
            ended = self.target.writes_end(|database| databases.contains(database), tell) => ended.map(drop),
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

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

/// The databases to which a migration moves something.
///
/// # Errors
/// When what the directory holds cannot be read.
pub(super) fn databases(state: &State, paths: &Paths) -> Result<BTreeSet<String>> {
    let selection = Selection::new(&state.selection)?;
    let parts = Parts::read(&paths.parts())?;
    let copied = parts.iter().flat_map(Parts::namespaces).map(|(name, ..)| name);
    let mut databases = BTreeSet::new();
    for name in copied.chain(state.made.keys().map(String::as_str)) {
        if let Some(target) = selection.target(&Namespace::parse(name)?)? {
            databases.insert(target.database().to_owned());
        }
    }
    Ok(databases)
}

/// Drops the scratch collections that a migration has left in the databases to which it moves something.
///
/// # Errors
/// When what the directory holds cannot be read, or the target does not do it.
pub(super) async fn sweep(state: &State, paths: &Paths, target: &Server) -> Result<()> {
    catalog::sweep_left(target, state.number, &databases(state, paths)?).await
}
