//! `transload pause` and `transload resume`.

use clap::Args;
use serde::Serialize;

use super::{Outcome, Output, arguments::work_directory};
use crate::{
    error::Result,
    migrate::{pause, resume},
};

/// Hold the replay of a migration; what happens on the source is recorded meanwhile
#[derive(Args, Debug)]
pub(super) struct PauseCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
}

/// Let the replay of a migration go on
#[derive(Args, Debug)]
pub(super) struct ResumeCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
}

/// Whether the replay is held now.
#[derive(Serialize)]
struct Held {
    paused: bool,
}

impl PauseCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        pause(&work_directory(&self.directory)?)?;
        output.summary(&Held { paused: true }, Outcome::Done, || {
            "the replay is held until 'transload resume'; changes are recorded as long as the migration runs".to_owned()
        })
    }
}

impl ResumeCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        let was_held = resume(&work_directory(&self.directory)?)?;
        output.summary(&Held { paused: false }, Outcome::Done, || {
            if was_held { "the replay goes on" } else { "the replay was not held" }.to_owned()
        })
    }
}
