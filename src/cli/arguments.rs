//! Arguments that several commands share.

use std::{
    io::{IsTerminal, stdin},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Output;
use crate::{
    catalog::sharding::ShardKeyOf,
    connect::{PATIENCE, Server, Uri, connect},
    error::{Error, ErrorKind, Result},
    preflight::Reached,
    rate::Rate,
    selection::SelectionOptions,
};

/// Which namespaces a command is about.
#[derive(Args, Clone, Debug)]
pub(super) struct SelectionArguments {
    /// Take only namespaces that match: a glob as `shop.*`; `*` any run, `?` one character, `\` escapes (repeatable)
    #[arg(long, help_heading = "Selecting", value_name = "NS", env = "TRANSLOAD_INCLUDE", hide_env_values = true)]
    include: Vec<String>,
    /// Leave out namespaces that match (repeatable)
    #[arg(long, help_heading = "Selecting", value_name = "NS", env = "TRANSLOAD_EXCLUDE", hide_env_values = true)]
    exclude: Vec<String>,
    /// Take the collections named in a file, one name or namespace a line
    #[arg(
        long,
        help_heading = "Selecting",
        value_name = "FILE",
        env = "TRANSLOAD_COLLECTIONS_FILE",
        hide_env_values = true
    )]
    collections_file: Option<PathBuf>,
}

impl SelectionArguments {
    /// Whether nothing is said of which.
    pub(super) fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty() && self.collections_file.is_none()
    }

    /// The flags once more, as one writes them.
    pub(super) fn words(&self) -> Vec<String> {
        let file = self.collections_file.iter().map(|path| ("collections-file", path.display().to_string()));
        let globs = |name, globs: &[String]| globs.iter().map(|glob| (name, glob.clone())).collect::<Vec<_>>();
        let all = globs("include", &self.include).into_iter().chain(globs("exclude", &self.exclude)).chain(file);
        all.map(|(name, value)| format!("--{name} '{}'", value.replace('\'', r"'\''"))).collect()
    }

    pub(super) fn options(self, rename: Vec<String>, default_database: Option<String>) -> SelectionOptions {
        SelectionOptions {
            include: self.include,
            exclude: self.exclude,
            collections_file: self.collections_file,
            rename,
            default_database,
        }
    }
}

/// What is to be moved from one server to another.
#[derive(Args, Clone, Debug)]
pub(super) struct MoveArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// What gets another name: FROM=TO, globs with as many `*` on both sides (repeatable)
    #[arg(long, help_heading = "Selecting", value_name = "FROM=TO", env = "TRANSLOAD_RENAME", hide_env_values = true)]
    rename: Vec<String>,
}

impl MoveArguments {
    pub(super) fn options(self, default_database: Option<String>) -> SelectionOptions {
        self.selection.options(self.rename, default_database)
    }
}

/// How the target is to be sharded.
#[derive(Args, Clone, Debug)]
pub(super) struct ShardingArguments {
    /// Shard a collection on the target, a sharded cluster, before it is loaded: its name on the source, `=`, and its key:
    /// FIELD or FIELD:hashed, more of them behind commas, then `unique`; `,hashed` behind an only field (repeatable). Those
    /// that are sharded on the source are sharded alike, where their keys can be read
    #[arg(
        long,
        help_heading = "Sharding",
        value_name = "NS=KEY[,unique][,hashed]",
        env = "TRANSLOAD_SHARD_KEY",
        hide_env_values = true
    )]
    pub(super) shard_key: Vec<ShardKeyOf>,
}

/// How a command speaks to its server.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ConnectionArguments {
    /// How long to go on trying when a server is lost, before giving up
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs(), env = "TRANSLOAD_RETRY_FOR", hide_env_values = true)]
    retry_for: u64,
}

impl ConnectionArguments {
    /// Connects to what the argument called `place` names; asks for a missing password on a terminal.
    pub(super) async fn server(
        self,
        place: &str,
        argument: &str,
        connections: usize,
        output: &Output,
        cancel: &CancellationToken,
    ) -> Result<Server> {
        let uri = self.uri(place, argument, output)?;
        self.connect(&uri, connections, cancel).await
    }

    /// The same for whom it is a finding that nobody answers there, or that the user is not accepted.
    pub(super) async fn reach(
        self,
        place: &str,
        argument: &str,
        connections: usize,
        output: &Output,
        cancel: &CancellationToken,
    ) -> Result<Reached> {
        let uri = self.uri(place, argument, output)?;
        Reached::new(uri.to_string(), self.connect(&uri, connections, cancel).await)
    }

    /// What the argument called `place` names, with a password if it wants one.
    fn uri(self, place: &str, argument: &str, output: &Output) -> Result<Uri> {
        let (mut uri, warnings) = Uri::read(argument).map_err(|error| error.at(place))?;
        warnings.iter().for_each(|warning| output.warn(warning));
        if uri.lacks_password() {
            if !stdin().is_terminal() {
                return Err(Error::new(ErrorKind::Usage, "the connection string names a user without a password")
                    .with_hint("put the whole string into an environment variable (env:NAME) or a file (@FILE)")
                    .at(uri.to_string()));
            }
            let password = rpassword::prompt_password(format!("password for {uri}: "))
                .map_err(|error| Error::io("terminal", error))?;
            uri = uri.with_password(&password);
        }
        Ok(uri)
    }

