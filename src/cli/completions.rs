//! `transload completions`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Outcome};
use crate::error::{Error, Result};

/// Print completions for a shell
#[derive(Args, Debug)]
pub(super) struct CompletionsCommand {
    /// The shell
    shell: Shell,
}

impl CompletionsCommand {
    pub(super) fn run(self) -> Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "transload", &mut script);
        io::stdout().lock().write_all(&script).map_err(|error| Error::io("standard output", error))?;
        Ok(Outcome::Done)
    }
}
