//! Whole processes to compare: this program itself, and mongodump and mongorestore where they are on `PATH`.
//!
//! Each is started in the folder of the bench, so that its command can be shown as it is. A connection string is on no command
//! line: this program takes it from a variable, and mongo-tools from a configuration on their standard input.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Run, Tool, timed};
use crate::{
    connect::Uri,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::SelectionOptions,
};

/// The archive of this program in the folder of a bench.
pub(super) const ARCHIVE: &str = "process.tlz";
/// The archive of mongodump there.
pub(super) const THEIRS: &str = "mongodump.archive";
/// The same, compressed.
pub(super) const THEIRS_COMPRESSED: &str = "mongodump.archive.gz";

/// The exit code of this program for "finished, but something was skipped or lost".
const INCOMPLETE: i32 = 3;

/// What a tool says that its version is; nothing if it is not on `PATH`.
pub fn version_of(tool: &str) -> Option<String> {
    let mut command = Command::new(tool);
    let output = command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    Some(first.rsplit_once("version: ").map_or(first, |(_, version)| version).trim().to_owned())
}

/// Those of the two that are on `PATH`.
pub(super) fn tools() -> Vec<Tool> {
    let tool = |name| version_of(name).map(|version| Tool { name, version });
    ["mongodump", "mongorestore"].into_iter().filter_map(tool).collect()
}

/// A process to run, and what it writes.
#[derive(Clone, Debug)]
pub(super) struct Call {
    program: PathBuf,
    shown: &'static str,
    arguments: Vec<String>,
    /// The server, and the variable in which it is; without one, it is on the standard input.
    server: Uri,
    variable: Option<&'static str>,
    /// The file that it writes.
    pub(super) writes: Option<&'static str>,
}

impl Call {
    /// Whether it is this program itself.
    pub(super) fn is_ours(&self) -> bool {
        self.variable.is_some()
    }

    /// The command, for people to read and to use.
    pub(super) fn command(&self) -> String {
        let words = self.arguments.iter().map(|word| quoted(word));
        std::iter::once(self.shown.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }

    /// Runs it in the folder.
    ///
    /// # Errors
    /// When it cannot be started or fails, with the last line that it has said.
    pub(super) async fn run(&self, folder: &Path) -> Result<Run> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRANSLOAD_")) {
            command.env_remove(name);
        }
        command.args(&self.arguments).current_dir(folder);
        let mut input = Vec::new();
        match self.variable {
            Some(variable) => self.server.hand_to(&mut command, variable),
            None => input = self.server.as_tool_configuration(),
        }
        let ended = timed(command, &input).await?;
        // What was not whole, the same within this process tells.
        let is_done = ended.status.success() || (self.is_ours() && ended.status.code() == Some(INCOMPLETE));
        if !is_done {
            // Half of an archive would take the room of those that come.
            if let Some(name) = self.writes {
                let _ = std::fs::remove_file(folder.join(name));
            }
            let said = ended.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let message = format!("failed ({}): {}", ended.status, self.server.redact(said));
            return Err(Error::new(ErrorKind::Server, message).at(self.shown));
        }
        let written = self.writes.and_then(|name| std::fs::metadata(folder.join(name)).ok());
        Ok(Run {
            seconds: ended.seconds,
            cpu_seconds: ended.usage.map(|usage| usage.cpu_seconds),
            peak_bytes: ended.usage.map(|usage| usage.peak_bytes),
            written_bytes: written.map(|metadata| metadata.len()),
            samples: Vec::new(),
        })
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_=:./,@+".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// This program, dumping what is selected.
pub(super) fn our_dump(server: &Uri, selection: &SelectionOptions, codec: &str, parallel: usize) -> Result<Call> {
    let mut arguments: Vec<String> = ["dump", "env:SOURCE", ARCHIVE].map(str::to_owned).into();
    arguments.extend(["--force", "--quiet"].map(str::to_owned));
    arguments.extend([format!("--codec={codec}"), format!("--parallel={parallel}")]);
    arguments.extend(selection.include.iter().map(|glob| format!("--include={glob}")));
    arguments.extend(selection.exclude.iter().map(|glob| format!("--exclude={glob}")));
    if let Some(path) = &selection.collections_file {
        let path = std::path::absolute(path).map_err(|error| Error::io(path, error))?;
        arguments.push(format!("--collections-file={}", path.display()));
    }
    ours(server, arguments, "SOURCE", Some(ARCHIVE))
}

/// This program, restoring what it has dumped.
pub(super) fn our_restore(server: &Uri, parallel: usize) -> Result<Call> {
    let arguments = ["restore", ARCHIVE, "env:TARGET", "--quiet"].map(str::to_owned);
    let arguments = arguments.into_iter().chain([format!("--parallel={parallel}")]).collect();
    ours(server, arguments, "TARGET", None)
}

fn ours(server: &Uri, arguments: Vec<String>, variable: &'static str, writes: Option<&'static str>) -> Result<Call> {
    let program = std::env::current_exe().map_err(|error| Error::io("the program's own file", error))?;
    Ok(Call { program, shown: "transload", arguments, server: server.clone(), variable: Some(variable), writes })
}

/// What of a deployment mongodump can be told to dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    Database(String),
    Collection(Namespace),
}

