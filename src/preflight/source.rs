//! The source: whether it can be read and followed.

use std::collections::BTreeSet;

use bson::rawdoc;

use super::{
    CheckOptions, Findings,
    contents::Contents,
    members, oplog,
    privileges::{Names, OF_A_SOURCE, Privileges},
    streams::{majority, streams},
    topology::Topology,
    wishes::grant,
};
use crate::{
    catalog::{self, Catalog, Order},
    connect::{Doing, Server, Version},
    error::{Error, ErrorKind, Result},
    selection::{Selection, SelectionOptions},
};

/// The oldest release that this program is tried on.
const OLDEST: Version = Version::new(4, 2, 0);

/// Checks a source; what it has, if this user may list it.
///
/// # Errors
/// When it no longer answers, or the selection takes nothing.
pub(super) async fn check(
    server: &Server,
    options: &CheckOptions,
    findings: &mut Findings,
) -> Result<Option<Contents>> {
    let default_database = server.default_database().map(str::to_owned);
    let selection = Selection::new(&SelectionOptions { default_database, ..options.selection.clone() })?;
    release(server, findings);
    features(server, findings);
    let topology = topology(server, findings).await?;
    // Asked before anything is listed: whoever may not list is told what to grant, and not that a listing has failed.
    let known = Privileges::of(server).await?;
    let catalog = match catalog::read(server, &selection).await {
        Err(error) if error.kind() == ErrorKind::Authorization => Err(error),
        read => Ok(read?),
    };
    privileges(server, known.as_ref(), catalog.as_ref(), findings).await;
    options.wishes.check_source(server, known.as_ref(), findings);
    let Ok(catalog) = catalog else { return Ok(None) };
    let contents = Contents::new(selection, catalog);
    contents.check(findings);
    let copy = oplog::copy_time(contents.documents, contents.bytes, options.max_rate);
    if topology != Topology::Standalone {
        majority(server, &contents.catalog, findings).await;
        streams(server, &contents.selection, findings).await;
    }
    match topology {
        Topology::Standalone => {}
        Topology::Sharded => oplog::of_shards(copy, findings),
        Topology::ReplicaSet => {
            oplog::check(server, copy, findings).await?;
            members::check(server, "change streams tell what a majority has", findings).await?;
        }
    }
    Ok(Some(contents))
}

/// Says what the user lacks to read and follow what is selected; where it could not be listed, of whole databases.
async fn privileges(
    server: &Server,
    known: Option<&Privileges>,
    catalog: Result<&Catalog, &Error>,
    findings: &mut Findings,
) {
    let Some(known) = known else {
        match catalog {
            Ok(_) => findings.ok("privileges", "no user is logged in, and the server asks for none"),
            Err(error) => findings.refuse_for("privileges", error, grant("readAnyDatabase")),
        }
        return;
    };
    let mut lacks = server.default_database().is_none() && !known.allows_of_cluster("listDatabases");
    if lacks {
        let found = "the user lacks listDatabases: what it may not see would be left out";
        let remedy = format!("{}; or name one database in the connection string", grant("readAnyDatabase"));
        findings.refuse("privileges", found, remedy);
    }
    let names = match catalog {
        Ok(catalog) => names(catalog),
        // Those that can be seen, each as a whole.
        Err(_) => {
            let databases = catalog::databases(server, &mut Catalog::default()).await.unwrap_or_default();
            databases.into_iter().map(|database| (database, BTreeSet::new())).collect()
        }
    };
    lacks |= known.check_besides(&names, &OF_A_SOURCE, findings);
    match catalog {
        Ok(_) if !lacks => findings.ok("privileges", "the user has all that is needed"),
        Err(error) if !lacks => findings.refuse_for("privileges", error, grant("readAnyDatabase")),
        _ => {}
    }
    known.check_load(findings);
}

/// What has to be read, by its databases. Of views there is nothing but what is listed.
fn names(catalog: &Catalog) -> Names {
    let mut names = Names::new();
    for entry in &catalog.entries {
        let collections = names.entry(entry.namespace.database().to_owned()).or_default();
        if entry.order != Order::Nothing {
            collections.extend([&entry.namespace, &entry.data].map(|name| name.collection().to_owned()));
        }
    }
    names
}

/// Says which release it is.
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
        let remedy = "the cutover makes the target's alike, and says what it did: change none while it does";
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
