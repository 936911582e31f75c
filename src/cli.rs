//! The command line: flags to options, a verb, its outcome to output and exit code.

mod arguments;
mod bench;
mod capture;
mod check;
mod completions;
mod cutover;
mod demo;
mod dump;
mod indexes;
mod inspect;
mod migrate;
mod output;
mod pause;
mod reading;
mod recover;
mod replay;
mod reporter;
mod restore;
mod resume;
mod status;
mod table;
mod usage;
mod verify;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, builder::BoolishValueParser};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use output::Output;

pub use usage::not_understood;

/// Dump and restore MongoDB without mongo-tools, and trust the result.
#[derive(Debug, Parser)]
#[command(name = "transload", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 finished but something was skipped or lost, \
    4 differences or bad indexes found, 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Copy, Debug)]
struct Global {
    /// Print one JSON object a line, each with a `type`: progress, warning, summary, error
    #[arg(long, global = true, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_JSON", hide_env_values = true)]
    json: bool,
    /// Print no progress and no summary, only warnings and errors
    #[arg(short, long, global = true, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_QUIET", hide_env_values = true)]
    quiet: bool,
    /// Print what caused an error too
    #[arg(short, long, global = true, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_VERBOSE", hide_env_values = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dump(dump::DumpCommand),
    Restore(restore::RestoreCommand),
    Check(check::CheckCommand),
    Migrate(migrate::MigrateCommand),
    Cutover(cutover::CutoverCommand),
    Status(status::StatusCommand),
    Pause(pause::PauseCommand),
    Resume(resume::ResumeCommand),
    Capture(capture::CaptureCommand),
    Replay(replay::ReplayCommand),
    Inspect(inspect::InspectCommand),
    Verify(verify::VerifyCommand),
    Recover(recover::RecoverCommand),
    Indexes(indexes::IndexesCommand),
    Bench(bench::BenchCommand),
    Demo(demo::DemoCommand),
    Completions(completions::CompletionsCommand),
}

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Finished, but something was skipped or lost.
    Incomplete,
    /// A comparison found differences, or a check something bad.
    Different,
    /// What was to be found out is that something cannot be done.
    Refused,
}

impl Cli {
    /// Runs the command. `cancel` stops it cleanly.
    pub async fn run(self, cancel: CancellationToken) -> ExitCode {
        let archive_on_stdout = matches!(&self.command, Command::Dump(dump) if dump.writes_to_stdout());
        let output = Output::new(self.global, archive_on_stdout);
        match self.command.run(&output, cancel).await {
            Ok(Outcome::Done) => ExitCode::SUCCESS,
            Ok(Outcome::Incomplete) => ExitCode::from(3),
            Ok(Outcome::Different) => ExitCode::from(4),
            Ok(Outcome::Refused) => ExitCode::FAILURE,
            Err(error) => {
                output.error(&error);
                match error.kind() {
                    ErrorKind::Usage => ExitCode::from(2),
                    ErrorKind::Interrupted => ExitCode::from(130),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }

    /// Says that the operating system gives no threads or files to run with.
    pub fn cannot_start(&self, error: std::io::Error) -> ExitCode {
        Output::new(self.global, false).error(&Error::io("runtime", error));
        ExitCode::FAILURE
    }
}

impl Command {
    async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        match self {
            Command::Dump(command) => command.run(output, cancel).await,
            Command::Restore(command) => command.run(output, cancel).await,
            Command::Check(command) => command.run(output, cancel).await,
            Command::Migrate(command) => command.run(output, cancel).await,
            Command::Cutover(command) => command.run(output, cancel).await,
            Command::Status(command) => command.run(output, cancel).await,
            Command::Pause(command) => command.run(output),
            Command::Resume(command) => command.run(output),
            Command::Capture(command) => command.run(output, cancel).await,
            Command::Replay(command) => command.run(output, cancel).await,
            Command::Inspect(command) => command.run(output, cancel).await,
            Command::Verify(command) => command.run(output, cancel).await,
            Command::Recover(command) => command.run(output, cancel).await,
            Command::Indexes(command) => command.run(output, cancel).await,
            Command::Bench(command) => command.run(output, cancel).await,
            Command::Demo(command) => command.run(output, cancel).await,
            Command::Completions(command) => command.run(),
        }
    }
}
