//! Whether changes are told: what a majority has can be read, and the streams of a capture can be opened.

use std::{collections::BTreeMap, time::Duration};

use bson::rawdoc;

use super::{Findings, contents::list};
use crate::{
    catalog::{Catalog, Entry, Order},
    changes::capture::{Scope, try_streams},
    connect::{Doing, Server},
    selection::Selection,
};

/// How long a change stream may take to answer: where a majority cannot be read, none ever does.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// What to do where none answers.
const MAJORITY: &str =
    "a stream tells what a majority of the members has: see to it that most of them are up and not behind";
/// What to do where narrower streams are opened than was wanted.
const WIDER: &str = "make nothing new there while the move runs; the role 'read' on a database lets it be watched as a whole, \
                     'readAnyDatabase' on 'admin' all of them at once";
/// The same where it is for the sake of a collection that cannot be followed.
const CURED: &str = "make nothing new there while the move runs, or cure the collections that are not followed before";

/// Reads what a majority of the members has, in each database: where that point stands still, change streams stand still too.
pub(super) async fn majority(server: &Server, catalog: &Catalog, findings: &mut Findings) {
    let mut answered = Vec::new();
    for entry in one_of_each(catalog) {
        let doing = Doing::new(format!("read {} as a majority has it", entry.data), "find", entry.data.database());
        let find = rawdoc! {
            "find": entry.data.collection(), "limit": 1, "singleBatch": true, "projection": { "_id": 1 },
            "readConcern": { "level": "majority" },
        };
        let remedy = "see to it that most members are up, and that majority reads are not switched off (enableMajorityReadConcern)";
        match tokio::time::timeout(ANSWERS_WITHIN, server.documents(entry.data.database(), find, &doing)).await {
            Ok(Ok(_)) => answered.push(entry.data.database().to_owned()),
            Ok(Err(error)) => findings.refuse("majority reads", error.message().to_owned(), remedy),
            Err(_) => {
                let (place, seconds) = (entry.data.database(), ANSWERS_WITHIN.as_secs());
                findings.refuse("majority reads", format!("{place}: no answer within {seconds} s"), remedy);
                // The others would keep us waiting as long.
                return;
            }
        }
    }
    if !answered.is_empty() {
        findings.ok("majority reads", format!("answered: {}", list(&answered)));
    }
}

/// Of each database something that can be read, along its `_id`s if there is such a thing.
fn one_of_each(catalog: &Catalog) -> impl Iterator<Item = &Entry> {
    let mut one: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in catalog.entries.iter().filter(|entry| entry.order != Order::Nothing) {
        let known = one.entry(entry.data.database()).or_insert(entry);
        if known.order != Order::Id && entry.order == Order::Id {
            *known = entry;
        }
    }
    one.into_values()
}

/// Opens the change streams that a capture would open, and closes them.
pub(super) async fn streams(server: &Server, selection: &Selection, findings: &mut Findings) {
    let opened = tokio::time::timeout(ANSWERS_WITHIN, try_streams(server, Scope::of(server), selection)).await;
    match opened {
        Ok(Ok(streams)) => {
            findings.ok("change streams", format!("opened: {}", list(&streams.watched)));
            let remedy = if streams.not_followed.is_empty() { WIDER } else { CURED };
            for warning in streams.warnings {
                findings.warn("change streams", warning, remedy);
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
        Ok(Err(error)) => findings.refuse_for("change streams", &error, MAJORITY),
        Err(_) => {
            findings.refuse("change streams", format!("no answer within {} s", ANSWERS_WITHIN.as_secs()), MAJORITY)
        }
    }
}
