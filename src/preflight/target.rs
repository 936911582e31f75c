//! The target: whether it takes a copy, and has room for its names.

use std::collections::{BTreeSet, HashMap};

use transload_format::CollectionType;

use super::{
    CheckOptions, Finding, Findings, Reached,
    contents::{Contents, list},
    members,
    privileges::{Names, OF_A_TARGET, Privileges},
    sharding::Move,
    source::release,
    topology::Topology,
    wishes::grant,
};
use crate::{
    catalog::{self, Catalog},
    changes::capture::SourceId,
    connect::{Server, Version},
    document,
    error::{ErrorKind, Result},
    namespace::Namespace,
};

/// The first release with time series.
const TIME_SERIES: Version = Version::new(5, 0, 0);
/// The first release with clustered collections.
const CLUSTERED: Version = Version::new(5, 3, 0);

/// What was found of a target.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The names to be written that it has already.
    pub(super) taken: Vec<String>,
}

/// Checks a target, and whether it takes what is to be moved, as far as the source has told.
///
/// # Errors
/// When it no longer answers, or a rename leads to a name that no server takes.
pub(super) async fn check(
    target: &Reached,
    source: Option<&Server>,
    contents: Option<&Contents>,
    options: &CheckOptions,
) -> Result<Checked> {
    let mut findings = Findings::of("target");
    let mut taken = Vec::new();
    if let Some(server) = target.check(&mut findings).await? {
        release(server, &mut findings);
        if let Some(source) = source.filter(|source| server.version() < source.version()) {
            let found = format!("{} is older than the source's {}", server.version(), source.version());
            let remedy = "what the source may hold, the target may refuse: a newer target takes everything";
            findings.warn("version", found, remedy);
        }
        let topology = topology(server, &mut findings).await?;
        features(server.version(), contents.map(|contents| &contents.catalog), &mut findings);
        writable(server, &mut findings).await?;
        if topology == Topology::ReplicaSet {
            members::check(server, "writes wait for a majority", &mut findings).await?;
        }
        if let (Some(source), Some(contents)) = (source, contents) {
            let Contents { catalog, selection, .. } = contents;
            let moved = Move { source, target: server, catalog, selection, shard_keys: &options.shard_keys };
            moved.check(topology, &mut findings).await?;
            taken = check_names(&moved, options, &mut findings).await?;
        }
    }
    Ok(Checked { findings: findings.all, taken })
}

async fn topology(server: &Server, findings: &mut Findings) -> Result<Topology> {
    let topology = Topology::of(server).await?;
    match topology {
        Topology::ReplicaSet => findings.ok("topology", "a replica set"),
        Topology::Standalone => findings.warn(
            "topology",
            "a standalone server: what it has acknowledged, a crash may take back",
            "make it a replica set of one member",
        ),
        Topology::Sharded => findings.ok("topology", "a sharded cluster"),
    }
    Ok(topology)
}

/// What the release takes, and how; and what of the source it does not take.
fn features(version: Version, catalog: Option<&Catalog>, findings: &mut Findings) {
    let is_series = |entry: &&catalog::Entry| entry.collection.kind == CollectionType::TimeSeries;
    let is_clustered = |entry: &&catalog::Entry| {
        entry.collection.kind == CollectionType::Collection
            && document::find(&entry.collection.options, b"clusteredIndex").is_some()
    };
    let entries = catalog.map(|catalog| catalog.entries.as_slice()).unwrap_or_default();
    let names = |is: &dyn Fn(&&catalog::Entry) -> bool| -> Vec<String> {
        entries.iter().filter(|entry| is(entry)).map(|entry| entry.namespace.to_string()).collect()
    };
    let mut takes = Vec::new();
    let kinds =
        [("time series", TIME_SERIES, names(&is_series)), ("clustered collections", CLUSTERED, names(&is_clustered))];
    for (kind, since, names) in kinds {
        if version >= since {
            takes.push(kind.to_owned());
            continue;
        }
        let Version { major, minor, .. } = since;
        takes.push(format!("no {kind} (before {major}.{minor})"));
        if !names.is_empty() {
            let remedy = format!("--exclude them, or name a target of MongoDB {major}.{minor} or later");
            findings.refuse("features", format!("it takes no {kind}: {}", list(&names)), remedy);
        }
    }
    let timestamps = match version.keeps_empty_timestamps() {
        true => "empty timestamps are written as they are",
        false => "documents with empty timestamps are written twice",
    };
    findings.ok("features", format!("takes {}; {timestamps}", takes.join(", ")));
}

