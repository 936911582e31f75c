//! What `transload indexes` says to people.

use super::{CheckReport, RepairReport};
use crate::{
    indexes::{Action, CheckedIndex, PlaceKind, RepairResult, RepairedIndex},
    namespace::printable,
};

/// Every bad index, each with what would be done, and a line about all.
pub(super) fn checked(report: &CheckReport, verbose: bool) -> String {
    let mut text: String = report.bad.iter().map(|index| bad(index, report.kind)).collect();
    if verbose {
        text.extend(report.routine.iter().map(|index| block(index, "is good, and is written in another way today")));
    }
    let (bad, all) = (report.bad.len(), report.indexes);
    let found = match bad {
        0 => format!("none of {all} indexes is bad"),
        1 => format!("1 of {all} indexes is bad"),
        bad => format!("{bad} of {all} indexes are bad"),
    };
    let target = report.target_version.as_ref().map_or_else(String::new, |target| format!(" for a server {target}"));
    let collections = if report.collections == 1 { "collection" } else { "collections" };
    text.push_str(&format!("{}: {found}{target}, in {} {collections}\n", report.place, report.collections));
    if !report.routine.is_empty() {
        let hint = if verbose { "" } else { " (-v lists them)" };
        text.push_str(&format!("good, and written in another way today: {}{hint}\n", report.routine.len()));
    }
    if !report.missing.is_empty() {
        text.push_str("INCOMPLETE: what the warnings call missing was not looked at\n");
    }
    text
}

fn bad(index: &CheckedIndex, kind: PlaceKind) -> String {
    let reason = index.reason.as_deref().unwrap_or_default();
    let other = index.merged_into.as_deref().map(printable).unwrap_or_default();
    let done = match (index.action, kind) {
        (Action::Repair, PlaceKind::Server) => {
            format!("would be repaired: {}", index.how.as_deref().unwrap_or_default())
        }
        (Action::Repair, _) => "would be repaired".to_owned(),
        (Action::Merge, PlaceKind::Server) => format!("would be dropped: {other} serves for it"),
        (Action::Merge, _) => format!("would be left out: {other} serves for it"),
        (Action::Refuse, _) => format!("cannot be repaired: {}", printable(reason)),
    };
    block(index, &done)
}

fn block(index: &CheckedIndex, what: &str) -> String {
    let mut text = format!("{} {} {what}\n", printable(&index.namespace.to_string()), printable(&index.index));
    for repair in &index.repairs {
        text.push_str(&format!("  {}\n", printable(&repair.to_string())));
    }
    text
}

/// What has become of each bad index, and a line about all.
pub(super) fn repaired(report: &RepairReport) -> String {
    let mut text: String = report.indexes.iter().map(line).collect();
    for file in &report.files {
        text.push_str(&format!("written: {file}\n"));
    }
    let done = |index: &&RepairedIndex| [RepairResult::Repaired, RepairResult::Merged].contains(&index.result);
    let (done, all) = (report.indexes.iter().filter(done).count(), report.indexes.len());
    text.push_str(&match all {
        0 => format!("{}: no bad index was found\n", report.place),
        _ => format!("{}: {done} of {all} bad indexes repaired\n", report.place),
    });
    if report.retries > 0 {
        text.push_str(&format!("{} times something was tried again after an error\n", report.retries));
    }
    if !report.missing.is_empty() {
        text.push_str("INCOMPLETE: what the warnings call missing was not looked at\n");
    } else if !report.is_whole() {
        text.push_str("INCOMPLETE: not everything is repaired\n");
    }
    text
}

fn line(index: &RepairedIndex) -> String {
    let result = match index.result {
        RepairResult::Repaired => "repaired",
        RepairResult::Merged => "merged",
        RepairResult::Left => "left as it is",
        RepairResult::PutBack => "put back",
        RepairResult::Lost => "LOST",
    };
    let name = format!("{} {}", printable(&index.namespace.to_string()), printable(&index.index));
    match &index.reason {
        Some(reason) => format!("{result}: {name}: {}\n", printable(reason)),
        None => format!("{result}: {name}\n"),
    }
}
