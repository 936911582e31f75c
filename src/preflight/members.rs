//! How far the members of a replica set are behind its primary, in its own time, so that no clock matters.

use bson::{Bson, rawdoc};

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
        .filter(|(_, time)| newest.saturating_sub(*time) > BEHIND)
        .map(|(name, time)| format!("{name} is {} s behind", newest.saturating_sub(*time)))
        .collect();
    if behind.is_empty() {
        findings.ok("members", format!("{} of the replica set, none behind", times.len()));
    } else {
        findings.warn("members", behind.join(", "), format!("{matters}: wait until they have caught up"));
    }
    Ok(())
}
