//! `migration.json`: what is moved, and how far that is. Written in one step, before what it speaks of is relied on.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{CutoverRequest, MigrateOptions, MigrationReport, directory::read_json};
use crate::{
    catalog::{self, sharding::ShardKeyOf},
    changes::capture::SourceId,
    error::{Error, ErrorKind, Result},
    replace::replace,
    selection::SelectionOptions,
};

/// The version of the file.
const VERSION: u32 = 1;

/// Where a migration is, as far as that is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// The deployment that is moved.
    source: SourceId,
    /// Where to.
    target: SourceId,
    /// The database that the target's connection string names, which all has to go to.
    target_database: Option<String>,
    /// What is moved.
    pub(crate) selection: SelectionOptions,
    /// Where the source's changes are kept.
    #[serde(default)]
    pub(crate) events_to: EventsTo,
    /// The shard keys that the user has named.
    #[serde(default)]
    pub(crate) shard_keys: Vec<ShardKeyOf>,
    /// What is sharded on the target: by these, and as it is on the source.
    #[serde(default)]
    pub(crate) sharding: Vec<ShardKeyOf>,
    /// The names to be written that the target had, and that were to be dropped.
    #[serde(default)]
    pub(crate) replaced: Vec<String>,
    /// The collections of the source that a cutover has made on the target, each with the cluster times between which it was copied,
    /// if it was.
    #[serde(default)]
    pub(crate) made: BTreeMap<String, Option<(u64, u64)>>,
    /// Whether a cutover has let expire on the target what was held back.
    #[serde(default)]
    pub(crate) expires: bool,
    /// Documents that were fetched from the source as their changes did not tell what they are, and how many of them were not there
    /// any more: by all replays that have come to their end.
    #[serde(default)]
    pub(crate) refetched: (u64, u64),
    /// Whether a cutover has had the source refuse writes. Nobody but the user has it take them again.
    #[serde(default)]
    pub(crate) fenced: bool,
    /// What its scratch collections on the target are known by; 0 if it was begun by a version that knew none.
    #[serde(default)]
    pub(crate) number: u32,
    /// When it was begun, as RFC 3339.
    pub(crate) begun: String,
    /// How far it is.
    pub(crate) stage: Stage,
    /// What the copy has come to.
    pub(crate) copied: Option<Copied>,
}

/// Where the source's changes are kept until they are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventsTo {
    /// In the work directory.
    #[default]
    Log,
    /// In the collection `_cdc` of the target, for hosts without a durable disk.
    Target,
}

impl std::fmt::Display for EventsTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EventsTo::Log => "log",
            EventsTo::Target => "target",
        })
    }
}

impl std::str::FromStr for EventsTo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "log" => Ok(EventsTo::Log),
            "target" => Ok(EventsTo::Target),
            _ => Err(Error::new(ErrorKind::Usage, "is no place for events: log or target")),
        }
    }
}

/// How far a migration is. Each is durable before the next one begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    /// It can succeed; changes are recorded, and documents copied.
    Copying,
    /// The target has the whole archive, and indexes but for unique ones.
    Copied,
    /// The target has everything up to the end of the copy, and unique indexes.
    Following,
    /// A cutover was asked for.
    CuttingOver {
        /// How.
        request: CutoverRequest,
    },
    /// The target may take over.
    Done {
        /// What the cutover has come to.
        report: Box<MigrationReport>,
    },
}

/// What a copy has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Copied {
    /// The last cluster time of which it may have a change.
    pub(crate) end: u64,
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
    /// Documents that the target refused.
    pub(crate) refused: u64,
    /// The first of them, and why.
    pub(crate) rejected: Vec<String>,
    /// Index specs that were changed, and how.
    pub(crate) repaired: Vec<String>,
    /// Indexes that were not built, and why.
    pub(crate) failed: Vec<String>,
    /// What is never copied, and why.
    pub(crate) left_out: Vec<String>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// What could not be read of the source.
    pub(crate) missing: Vec<String>,
    pub(crate) seconds: f64,
}

/// A pair of servers, as a state knows it.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) source: SourceId,
    pub(crate) target: SourceId,
    pub(crate) target_database: Option<String>,
}

