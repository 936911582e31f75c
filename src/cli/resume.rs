//! `transload resume`.

use clap::Args;

use super::{Outcome, Output, arguments::work_directory, pause::Held};
use crate::{error::Result, migrate::resume};

/// Let the replay of a migration go on
#[derive(Args, Debug)]
pub(super) struct ResumeCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
}

impl ResumeCommand {
    pub(super) fn run(self, output: &Output) -> Result<Outcome> {
        let was_held = resume(&work_directory(&self.directory)?)?;
        output.summary(&Held { paused: false }, Outcome::Done, || {
            if was_held { "the replay goes on" } else { "the replay was not held" }.to_owned()
        })
    }
}
