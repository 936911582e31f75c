//! `transload indexes`.

mod text;

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
};

use clap::{Args, Subcommand, builder::BoolishValueParser};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments},
};
use crate::{
    catalog::index_spec::NEWEST,
    connect::{Server, Version},
    error::{Error, ErrorKind, Result},
    indexes::{CheckReport, IndexesOptions, Place, Plan, RepairReport, check_file, plan_file, plan_server},
    selection::Selection,
};

/// Connections to a server: its catalog is read of several collections at once.
const CONNECTIONS: usize = 8;

/// Find and repair bad index specs, on a server or in files
///
/// Old servers kept whatever a driver put into an index spec, as `safe: null` or a key value of `true`. Newer ones refuse
/// it, and tools that pass it on lose the index.
#[derive(Args, Debug)]
pub(super) struct IndexesCommand {
    #[command(subcommand)]
    command: IndexesSubcommand,
}

#[derive(Debug, Subcommand)]
enum IndexesSubcommand {
    Check(CheckCommand),
    Repair(RepairCommand),
}

/// List bad index specs, and what would be done about each
///
/// Changes nothing. Exit code 4 says that there are bad ones; -v lists those too that are good, and only written in
/// another way today. On servers since 5.0, which hide what they do not know, the specs are read from the catalog. Of an
/// archive, what a restore would build from is looked at: the sidecar beside it, if there is one.
#[derive(Args, Debug)]
struct CheckCommand {
    /// A server (a connection string, env:NAME or @FILE), an archive, a sidecar NAME.indexes.json, or a directory or metadata file of mongodump
    #[arg(value_name = "WHERE")]
    place: String,
    /// The server that the specs must suit; by default the newest
    #[arg(long, value_name = "X.Y.Z", value_parser = |text: &str| text.parse::<Version>().map_err(|error| error.to_string()), env = "TRANSLOAD_TARGET_VERSION", hide_env_values = true)]
    target_version: Option<Version>,
    #[command(flatten)]
    selection: SelectionArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Make bad index specs clean
///
/// Of an archive the sidecar is written anew, from the specs in the archive; a sidecar and the metadata files of mongodump
/// are changed where they are bad. On a server each bad index is dropped and built again, one at a time, after the plan
/// was shown and agreed to; a unique one is kept unique meanwhile, and one that cannot be built clean is put back. Until all is
/// done, a journal in the current directory, transload-repair-SERVER.indexes.json, has every spec; if a repair is cut, the
/// same command, in the same directory, goes on from there. Exit code 3
/// says that something could not be repaired.
#[derive(Args, Debug)]
struct RepairCommand {
    /// A server (a connection string, env:NAME or @FILE), an archive, a sidecar NAME.indexes.json, or a directory or metadata file of mongodump
    #[arg(value_name = "WHERE")]
    place: String,
    /// The server that the specs in files must suit; by default the newest. On a server its own version decides
    #[arg(long, value_name = "X.Y.Z", value_parser = |text: &str| text.parse::<Version>().map_err(|error| error.to_string()), env = "TRANSLOAD_TARGET_VERSION", hide_env_values = true)]
    target_version: Option<Version>,
    /// Do not ask before a server is changed
    #[arg(short, long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_YES", hide_env_values = true)]
    yes: bool,
    #[command(flatten)]
    selection: SelectionArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl IndexesCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        match self.command {
            IndexesSubcommand::Check(command) => command.run(output, cancel).await,
            IndexesSubcommand::Repair(command) => command.run(output, cancel).await,
        }
    }
}

impl CheckCommand {
    async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let target = self.target_version.unwrap_or(NEWEST);
        let report = match Place::of(&self.place)? {
            Place::Server(_) => {
                let plan = plan(&self.place, self.selection, self.connection, |_| Ok(target), output, &cancel).await?;
                plan.report().clone()
            }
            Place::File(kind, path) => {
                let selection = Selection::new(&self.selection.options(Vec::new(), None))?;
                let report = check_file(kind, &path, &options(selection, target))?;
                tell(&report, output);
                report
            }
        };
        let report = &report;
        let is_good = report.bad.is_empty() && report.lost.is_empty() && report.left_over.is_empty();
        let outcome = match (is_good, report.missing.is_empty()) {
            (false, _) => Outcome::Different,
            (true, false) => Outcome::Incomplete,
            (true, true) => Outcome::Done,
        };
        if output.is_json() {
            return output.summary(report, outcome, String::new);
        }
        show(report, output, outcome)?;
        Ok(outcome)
    }
}

