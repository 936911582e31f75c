//! The source: whether it can be read and followed, and what of it will not be copied as it is.

use std::{collections::BTreeSet, time::Duration};

use bson::rawdoc;
use transload_format::CollectionType;

use super::{
    Findings, oplog,
    privileges::{OF_A_SOURCE, Privileges},
    wishes::Wishes,
};
use crate::{
    catalog::{
        self, Catalog, Order,
        index_spec::{Author, Context, NEWEST, sanitize},
    },
    changes::capture::{Scope, try_streams},
    connect::{Doing, Server, Version},
    error::{ErrorKind, Result},
    selection::Selection,
};

/// The oldest release that this program is tried on.
const OLDEST: Version = Version::new(4, 2, 0);
/// How long a change stream may take to answer: where a majority cannot be read, none ever does.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How many names a line lists.
const NAMED: usize = 10;

/// A source, and what was found of it.
pub(super) struct Checked {
    pub(super) findings: Findings,
    pub(super) catalog: Catalog,
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

/// Checks a source.
///
/// # Errors
/// When it cannot be read at all, or the selection takes nothing.
pub(super) async fn check(server: &Server, selection: &Selection, wishes: Wishes) -> Result<Checked> {
    let mut findings = Findings::of("source");
    release(server, &mut findings);
    features(server, &mut findings);
    let topology = topology(server, &mut findings).await?;
    let catalog = catalog::read(server, selection).await?;
    let sum = |of: fn(&catalog::Entry) -> Option<u64>| catalog.entries.iter().filter_map(of).sum::<u64>();
    let (documents, bytes) = (sum(|entry| entry.documents), sum(|entry| entry.bytes));
    let databases: BTreeSet<String> =
        catalog.entries.iter().map(|entry| entry.namespace.database().to_owned()).collect();
    let privileges = Privileges::of(server).await?;
    match &privileges {
        Some(privileges) => {
            privileges.check(&databases, &OF_A_SOURCE, &mut findings);
            privileges.check_load(&mut findings);
        }
        None => findings.ok("privileges", "no user is logged in, and the server asks for none"),
    }
    wishes.check_source(server, privileges.as_ref(), &mut findings);
    namespaces(&catalog, documents, bytes, &mut findings);
    indexes(&catalog, &mut findings);
    if topology != Topology::Standalone {
        majority(server, &catalog, &mut findings).await;
        streams(server, selection, &mut findings).await;
        if topology == Topology::ReplicaSet {
            oplog::check(server, bytes, &mut findings).await?;
            oplog::lag(server, &mut findings).await?;
        }
    }
    Ok(Checked { findings, catalog, documents, bytes })
}

pub(super) fn release(server: &Server, findings: &mut Findings) {
    let version = server.version();
    if version < OLDEST {
        findings.warn("version", format!("{version}"), "this program is tried on 4.2 and later");
    } else {
        findings.ok("version", format!("{version}"));
    }
}

/// What the release tells, and how it can be read.
fn features(server: &Server, findings: &mut Findings) {
    if !server.version().tells_of_collections() {
        let found =
            "changes of documents, drops and renames are told; creates, indexes and options are not (before 6.0)";
        let remedy =
            "make none while a move runs, or hold both sides against each other at its end: 'transload verify'";
        findings.warn("changes told", found, remedy);
    } else {
        findings.ok("changes told", "of documents, collections, indexes and options");
    }
    let found = match server.version().reads_as_of_a_time() {
        true => "as of one cluster time",
        false => "each part of a collection within a window of time (before 5.0)",
    };
    findings.ok("reads", found);
}

/// What a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Standalone,
    ReplicaSet,
    Sharded,
}

impl Topology {
    /// Asks a server.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let reply = server.hello().await?;
        Ok(match reply.get_str("msg") {
            Ok("isdbgrid") => Topology::Sharded,
            _ if reply.contains_key("setName") => Topology::ReplicaSet,
            _ => Topology::Standalone,
        })
    }
}

async fn topology(server: &Server, findings: &mut Findings) -> Result<Topology> {
    let topology = Topology::of(server).await?;
    match topology {
        Topology::ReplicaSet => findings.ok("topology", "a replica set"),
        Topology::Sharded => {
            findings.ok("topology", "a sharded cluster");
            balancer(server, findings).await?;
        }
        Topology::Standalone => findings.refuse(
            "topology",
            "a standalone server, which tells nobody what changes",
            "make it a replica set of one member (--replSet, rs.initiate()), or stop all writes, dump and restore",
        ),
    }
    Ok(topology)
}

/// Chunks that move while a cluster is read are read twice or not at all.
async fn balancer(server: &Server, findings: &mut Findings) -> Result<()> {
    let doing = Doing::new("ask for the balancer", "balancerStatus", "admin");
    let reply = match server.run("admin", rawdoc! { "balancerStatus": 1 }, &doing).await {
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            findings.warn("balancer", error.message().to_owned(), "make sure that it is stopped: sh.stopBalancer()");
            return Ok(());
        }
        reply => reply?,
    };
    let is_off =
        reply.get_str("mode").is_ok_and(|mode| mode == "off") && !reply.get_bool("inBalancerRound").unwrap_or(false);
    if is_off {
        findings.ok("balancer", "stopped");
    } else {
        findings.refuse(
            "balancer",
            "it runs, and chunks move",
            "sh.stopBalancer(), and sh.startBalancer() after the move",
        );
    }
    Ok(())
}

