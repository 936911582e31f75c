//! How far the members of a replica set are behind its primary, in its own time, so that no clock matters.

use bson::{Bson, Document, rawdoc};

use super::{Findings, wishes::grant};
use crate::{
    connect::{Doing, Server},
    error::{ErrorKind, Result},
};

/// Seconds behind the primary that are told.
const BEHIND: u32 = 10;

/// Says which members are behind; `matters` is what comes of it, on this side.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn check(server: &Server, matters: &str, findings: &mut Findings) -> Result<()> {
    let doing = Doing::new("ask for the state of the replica set", "replSetGetStatus", "admin");
    let status = match server.run("admin", rawdoc! { "replSetGetStatus": 1 }, &doing).await {
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            let found = format!("how far they are behind cannot be seen: {}", error.message());
            findings.warn("members", found, grant("clusterMonitor"));
            return Ok(());
        }
        status => status?,
    };
    let (members, behind) = behind(&status);
    if behind.is_empty() {
        findings.ok("members", format!("{members} of the replica set, none behind"));
    } else {
        findings.warn("members", behind.join(", "), format!("{matters}: wait until they have caught up"));
    }
    Ok(())
}

/// How many members tell how far they are, and which of them are behind the one that is furthest.
fn behind(status: &Document) -> (usize, Vec<String>) {
    let time = |member: &Bson| {
        let member = member.as_document()?;
        let ts = member.get_document("optime").ok()?.get_timestamp("ts").ok()?;
        // One that is down has none.
        (ts.time > 0).then(|| (member.get_str("name").unwrap_or_default().to_owned(), ts.time))
    };
    let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
    let times: Vec<(String, u32)> = members.iter().filter_map(time).collect();
    let newest = times.iter().map(|(_, time)| *time).max().unwrap_or(0);
    let behind = times
        .iter()
        .filter(|(_, time)| newest.saturating_sub(*time) > BEHIND)
        .map(|(name, time)| format!("{name} is {} s behind", newest.saturating_sub(*time)))
        .collect();
    (times.len(), behind)
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, doc};

    use super::*;

    #[test]
    fn members_are_held_against_the_one_that_is_furthest_whatever_any_clock_says() {
        let member = |name: &str, time| doc! { "name": name, "optime": { "ts": Timestamp { time, increment: 1 } } };
        let arbiter = doc! { "name": "d:1" };
        let all = [member("a:1", 1000), member("b:1", 1031), member("c:1", 1021), member("down:1", 0), arbiter];
        let status = doc! { "date": bson::DateTime::MIN, "members": all.to_vec() };
        assert_eq!(behind(&status), (3, vec!["a:1 is 31 s behind".to_owned()]));
        assert_eq!(behind(&doc! { "members": [member("a:1", 7)] }), (1, vec![]));
    }
}