    async fn connect(self, uri: &Uri, connections: usize, cancel: &CancellationToken) -> Result<Server> {
        let server = tokio::select! {
            server = connect(uri, connections) => server?,
            () = cancel.cancelled() => return Err(Error::interrupted()),
        };
        Ok(server.with_patience(Duration::from_secs(self.retry_for)))
    }
}

/// A number of bytes, as `500000`, `20MB` or `16MiB`.
pub(super) fn bytes(text: &str) -> std::result::Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let refused = || "a number of bytes, as 500000, 20MB or 16MiB".to_owned();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
        .ok_or_else(refused)?;
    let number: u64 = number.trim().parse().map_err(|_| refused())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(refused)
}

/// How much may be moved in a second, as `20MB`, or `5000docs`.
pub(super) fn rate(text: &str) -> std::result::Result<Rate, String> {
    let refused = || "bytes a second, as 20MB or 16MiB, or documents a second, as 5000docs".to_owned();
    match text.strip_suffix("docs").map(|number| number.trim().parse::<u64>()) {
        Some(Ok(documents)) if documents > 0 => Ok(Rate::Documents(documents)),
        Some(_) => Err(refused()),
        None => bytes(text).map(Rate::Bytes).map_err(|_| refused()),
    }
}

/// The path of an archive. Arguments in the wrong order would make one of a connection string, and show its password
/// as a part of the path.
pub(super) fn archive_path(argument: &str) -> Result<&Path> {
    if is_connection_string(argument) {
        return Err(Error::new(ErrorKind::Usage, "is a connection string, and not the path of an archive")
            .with_hint("the order is: transload dump SOURCE ARCHIVE, transload restore ARCHIVE TARGET")
            .at("ARCHIVE"));
    }
    Ok(Path::new(argument))
}

/// The path of a work directory, by the same rule.
pub(super) fn work_directory(argument: &str) -> Result<PathBuf> {
    if is_connection_string(argument) {
        return Err(Error::new(ErrorKind::Usage, "is a connection string, and not the path of a directory")
            .with_hint("'transload COMMAND --help' shows the order; DIR is a directory on this machine")
            .at("DIR"));
    }
    Ok(argument.into())
}

/// Whether an argument that may name an archive names a server.
pub(super) fn is_server(argument: &str) -> bool {
    is_connection_string(argument) || argument.starts_with("env:") || argument.starts_with('@')
}

fn is_connection_string(argument: &str) -> bool {
    ["mongodb://", "mongodb+srv://"].iter().any(|scheme| argument.starts_with(scheme))
}

/// How much of the shop, the data set to try and to measure with.
pub(super) fn scale(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.0001..=1000.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0.0001 to 1000".to_owned()),
    }
}

/// A duration as `200ms`, `90s`, `10m` or `2h`.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let of_unit = |(unit, milliseconds): &(&str, u64)| {
        text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*milliseconds)
    };
    units
        .iter()
        .find_map(of_unit)
        .map(Duration::from_millis)
        .ok_or_else(|| Error::new(ErrorKind::Usage, "is no duration: a number with its unit, as 200ms, 90s, 10m or 2h"))
}

/// The same of how often something is done.
pub(super) fn interval(text: &str) -> Result<Duration> {
    let least = Duration::from_millis(10);
    match duration(text)? {
        interval if interval >= least => Ok(interval),
        _ => Err(Error::new(ErrorKind::Usage, "is too often: 10ms at least")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_bytes_may_have_a_unit() {
        assert_eq!(bytes("500000"), Ok(500_000));
        assert_eq!((bytes("20MB"), bytes("16MiB"), bytes("1 GB")), (Ok(20_000_000), Ok(16 << 20), Ok(1_000_000_000)));
        for text in ["", "MB", "-1MB", "0", "20XB", "99999999999GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(interval("0ms").is_err() && interval("250ms").is_ok());
    }

    #[test]
    fn a_rate_is_of_bytes_or_of_documents() {
        assert_eq!(rate("500000"), Ok(Rate::Bytes(500_000)));
        assert_eq!((rate("20MB"), rate("1 MiB")), (Ok(Rate::Bytes(20_000_000)), Ok(Rate::Bytes(1 << 20))));
        assert_eq!((rate("5000docs"), rate("1 docs")), (Ok(Rate::Documents(5000)), Ok(Rate::Documents(1))));
        for text in ["", "docs", "0docs", "-1docs", "1.5docs", "5kdocs", "20XB", "0"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        let milliseconds = |text: &str| duration(text).ok().map(|duration| duration.as_millis());
        assert_eq!(milliseconds("200ms"), Some(200));
        assert_eq!(milliseconds("90s"), Some(90_000));
        assert_eq!(milliseconds("10 m"), Some(600_000));
        assert_eq!(milliseconds("2h"), Some(7_200_000));
        for text in ["", "5", "s", "-1s", "1.5s", "99999999999999999999h", "5d"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
