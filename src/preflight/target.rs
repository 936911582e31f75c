//! The target: whether it takes a copy, and has room for its names.

use std::collections::{BTreeSet, HashMap};

use super::{
    CheckOptions, Finding, Findings,
    privileges::{OF_A_TARGET, Privileges},
    sharding::Move,
    source::{Topology, list, release},
    wishes::grant,
};
use crate::{
    catalog,
    changes::capture::SourceId,
    connect::Server,
    error::{ErrorKind, Result},
    namespace::Namespace,
};

/// What was found of a target.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The names to be written that it has already.
    pub(super) taken: Vec<String>,
}

/// Checks a target for what is to be moved.
///
/// # Errors
/// When it cannot be reached, or a rename leads to a name that no server takes.
pub(super) async fn check(moved: &Move<'_>, options: &CheckOptions) -> Result<Checked> {
    let Move { source, target: server, catalog, selection, .. } = *moved;
    let mut findings = Findings::of("target");
    release(server, &mut findings);
    if server.version() < source.version() {
        let found = format!("{} is older than the source's {}", server.version(), source.version());
        let remedy = "what the source may hold, the target may refuse: a newer target takes everything";
        findings.warn("version", found, remedy);
    }
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
    writable(server, &mut findings).await?;
    moved.check(topology, &mut findings).await?;
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
    let databases: BTreeSet<String> = names.iter().map(|(_, target)| target.database().to_owned()).collect();
    let privileges = Privileges::of(server).await?;
    match &privileges {
        Some(privileges) => {
            privileges.check(&databases, &OF_A_TARGET, &mut findings);
            privileges.check_load(&mut findings);
            if server.default_database().is_none() && !privileges.allows_of_cluster("listDatabases") {
                let found = "the user lacks listDatabases: what is there at the end cannot be compared";
                let remedy = format!("{}; or name one database in both connection strings", grant("clusterMonitor"));
                findings.refuse("privileges", found, remedy);
            }
        }
        None => findings.ok("privileges", "no user is logged in"),
    }
    options.wishes.check_target(source, server, selection, options.directory.as_deref(), &mut findings).await?;
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
        return Ok(Checked { findings: findings.all, taken: Vec::new() });
    }
    let names: Vec<&Namespace> = names.iter().map(|(_, target)| target).collect();
    let taken = existing(server, &names, options.replaces, &mut findings).await?;
    Ok(Checked { findings: findings.all, taken })
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
                Err(error) if error.kind() == ErrorKind::Authorization && server.is_nobody() => {
                    let remedy = "name a user in the connection string: mongodb://USER@HOST/ asks for the password";
                    findings.refuse("names", "the server wants a user, and none is named", remedy);
                    return Ok(taken);
                }
                Err(error) if error.kind() == ErrorKind::Authorization => {
                    let hint = error.hint().unwrap_or_default().to_owned();
                    findings.warn("names", format!("what is there cannot be seen: {}", error.message()), hint);
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
