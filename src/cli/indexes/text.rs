//! What `transload indexes` says to people.

use super::{CheckReport, RepairReport};
use crate::{
    indexes::{Action, CheckedIndex, PlaceKind, RepairResult, RepairedIndex},
    namespace::printable,
};

/// Every bad index, each with what would be done, and a line about all.
pub(super) fn checked(report: &CheckReport, verbose: bool) -> String {
    let lost = |index: &CheckedIndex| match &index.reason {
        Some(_) => block(index, "is MISSING since a repair that was cut, and cannot be built yet"),
        None => block(index, "is MISSING since a repair that was cut, and would be built again"),
    };
    let mut text: String = report.lost.iter().map(lost).collect();
    text.extend(report.bad.iter().map(|index| bad(index, report.kind)));
    text.extend(
        report
            .left_over
            .iter()
            .map(|left| format!("{} is left over from that repair, and would be dropped\n", printable(left))),
    );
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
    if let Some(sidecar) = &report.sidecar {
        text.push_str(&format!(
            "looked at: {}, which stands beside it, and which a restore builds from",
            printable(sidecar)
        ));
        text.push_str(&match report.bad_in_archive {
            None | Some(0) => "\n".to_owned(),
            Some(1) => "; in the archive itself 1 is bad\n".to_owned(),
            Some(bad) => format!("; in the archive itself {bad} are bad\n"),
        });
    }
    match report.lost.len() {
        0 => {}
        1 => text.push_str("1 index is MISSING since a repair that was cut\n"),
        lost => text.push_str(&format!("{lost} indexes are MISSING since a repair that was cut\n")),
    }
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
        (Action::Repair, _) if !reason.is_empty() => format!("would be repaired: {}", printable(reason)),
        (Action::Repair, _) => "would be repaired".to_owned(),
        (Action::Merge, PlaceKind::Server) => format!("would be dropped: {other} serves for it"),
        (Action::Merge, _) => format!("would be left out: {other} serves for it"),
        (Action::Rebuild, _) => "would be built again".to_owned(),
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

/// What is said before anything is changed.
pub(super) fn journal(path: &str) -> String {
    let path = printable(path);
    format!("journal: {path}, until all is done; if this is cut, the same command, in this directory, goes on from it")
}

/// What has become of each bad index, and a line about all.
pub(super) fn repaired(report: &RepairReport) -> String {
    let mut text: String = report.indexes.iter().map(line).collect();
    for file in &report.files {
        text.push_str(&format!("written: {file}\n"));
    }
    for left in &report.dropped {
        text.push_str(&format!("dropped: {}\n", printable(left)));
    }
    if report.resumed && report.journal.is_none() {
        text.push_str("the repair that was cut is finished, and its journal is removed\n");
    }
    let done = |index: &&RepairedIndex| index.result.is_good();
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
        RepairResult::Rebuilt => "built again",
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
