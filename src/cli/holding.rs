//! `transload pause` and `transload resume`.

use clap::Args;

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

impl PauseCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        pause(&work_directory(&self.directory)?)?;
        if !output.is_quiet() && !output.is_json() {
            output.note("the replay is held until 'transload resume'; changes are recorded meanwhile");
        }
        Ok(Outcome::Done)
    }
}

impl ResumeCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        let was_held = resume(&work_directory(&self.directory)?)?;
        if !output.is_quiet() && !output.is_json() {
            output.note(if was_held { "the replay goes on" } else { "the replay was not held" });
        }
        Ok(Outcome::Done)
    }
}