impl Scope {
    /// That of a selection, which has taken these collections, if mongodump can be told the same.
    pub(super) fn of(selection: &SelectionOptions, taken: &[Namespace]) -> Option<Self> {
        let picks =
            !selection.include.is_empty() || !selection.exclude.is_empty() || selection.collections_file.is_some();
        match (picks, &selection.default_database, taken) {
            (false, Some(database), _) => Some(Scope::Database(database.clone())),
            (false, None, _) => Some(Scope::Everything),
            (true, _, [one]) => Some(Scope::Collection(one.clone())),
            _ => None,
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Scope::Everything => Vec::new(),
            Scope::Database(database) => vec![format!("--db={database}")],
            Scope::Collection(one) => {
                vec![format!("--db={}", one.database()), format!("--collection={}", one.collection())]
            }
        }
    }
}

/// mongodump, into an archive.
pub(super) fn their_dump(server: &Uri, scope: &Scope, compressed: bool) -> Call {
    let writes = if compressed { THEIRS_COMPRESSED } else { THEIRS };
    let mut arguments = vec!["--config=/dev/stdin".to_owned(), format!("--archive={writes}"), "--quiet".to_owned()];
    arguments.extend(scope.arguments());
    arguments.extend(compressed.then(|| "--gzip".to_owned()));
    theirs("mongodump", server, arguments, Some(writes))
}

/// mongorestore, from what mongodump has written.
pub(super) fn their_restore(server: &Uri, flags: &[&str]) -> Call {
    let mut arguments = vec!["--config=/dev/stdin".to_owned(), format!("--archive={THEIRS}"), "--quiet".to_owned()];
    // Users and roles are in no archive of ours by default.
    arguments.push("--nsExclude=admin.*".to_owned());
    arguments.extend(flags.iter().map(ToString::to_string));
    theirs("mongorestore", server, arguments, None)
}

fn theirs(tool: &'static str, server: &Uri, arguments: Vec<String>, writes: Option<&'static str>) -> Call {
    Call { program: tool.into(), shown: tool, arguments, server: server.clone(), variable: None, writes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri() -> Uri {
        Uri::read("mongodb://ann:secret@a/shop?authSource=admin").unwrap().0
    }

    #[test]
    fn mongodump_is_told_a_database_a_collection_or_nothing() {
        let one = [Namespace::parse("shop.orders").unwrap()];
        let two = [one[0].clone(), Namespace::parse("shop.events").unwrap()];
        let shop = SelectionOptions { default_database: Some("shop".to_owned()), ..SelectionOptions::default() };
        let orders = SelectionOptions { include: vec!["orders".to_owned()], ..shop.clone() };
        assert_eq!(Scope::of(&SelectionOptions::default(), &two), Some(Scope::Everything));
        assert_eq!(Scope::of(&shop, &two), Some(Scope::Database("shop".to_owned())));
        assert_eq!(Scope::of(&orders, &one), Some(Scope::Collection(one[0].clone())));
        assert_eq!(Scope::of(&orders, &two), None);
    }

    #[test]
    fn no_command_has_the_connection_string() {
        let selection = SelectionOptions { include: vec!["it's *".to_owned()], ..SelectionOptions::default() };
        let dump = our_dump(&uri(), &selection, "zstd:1", 4).unwrap().command();
        let expected = r"transload dump env:SOURCE process.tlz --force --quiet --codec=zstd:1 --parallel=4 ";
        assert_eq!(dump, format!(r"{expected}'--include=it'\''s *'"));
        let scope = Scope::Database("shop".to_owned());
        let theirs = their_dump(&uri(), &scope, true).command();
        assert_eq!(theirs, "mongodump --config=/dev/stdin --archive=mongodump.archive.gz --quiet --db=shop --gzip");
        for command in [dump, theirs, our_restore(&uri(), 4).unwrap().command(), their_restore(&uri(), &[]).command()] {
            assert!(!command.contains("secret") && !command.contains("mongodb://"), "{command}");
        }
    }

    #[tokio::test]
    async fn what_a_tool_says_when_it_fails_has_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let script = "cat >/dev/null; echo >&2; echo cannot reach mongodb://ann:secret@a/shop >&2; exit 1";
        let arguments = ["-c", script].map(str::to_owned).into();
        let program = "sh".into();
        let call = Call { program, shown: "sh", arguments, server: uri(), variable: None, writes: None };
        let message = call.run(folder.path()).await.unwrap_err().to_string();
        assert!(
            message.starts_with("sh: failed (exit status: 1): cannot reach") && !message.contains("secret"),
            "{message}"
        );
    }

    #[test]
    fn a_tool_that_is_not_there_has_no_version() {
        assert_eq!(version_of("no-such-tool-anywhere"), None);
    }
}