impl RepairCommand {
    async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let on_server = matches!(Place::of(&self.place)?, Place::Server(_));
        if on_server && !self.yes && !stdin().is_terminal() {
            return Err(Error::new(
                ErrorKind::Usage,
                "a repair of a server asks first, and there is no terminal to ask on",
            )
            .with_hint("'transload indexes check' shows what would be done; --yes does it without asking")
            .at("WHERE"));
        }
        let target = |server: Option<&Server>| repair_for(self.target_version, server.map(Server::version));
        let plan = plan(&self.place, self.selection, self.connection, target, output, &cancel).await?;
        if on_server && plan.has_work() {
            if !output.is_json() {
                show(plan.report(), output, Outcome::Different)?;
            }
            announce(&plan, output)?;
            if !self.yes && !output.confirm("Repair these indexes?", &cancel).await? {
                return Err(Error::new(ErrorKind::Interrupted, "not agreed to: nothing was changed"));
            }
        }
        let report = plan.carry_out(output.progress(), cancel).await?;
        let outcome = if report.is_whole() { Outcome::Done } else { Outcome::Incomplete };
        let summary = output.summary(&report, outcome, || text::repaired(&report));
        if report.interrupted { Err(Error::interrupted()) } else { summary }
    }
}

/// The version that repaired specs must suit: what another server would not take is no reason to drop an index of this
/// one.
fn repair_for(wanted: Option<Version>, server: Option<Version>) -> Result<Version> {
    match (wanted, server) {
        (Some(wanted), Some(server)) if wanted != server => {
            let message = format!("{wanted} is not the version of this server, {server}, which decides what it takes");
            Err(Error::new(ErrorKind::Usage, message)
                .with_hint("'transload indexes check' tells what another server would not take")
                .at("--target-version"))
        }
        (_, Some(server)) => Ok(server),
        (wanted, None) => Ok(wanted.unwrap_or(NEWEST)),
    }
}

async fn plan(
    place: &str,
    selection: SelectionArguments,
    connection: ConnectionArguments,
    target: impl FnOnce(Option<&Server>) -> Result<Version>,
    output: &Output,
    cancel: &CancellationToken,
) -> Result<Plan> {
    let plan = match Place::of(place)? {
        Place::Server(argument) => {
            let server = connection.server("WHERE", &argument, CONNECTIONS, output, cancel).await?;
            let default_database = server.default_database().map(str::to_owned);
            let selection = Selection::new(&selection.options(Vec::new(), default_database))?;
            let (options, progress) = (options(selection, target(Some(&server))?), output.progress());
            tokio::select! {
                plan = plan_server(&server, &options, progress.as_ref()) => plan?,
                () = cancel.cancelled() => return Err(Error::interrupted()),
            }
        }
        Place::File(kind, path) => {
            let selection = Selection::new(&selection.options(Vec::new(), None))?;
            plan_file(kind, &path, &options(selection, target(None)?))?
        }
    };
    tell(plan.report(), output);
    Ok(plan)
}

/// Says what the user should know of what was looked at.
fn tell(report: &CheckReport, output: &Output) {
    report.warnings.iter().for_each(|warning| output.warn(warning));
    report.missing.iter().for_each(|missing| output.warn(&format!("missing: {missing}")));
}

fn options(selection: Selection, target: Version) -> IndexesOptions {
    IndexesOptions { selection, target, directory: PathBuf::new() }
}

/// Says where the journal is going to be, before anything is changed.
fn announce(plan: &Plan, output: &Output) -> Result<()> {
    let Some(path) = plan.journal() else { return Ok(()) };
    let path = path.display().to_string();
    if !output.is_json() {
        return output.data(&text::journal(&path));
    }
    output.json_line(&json!({
        "type": "progress", "stage": "writing the journal", "journal": path, "documents": 0, "bytes": 0,
        "total_bytes": null, "total_documents": null, "seconds": 0.0,
    }))
}

/// The list is what was asked for: it goes where data goes.
fn show(report: &CheckReport, output: &Output, outcome: Outcome) -> Result<()> {
    match output.is_quiet() && outcome == Outcome::Done {
        true => Ok(()),
        false => output.data(text::checked(report, output.is_verbose()).trim_end()),
    }
}
