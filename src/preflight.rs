//! The verb `check`: whether a move from one server to another can succeed, before anything is written anywhere.
//!
//! Each finding is a line: what was looked at, whether it is well, what was found, and what to do about it. A check that
//! cannot be made for lack of a privilege says so: it is not well, and not refused either.

mod disk;
mod oplog;
mod privileges;
mod sharding;
mod source;
mod target;
mod wishes;

use std::path::PathBuf;

use serde::Serialize;

pub(crate) use wishes::FENCES;
pub use wishes::Wishes;

use self::sharding::Move;
use crate::{
    catalog::sharding::ShardKeyOf,
    connect::Server,
    error::{Error, ErrorKind, Result},
    selection::{Selection, SelectionOptions},
};

/// Whether something is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Ok,
    /// A move can succeed, and whoever starts it should know this.
    Warning,
    /// A move cannot succeed.
    Refused,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where: `source`, `target`, `here`.
    pub side: &'static str,
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is well.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What a check has found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The source.
    pub source: String,
    /// The target, if one was named.
    pub target: Option<String>,
    /// The worst of all verdicts.
    pub verdict: Verdict,
    /// Documents that would be copied, as far as the server tells.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The namespaces that would be copied.
    pub namespaces: usize,
    /// The names to be written that the target has already.
    pub taken: Vec<String>,
    /// What was looked at.
    pub findings: Vec<Finding>,
}

/// What to check.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// What is to be moved, and under which names.
    pub selection: SelectionOptions,
    /// Where a move would keep its state and its archive; the current directory if it is not said.
    pub directory: Option<PathBuf>,
    /// Whether collections that the target has already are to be dropped.
    pub replaces: bool,
    /// What is wanted besides.
    pub wishes: Wishes,
    /// By what collections are to be sharded on the target, besides those that are sharded on the source.
    pub shard_keys: Vec<ShardKeyOf>,
}

/// Findings, as they are made.
#[derive(Debug)]
struct Findings {
    side: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    fn of(side: &'static str) -> Self {
        Findings { side, all: Vec::new() }
    }

    fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.push(what, Verdict::Ok, found.into(), None);
    }

    fn warn(&mut self, what: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.push(what, Verdict::Warning, found.into(), Some(remedy.into()));
    }

    fn refuse(&mut self, what: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.push(what, Verdict::Refused, found.into(), Some(remedy.into()));
    }

    fn push(&mut self, what: &'static str, verdict: Verdict, found: String, remedy: Option<String>) {
        let remedy = remedy.filter(|remedy| !remedy.is_empty());
        self.all.push(Finding { side: self.side, what, verdict, found, remedy });
    }
}

/// Checks a move. Nothing is written, on no side.
///
/// # Errors
/// When a server cannot be reached at all, or the selection is none.
pub async fn check(source: &Server, target: Option<&Server>, options: &CheckOptions) -> Result<CheckReport> {
    let default_database = source.default_database().map(str::to_owned);
    let selection = Selection::new(&SelectionOptions { default_database, ..options.selection.clone() })?;
    let checked = source::check(source, &selection, options.wishes).await?;
    let mut findings = checked.findings.all;
    let mut taken = Vec::new();
    if let Some(target) = target {
        let (catalog, shard_keys) = (&checked.catalog, options.shard_keys.as_slice());
        let moved = Move { source, target, catalog, selection: &selection, shard_keys };
        let checked = target::check(&moved, options).await?;
        findings.extend(checked.findings);
        taken = checked.taken;
    } else if !options.shard_keys.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "is about a target, and none is named")
            .with_hint("name the TARGET behind the SOURCE")
            .at("--shard-key"));
    }
    findings.extend(disk::check(options.directory.as_deref(), checked.bytes));
    Ok(CheckReport {
        source: source.place(),
        target: target.map(Server::place),
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok),
        documents: checked.documents,
        bytes: checked.bytes,
        namespaces: checked.catalog.entries.len(),
        taken,
        findings,
    })
}
