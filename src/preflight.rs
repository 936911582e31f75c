//! The verb `check`: whether a move from one server to another can succeed, before anything is written anywhere.
//!
//! Each finding is a line: what was looked at, whether it is well, what was found, and what to do about it. A check that
//! cannot be made for lack of a privilege says so: it is not well, and not refused either.

mod contents;
mod disk;
mod members;
mod oplog;
mod privileges;
mod reach;
mod sharding;
mod source;
mod streams;
mod target;
mod topology;
mod wishes;

use std::path::PathBuf;

use serde::Serialize;
use transload_format::Codec;

pub use reach::Reached;
pub(crate) use wishes::FENCES;
pub use wishes::Wishes;

use crate::{
    catalog::sharding::ShardKeyOf,
    error::{Error, ErrorKind, Result},
    rate::Rate,
    selection::SelectionOptions,
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
    /// What to do about it: of all that is not well.
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
    /// How the archive would be compressed.
    pub codec: Codec,
    /// How much of the source a copy would read in a second at most.
    pub max_rate: Option<Rate>,
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

    /// Refuses for an error, with its own hint if it has one.
    fn refuse_for(&mut self, what: &'static str, error: &Error, otherwise: impl Into<String>) {
        let remedy = error.hint().map_or_else(|| otherwise.into(), str::to_owned);
        self.refuse(what, error.message().to_owned(), remedy);
    }

    fn push(&mut self, what: &'static str, verdict: Verdict, found: String, remedy: Option<String>) {
        self.all.push(Finding { side: self.side, what, verdict, found, remedy });
    }
}

/// Checks a move. Nothing is written, on no side. A side that does not answer, or does not accept the user, is refused in a
/// line of its own, and the other one looked at.
///
/// # Errors
/// When a server is lost meanwhile, or the selection is none.
pub async fn check(source: &Reached, target: Option<&Reached>, options: &CheckOptions) -> Result<CheckReport> {
    if target.is_none() && !options.shard_keys.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "is about a target, and none is named")
            .with_hint("name the TARGET behind the SOURCE")
            .at("--shard-key"));
    }
    let mut found = Findings::of("source");
    let server = source.check(&mut found).await?;
    let contents = match server {
        Some(server) => source::check(server, options, &mut found).await?,
        None => None,
    };
    let mut findings = found.all;
    let mut taken = Vec::new();
    if let Some(target) = target {
        let checked = target::check(target, server, contents.as_ref(), options).await?;
        findings.extend(checked.findings);
        taken = checked.taken;
    }
    if let Some(contents) = &contents {
        findings.extend(disk::check(options.directory.as_deref(), contents.bytes, options.codec));
    }
    let contents = contents.as_ref();
    Ok(CheckReport {
        source: source.place().to_owned(),
        target: target.map(|target| target.place().to_owned()),
        verdict: findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok),
        documents: contents.map_or(0, |contents| contents.documents),
        bytes: contents.map_or(0, |contents| contents.bytes),
        namespaces: contents.map_or(0, |contents| contents.catalog.entries.len()),
        taken,
        findings,
    })
}
