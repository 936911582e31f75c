//! A sharded target: what will be sharded there and how, and whether its balancer is at work.

use std::collections::{BTreeMap, BTreeSet};

use bson::rawdoc;
use transload_format::CollectionType;

use super::{
    Findings,
    contents::list,
    privileges::{Names, Need, Privileges},
    topology::Topology,
};
use crate::{
    catalog::{
        Catalog, Entry, is_capped,
        sharding::{ShardKeyOf, wanted_keys},
    },
    connect::{Doing, Server},
    error::{ErrorKind, Result},
    selection::Selection,
};

/// Why a key does not fit.
const TOO_OLD: &str = "servers before 4.4 take no hashed field among others";
/// What sharding takes besides writing.
const OF_SHARDING: [Need; 2] = [
    Need { actions: &["enableSharding"], role: "clusterManager", on: Some("admin"), must: true },
    // Without them it is only not spread before it is loaded.
    Need { actions: &["splitChunk", "moveChunk"], role: "clusterManager", on: Some("admin"), must: false },
];

/// A source and a target, and what is to be moved.
pub(super) struct Move<'a> {
    pub(super) source: &'a Server,
    pub(super) target: &'a Server,
    pub(super) catalog: &'a Catalog,
    pub(super) selection: &'a Selection,
    /// The keys that the user has named.
    pub(super) shard_keys: &'a [ShardKeyOf],
}

impl Move<'_> {
    /// Looks at how the target will be sharded.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(super) async fn check(&self, topology: Topology, findings: &mut Findings) -> Result<()> {
        if topology != Topology::Sharded {
            if let Some(given) = self.shard_keys.first() {
                let found = format!("it is no sharded cluster, and {given} is to be sharded");
                findings.refuse("sharding", found, "leave --shard-key out, or name a router (mongos) as the target");
            }
            return Ok(());
        }
        balancer(self.target, findings).await?;
        let wanted = wanted_keys(self.source, self.target, self.selection, self.shard_keys).await?;
        if let Some(error) = &wanted.unread {
            let remedy = "grant 'find' on the source's database 'config', or name them: --shard-key NS=KEY";
            findings.warn("sharding", format!("the source's shard keys cannot be read: {}", error.message()), remedy);
        }
        for of in &wanted.unfit {
            findings.warn("sharding", format!("not sharded: {of}: {TOO_OLD}"), "name another key: --shard-key NS=KEY");
        }
        let entries: BTreeMap<String, &Entry> =
            self.catalog.entries.iter().map(|entry| (entry.namespace.to_string(), entry)).collect();
        let (mut sharded, mut databases, mut seen) = (Vec::new(), Names::new(), BTreeSet::new());
        for of in &wanted.keys {
            let is_given = self.shard_keys.contains(of);
            if !seen.insert(of.namespace.to_string()) {
                findings.refuse("sharding", format!("{of}: it has another key as well"), "name one --shard-key for it");
                continue;
            }
            let Some(why) = self.why_not(of, entries.get(&of.namespace.to_string()).copied()) else {
                sharded.push(of.to_string());
                let target = self.selection.target(&of.namespace)?;
                databases.extend(target.map(|target| (target.database().to_owned(), BTreeSet::new())));
                continue;
            };
            if is_given {
                findings.refuse("sharding", format!("{of}: {why}"), "name another --shard-key, or none for it");
            } else {
                let remedy = "it is copied whole to one shard, the first of its database; --exclude leaves it out";
                findings.warn("sharding", format!("not sharded: {of}: {why}"), remedy);
            }
        }
        let rest = self.catalog.entries.len().saturating_sub(sharded.len());
        match sharded.is_empty() {
            true => findings.warn(
                "sharding",
                "nothing will be sharded: each collection stays on the first shard of its database",
                "--shard-key NS=KEY shards a collection before it is loaded",
            ),
            false => findings.ok("sharding", format!("{}; {rest} more will not be sharded", list(&sharded))),
        }
        if let Some(privileges) = Privileges::of(self.target).await? {
            privileges.check_besides(&databases, &OF_SHARDING, findings);
        }
        Ok(())
    }

    /// Why a collection cannot be sharded so.
    fn why_not(&self, of: &ShardKeyOf, entry: Option<&Entry>) -> Option<&'static str> {
        let Some(entry) = entry else { return Some("there is no such collection on the source that is selected") };
        match entry.collection.kind {
            CollectionType::View => Some("it is a view"),
            CollectionType::TimeSeries => Some("it is a time series, which is copied unsharded"),
            CollectionType::Collection if is_capped(&entry.collection.options) => {
                Some("it is capped, and no such collection is sharded")
            }
            CollectionType::Collection if !of.key.is_taken_by(self.target.version()) => Some(TOO_OLD),
            CollectionType::Collection => None,
        }
    }
}

/// Chunks that move while they are loaded cost time, and nothing else.
async fn balancer(server: &Server, findings: &mut Findings) -> Result<()> {
    let doing = Doing::new("ask for the balancer", "balancerStatus", "admin");
    let reply = match server.run("admin", rawdoc! { "balancerStatus": 1 }, &doing).await {
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            findings.warn(
                "balancer",
                error.message().to_owned(),
                "it had better be stopped meanwhile: sh.stopBalancer()",
            );
            return Ok(());
        }
        reply => reply?,
    };
    match reply.get_str("mode") {
        Ok("off") => findings.ok("balancer", "stopped"),
        _ => findings.warn(
            "balancer",
            "it runs, and moves chunks while they are loaded",
            "sh.stopBalancer() until the move is over: collections are spread before they are loaded",
        ),
    }
    Ok(())
}
