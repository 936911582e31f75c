//! How far back the oplog reaches: a capture that is interrupted goes on only as long as its place is in there.

use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};

use super::Findings;
use crate::{
    connect::{Doing, Server},
    document::{self, kind},
    error::{ErrorKind, Result},
    rate::Rate,
};

/// Bytes a second that a copy is reckoned to take: far less than a local one does.
const BYTES_A_SECOND: u64 = 20 * 1024 * 1024;
/// A window below which an interrupted night would be too long.
const SHORT: Duration = Duration::from_secs(12 * 3600);
/// Why a window that is short, or not known, is no reason to refuse.
const READS_ALONG: &str =
    "a capture reads along, so that it need reach back only as far as an interruption of the capture lasts";

/// How long a copy is reckoned to take, where it may read no more than `max_rate` in a second.
pub(super) fn copy_time(documents: u64, bytes: u64, max_rate: Option<Rate>) -> Duration {
    let allowed = match max_rate {
        None => 0,
        Some(Rate::Bytes(rate)) => bytes / rate.max(1),
        Some(Rate::Documents(rate)) => documents / rate.max(1),
    };
    Duration::from_secs(allowed.max(bytes / BYTES_A_SECOND))
}

/// Says that nothing is known of the oplogs of shards, which no router shows.
pub(super) fn of_shards(copy: Duration, findings: &mut Findings) {
    let found = format!(
        "how far those of the shards reach back cannot be seen through a router; the copy takes about {}",
        shown(copy)
    );
    findings.warn("oplog", found, format!("ask each shard itself, rs.printReplicationInfo(); {READS_ALONG}"));
}

/// Compares the window with the time that a copy takes.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn check(server: &Server, copy: Duration, findings: &mut Findings) -> Result<()> {
    let ends = match (end(server, 1).await, end(server, -1).await) {
        (Err(error), _) | (_, Err(error)) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            let remedy = format!("the role 'read' on the database 'local' shows it; {READS_ALONG}");
            findings.warn("oplog", format!("how far it reaches back cannot be seen: {}", error.message()), remedy);
            return Ok(());
        }
        (first, last) => (first?, last?),
    };
    let (Some(first), Some(last)) = ends else {
        let remedy = format!("look at it on the primary, rs.printReplicationInfo(); {READS_ALONG}");
        findings.warn("oplog", "how far it reaches back cannot be seen: it shows no times", remedy);
        return Ok(());
    };
    let window = Duration::from_secs(last.saturating_sub(first));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_takes_as_long_as_the_slower_of_the_estimate_and_the_rate_that_is_allowed() {
        let seconds = |bytes, max_rate| copy_time(8000, bytes, max_rate).as_secs();
        let hundred = 100 * BYTES_A_SECOND;
        assert_eq!((seconds(0, None), seconds(hundred, None)), (0, 100));
        assert_eq!(seconds(hundred, Some(Rate::Bytes(BYTES_A_SECOND / 4))), 400);
        assert_eq!(seconds(hundred, Some(Rate::Documents(20))), 400);
        for fast in [Rate::Bytes(BYTES_A_SECOND * 4), Rate::Documents(1 << 40)] {
            assert_eq!(seconds(hundred, Some(fast)), 100, "no faster than it is reckoned to be");
        }
        assert_eq!(seconds(hundred, Some(Rate::Bytes(0))), hundred, "a rate of nothing is no division by it");
    }

    #[test]
    fn what_no_router_shows_is_said_with_the_time_of_the_copy() {
        let mut findings = Findings::of("source");
        of_shards(copy_time(1, 1 << 40, Some(Rate::Bytes(10 << 20))), &mut findings);
        let line = findings.all.first().unwrap();
        assert!(line.found.contains("through a router") && line.found.contains("about 29 h"), "{line:?}");
    }
}
