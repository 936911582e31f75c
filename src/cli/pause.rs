//! `transload pause`.

use clap::Args;
use serde::Serialize;

use super::{Outcome, Output, arguments::work_directory};
use crate::{error::Result, migrate::pause};

/// Hold the replay of a migration; what happens on the source is recorded meanwhile
#[derive(Args, Debug)]
pub(super) struct PauseCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
}

/// Whether the replay is held now.
#[derive(Serialize)]
pub(super) struct Held {
    pub(super) paused: bool,
}

impl PauseCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        pause(&work_directory(&self.directory)?)?;
        output.summary(&Held { paused: true }, Outcome::Done, || {
            "the replay is held until 'transload resume'; changes are recorded as long as the migration runs".to_owned()
        })
    }
}