fn namespaces(catalog: &Catalog, documents: u64, bytes: u64, findings: &mut Findings) {
    let found = format!("{} to copy, {documents} documents, {} MiB", catalog.entries.len(), bytes >> 20);
    findings.ok("namespaces", found);
    for missing in &catalog.missing {
        findings.refuse("namespaces", format!("cannot be read: {missing}"), "grant what is missing, or --exclude it");
    }
    for warning in &catalog.warnings {
        findings.warn("namespaces", warning.clone(), "");
    }
    for left_out in &catalog.left_out {
        findings.warn("namespaces", format!("not copied: {}: {}", left_out.namespace, left_out.reason), "");
    }
    let series: Vec<String> = catalog
        .entries
        .iter()
        .filter(|entry| entry.collection.kind == CollectionType::TimeSeries)
        .map(|entry| entry.namespace.to_string())
        .collect();
    if !series.is_empty() {
        let found = format!("time series, whose changes no server tells: {}", list(&series));
        findings.warn("namespaces", found, "stop writes to them before they are copied, or copy them anew afterwards");
    }
}

fn indexes(catalog: &Catalog, findings: &mut Findings) {
    let (mut all, mut repaired, mut refused) = (0, Vec::new(), Vec::new());
    for entry in &catalog.entries {
        let context = Context { options: &entry.collection.options, target: NEWEST, author: Author::Server };
        for index in sanitize(&entry.collection.indexes, &context) {
            all += 1;
            let name = format!("{} {}", entry.namespace, index.name);
            match (index.is_bad(), index.to_build().is_some()) {
                (false, _) => {}
                (true, true) => repaired.push(name),
                (true, false) => refused.push(name),
            }
        }
    }
    if repaired.is_empty() && refused.is_empty() {
        findings.ok("indexes", format!("{all}, all as servers take them"));
    }
    if !repaired.is_empty() {
        let remedy = "they are repaired on the way; 'transload indexes check' shows how";
        findings.warn("indexes", format!("{} of {all} are bad: {}", repaired.len(), list(&repaired)), remedy);
    }
    if !refused.is_empty() {
        let remedy = "'transload indexes check' shows why; they are left out, and the move ends with exit code 3";
        findings.warn("indexes", format!("{} of {all} cannot be built: {}", refused.len(), list(&refused)), remedy);
    }
}

/// Reads what a majority of the members has: where that point stands still, change streams stand still too.
async fn majority(server: &Server, catalog: &Catalog, findings: &mut Findings) {
    let Some(entry) = catalog.entries.iter().find(|entry| entry.order == Order::Id) else { return };
    let doing = Doing::new(format!("read {} as a majority has it", entry.data), "find", entry.data.database());
    let find = rawdoc! {
        "find": entry.data.collection(), "limit": 1, "singleBatch": true, "projection": { "_id": 1 },
        "readConcern": { "level": "majority" },
    };
    let remedy =
        "see to it that most members are up, and that majority reads are not switched off (enableMajorityReadConcern)";
    match tokio::time::timeout(ANSWERS_WITHIN, server.documents(entry.data.database(), find, &doing)).await {
        Ok(Ok(_)) => findings.ok("majority reads", "answered"),
        Ok(Err(error)) => findings.refuse("majority reads", error.message().to_owned(), remedy),
        Err(_) => {
            findings.refuse("majority reads", format!("no answer within {} s", ANSWERS_WITHIN.as_secs()), remedy);
        }
    }
}

/// Opens the change streams that a capture would open, and closes them.
pub(super) async fn streams(server: &Server, selection: &Selection, findings: &mut Findings) {
    let opened = tokio::time::timeout(ANSWERS_WITHIN, try_streams(server, Scope::of(server), selection)).await;
    match opened {
        Ok(Ok(streams)) => {
            findings.ok("change streams", format!("opened: {}", list(&streams.watched)));
            for warning in streams.warnings {
                findings.warn("change streams", warning, "");
            }
            for lost in streams.not_followed {
                let remedy = format!(
                    "{{ _flushRoutingTableCacheUpdates: '{}' }} on the primary of each shard cures it; else it is copied without \
                     its changes, anew at the cutover, and the move ends with exit code 3",
                    lost.namespace
                );
                findings.warn("change streams", format!("not followed: {lost}"), remedy);
            }
        }
        Ok(Err(error)) => {
            let hint = error.hint().unwrap_or_default().to_owned();
            findings.refuse("change streams", error.message().to_owned(), hint);
        }
        Err(_) => findings.refuse(
            "change streams",
            format!("no answer within {} s", ANSWERS_WITHIN.as_secs()),
            "a stream tells what a majority of the members has: see to it that most of them are up and not behind",
        ),
    }
}

/// The first of some names.
pub(super) fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", shown.join(", ")),
        None => shown.join(", "),
    }
}