/// Says whether the user may write what is to be moved, and whether something is there already: the names that are taken.
async fn check_names(moved: &Move<'_>, options: &CheckOptions, findings: &mut Findings) -> Result<Vec<String>> {
    let Move { source, target: server, catalog, selection, .. } = *moved;
    let mut names = Vec::new();
    for entry in &catalog.entries {
        names.extend(selection.target(&entry.namespace)?.map(|target| (entry, target)));
    }
    if let Some(only) = server.default_database() {
        let all = names.len();
        names.retain(|(_, target)| target.database() == only);
        if names.is_empty() {
            let remedy = format!(
                "--rename 'OLD.*={only}.*' copies under that name; ?authSource={only} only authenticates there"
            );
            findings.refuse("names", format!("nothing goes to '{only}', which the connection string names"), remedy);
        } else if names.len() < all {
            let found = format!("{} go to other databases than '{only}'", all - names.len());
            findings.refuse(
                "names",
                found,
                "leave the database out of the connection string, --exclude them, or --rename",
            );
        }
    }
    // Whole databases: besides what is moved, scratch collections are made and dropped in them.
    let databases = names.iter().map(|(_, target)| (target.database().to_owned(), BTreeSet::new()));
    let databases: Names = databases.collect();
    let privileges = Privileges::of(server).await?;
    match &privileges {
        Some(privileges) => {
            let lists = server.default_database().is_some() || privileges.allows_of_cluster("listDatabases");
            if !privileges.check_besides(&databases, &OF_A_TARGET, findings) && lists {
                findings.ok("privileges", "the user has all that is needed");
            }
            privileges.check_load(findings);
            if !lists {
                let found = "the user lacks listDatabases: what is there at the end cannot be compared";
                let remedy = format!("{}; or name one database in both connection strings", grant("clusterMonitor"));
                findings.refuse("privileges", found, remedy);
            }
        }
        None => findings.ok("privileges", "no user is logged in"),
    }
    options.wishes.check_target(source, server, selection, options.directory.as_deref(), findings).await?;
    let same = SourceId::of(server).await?.is(&SourceId::of(source).await?);
    let may_pass = privileges.is_none_or(|known| known.allows_of_cluster("bypassWriteBlockingMode"));
    if options.wishes.fences_source && same && !may_pass {
        let found = "it is the source's own deployment: the fence would keep this move from writing, too";
        findings.refuse("fence", found, format!("leave --fence-source out, or {}", grant("restore")));
    }
    let onto_itself: Vec<String> = names
        .iter()
        .filter(|(entry, target)| same && entry.namespace == *target)
        .map(|(_, target)| target.to_string())
        .collect();
    if !onto_itself.is_empty() {
        let found = format!("it is the source, and what would be written is what is read: {}", list(&onto_itself));
        findings.refuse("names", found, "name another server, or --rename 'OLD.*=NEW.*'");
        return Ok(Vec::new());
    }
    let names: Vec<&Namespace> = names.iter().map(|(_, target)| target).collect();
    existing(server, &names, options.replaces, findings).await
}

/// A target that takes no writes is found out about before hours of copying.
async fn writable(server: &Server, findings: &mut Findings) -> Result<()> {
    let reply = server.reading_primary().hello().await?;
    if reply.get_bool("ismaster").unwrap_or(false) {
        findings.ok("writes", "its primary answers");
    } else {
        findings.refuse("writes", "the server that answers is no primary", "name all members, and replicaSet=NAME");
    }
    Ok(())
}

async fn existing(
    server: &Server,
    names: &[&Namespace],
    replaces: bool,
    findings: &mut Findings,
) -> Result<Vec<String>> {
    let mut there: HashMap<&str, _> = HashMap::new();
    let mut taken = Vec::new();
    for name in names {
        if !there.contains_key(name.database()) {
            let existing = match catalog::existing(server, name.database()).await {
                Err(error) if error.kind() == ErrorKind::Authorization => {
                    let remedy = format!("the role 'readWrite' on '{}' shows it", name.database());
                    findings.warn("names", format!("what is there cannot be seen: {}", error.message()), remedy);
                    return Ok(taken);
                }
                existing => existing?,
            };
            there.insert(name.database(), existing);
        }
        if there.get(name.database()).is_some_and(|existing| existing.contains_key(name.collection())) {
            taken.push(name.to_string());
        }
    }
    if taken.is_empty() {
        findings.ok("names", "none of them is there yet");
    } else if replaces {
        let found = format!("{} are there already, and will be dropped: {}", taken.len(), taken.join(", "));
        findings.warn("names", found, "without --drop a move is refused where they are");
    } else {
        let remedy = "--drop drops them first, --rename copies under other names, --exclude leaves them out";
        findings.refuse("names", format!("{} are there already: {}", taken.len(), list(&taken)), remedy);
    }
    Ok(taken)
}
