//! How far back the oplog reaches: a capture that is interrupted goes on only as long as its place is in there.

use std::time::Duration;

use bson::{Bson, RawDocumentBuf, rawdoc};

use super::Findings;
use crate::{
    connect::{Doing, Server},
    document::{self, kind},
    error::{ErrorKind, Result},
};

/// Bytes a second that a copy is reckoned to take: far less than a local one does.
const BYTES_A_SECOND: u64 = 20 * 1024 * 1024;
/// A window below which an interrupted night would be too long.
const SHORT: Duration = Duration::from_secs(12 * 3600);

/// Compares the window with the time that a copy of so many bytes takes.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn check(server: &Server, bytes: u64, findings: &mut Findings) -> Result<()> {
    let ends = match (end(server, 1).await, end(server, -1).await) {
        (Err(error), _) | (_, Err(error)) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            let remedy = "the role 'read' on the database 'local' shows it; a capture reads along, so that it need reach back only \
                          as far as an interruption of the capture lasts";
            findings.warn("oplog", format!("how far it reaches back cannot be seen: {}", error.message()), remedy);
            return Ok(());
        }
        (first, last) => (first?, last?),
    };
    let (Some(first), Some(last)) = ends else {
        findings.warn("oplog", "how far it reaches back cannot be seen", "");
        return Ok(());
    };
    let window = Duration::from_secs(last.saturating_sub(first));
    let copy = Duration::from_secs(bytes / BYTES_A_SECOND);
    let found = format!("it reaches back {}; the copy takes about {}", shown(window), shown(copy));
    let remedy = "make it larger: db.adminCommand({replSetResizeOplog: 1, size: MEGABYTES})";
    // A young oplog is short, and may still grow: it is no reason to refuse.
    if window < SHORT && window < copy * 2 {
        findings.warn("oplog", found, remedy);
    } else {
        findings.ok("oplog", found);
    }
    Ok(())
}

/// The time, in seconds, of the first entry or of the last.
async fn end(server: &Server, direction: i32) -> Result<Option<u64>> {
    let doing = Doing::new("look at the oplog", "find", "local");
    let command: RawDocumentBuf = rawdoc! {
        "find": "oplog.rs", "sort": { "$natural": direction }, "limit": 1, "projection": { "ts": 1 }, "singleBatch": true,
    };
    let found = server.documents("local", command, &doing).await?;
    let time = found.first().and_then(|entry| document::find(entry, b"ts")).filter(|ts| ts.kind == kind::TIMESTAMP);
    Ok(time.and_then(|ts| ts.value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes) >> 32)))
}

fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// How far members are behind the primary, in its own time.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn lag(server: &Server, findings: &mut Findings) -> Result<()> {
    let doing = Doing::new("ask for the state of the replica set", "replSetGetStatus", "admin");
    let status = match server.run("admin", rawdoc! { "replSetGetStatus": 1 }, &doing).await {
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => return Ok(()),
        status => status?,
    };
    let time = |member: &Bson| {
        let member = member.as_document()?;
        let ts = member.get_document("optime").ok()?.get_timestamp("ts").ok()?;
        // One that is down has none.
        (ts.time > 0).then(|| (member.get_str("name").unwrap_or_default().to_owned(), ts.time))
    };
    let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
    let times: Vec<(String, u32)> = members.iter().filter_map(time).collect();
    let newest = times.iter().map(|(_, time)| *time).max().unwrap_or(0);
    let behind: Vec<String> = times
        .iter()
        .filter(|(_, time)| newest.saturating_sub(*time) > 10)
        .map(|(name, time)| format!("{name} is {} s behind", newest - time))
        .collect();
    if behind.is_empty() {
        findings.ok("members", format!("{} of the replica set, none behind", times.len()));
    } else {
        let remedy = "change streams tell what a majority has: wait until they have caught up";
        findings.warn("members", behind.join(", "), remedy);
    }
    Ok(())
}