impl State {
    /// Of a migration that begins.
    ///
    /// # Errors
    /// When the operating system has no random bytes for its number.
    pub(crate) fn beginning(
        pair: Pair,
        selection: SelectionOptions,
        replaced: Vec<String>,
        events_to: EventsTo,
    ) -> Result<Self> {
        let begun = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        let Pair { source, target, target_database } = pair;
        Ok(State {
            version: VERSION,
            source,
            target,
            target_database,
            selection,
            events_to,
            shard_keys: Vec::new(),
            sharding: Vec::new(),
            replaced,
            made: BTreeMap::new(),
            expires: false,
            refetched: (0, 0),
            fenced: false,
            number: catalog::new_number()?,
            begun,
            stage: Stage::Copying,
            copied: None,
        })
    }

    /// The state in `path`; none if there is none.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let version = read_json::<serde_json::Value>(path)?.and_then(|value| value.get("version")?.as_u64());
        if version.is_some_and(|version| version > u64::from(VERSION)) {
            return Err(Error::new(ErrorKind::NewerVersion, "was written by a newer version of transload")
                .with_hint("go on with that version")
                .at(path.display().to_string()));
        }
        read_json(path)
    }

    /// Writes it in one step, durably.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(path.display().to_string()))?;
        text.push(b'\n');
        replace(path, &text)
    }

    /// Where it moves something to, in words, if that is another deployment than this one.
    pub(crate) fn other_target(&self, target: &SourceId) -> Option<String> {
        (!self.target.is(target)).then(|| self.target.shown())
    }

    /// Refuses to go on with other servers, or with something else to move.
    ///
    /// # Errors
    /// Usage, with what differs.
    pub(crate) fn check(&self, pair: &Pair, options: &MigrateOptions, path: &Path) -> Result<()> {
        let refuse = |what: &str, known: String, hint: &str| {
            let message = format!("the migration in it was begun with another {what}: {known}");
            Err(Error::new(ErrorKind::Usage, message).with_hint(hint).at(path.display().to_string()))
        };
        let servers = "name the same servers to go on, or another --dir for another migration";
        if !self.source.is(&pair.source) {
            return refuse("source", self.source.shown(), servers);
        }
        if let Some(other) = self.other_target(&pair.target) {
            return refuse("target", other, servers);
        }
        if self.target_database != pair.target_database {
            let known = self.target_database.clone().unwrap_or_else(|| "none".to_owned());
            return refuse("database in the target's connection string", known, servers);
        }
        let known = &self.selection;
        // The names of the file stand among the includes; a file that is gone says nothing else than they do.
        let given = match options.selection.clone().with_file_read() {
            Err(_) if !known.include.is_empty() => {
                SelectionOptions { include: known.include.clone(), ..options.selection.clone() }
            }
            Err(error) => return Err(error),
            Ok(given) => given,
        };
        let hint = "leave it out to go on with what was selected, or begin anew with --restart";
        let shown = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
        let lists = [
            ("--include, or file of collections", &given.include, &known.include),
            ("--exclude", &given.exclude, &known.exclude),
            ("--rename", &given.rename, &known.rename),
        ];
        for (what, given, known) in lists.into_iter().filter(|(_, given, _)| !given.is_empty()) {
            if given != known {
                return refuse(what, shown(known), hint);
            }
        }
        if let Some(given) = options.events_to
            && given != self.events_to
        {
            return refuse("--events-to", self.events_to.to_string(), hint);
        }
        let keys = &options.shard_keys;
        if !keys.is_empty() && *keys != self.shard_keys {
            let known: Vec<String> = self.shard_keys.iter().map(ToString::to_string).collect();
            return refuse("--shard-key", shown(&known), hint);
        }
        if given.default_database != known.default_database {
            let database = known.default_database.clone().unwrap_or_else(|| "none".to_owned());
            return refuse("database in the source's connection string", database, hint);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(set: &str) -> SourceId {
        SourceId { set: Some(set.to_owned()), id: Some(set.to_owned()), hosts: vec![format!("{set}:1")] }
    }

    #[test]
    fn a_state_comes_back_as_it_was_and_half_of_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("migration.json");
        assert_eq!(State::read(&path).unwrap(), None);
        let pair = Pair { source: id("a"), target: id("b"), target_database: None };
        let mut state = State::beginning(pair, SelectionOptions::default(), Vec::new(), EventsTo::Target).unwrap();
        state.stage = Stage::CuttingOver { request: CutoverRequest::default() };
        state.shard_keys = vec!["shop.orders=customer,_id:hashed".parse().unwrap()];
        state.sharding = state.shard_keys.clone();
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), Some(state));
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert_eq!(State::read(&path).unwrap_err().kind(), ErrorKind::Damaged);
        std::fs::write(&path, r#"{"version": 2}"#).unwrap();
        assert_eq!(State::read(&path).unwrap_err().kind(), ErrorKind::NewerVersion);
    }
}
