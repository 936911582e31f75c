//! What a server is at: the writes that a process before this one may have left to it.
//!
//! Whoever is killed leaves commands on their way, and a server that is slow comes to them when the next process is at work
//! already: then what is older would be written over what is newer. So whoever goes on waits for their end first. A router shows them
//! only to a user who may see what is under way (`inprog`); without authentication, those of everybody are waited for.

use std::{collections::BTreeSet, time::Duration};

use bson::{Document, RawArrayBuf, rawdoc};
use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::{Doing, Server};
use crate::{
    document,
    error::{ErrorKind, Result},
};

/// Operations that write.
const WRITES: [&str; 3] = ["insert", "update", "remove"];
/// Commands that write documents.
const COMMANDS: [&str; 5] = ["insert", "update", "delete", "findAndModify", "findandmodify"];
/// Commands that change the catalog. Builds of indexes are none of them: they may take hours, and whoever wants the same index joins
/// them.
const OF_CATALOGS: [&str; 7] =
    ["create", "drop", "dropIndexes", "renameCollection", "collMod", "enableSharding", "shardCollection"];
/// How the names of commands begin that a router has shards do for these.
const OF_SHARDS: [&str; 2] = ["_shardsvr", "_configsvr"];
/// Where commands go that are about other databases.
const ADMIN: &str = "admin";
/// The pause before the second look.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Looks after which it is said that something is waited for.
const QUIET: u32 = 5;

/// Whether an operation writes documents at this moment.
pub(crate) fn is_writing(operation: &Document) -> bool {
    let command = operation.get_document("command").ok().and_then(|command| command.keys().next());
    let is_command = command.is_some_and(|command| COMMANDS.contains(&command.as_str()));
    let is_write = operation.get_str("op").is_ok_and(|op| WRITES.contains(&op));
    operation.get_bool("active").unwrap_or(false) && (is_write || is_command)
}

/// The database that an operation changes, if it changes one; of one that a server shows without what it writes.
fn changed(operation: &[u8]) -> Option<String> {
    let text = |of: &[u8], name: &[u8]| {
        let value = document::find(of, name)?;
        value.string().map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let command = document::find(operation, b"command").map_or(&document::EMPTY[..], |command| command.value);
    let (name, about) = (text(command, b"name").unwrap_or_default(), text(command, b"about").unwrap_or_default());
    let is_write = text(operation, b"op").is_some_and(|op| WRITES.contains(&op.as_str()));
    let mut known = COMMANDS.iter().chain(&OF_CATALOGS);
    if !is_write && !known.any(|known| *known == name) && !OF_SHARDS.iter().any(|of| name.starts_with(of)) {
        return None;
    }
    let database = |namespace: &str| namespace.split('.').next().unwrap_or_default().to_owned();
    match database(&text(operation, b"ns").unwrap_or_default()) {
        at if at == ADMIN && !about.is_empty() => Some(database(&about)),
        at => Some(at),
    }
}

impl Server {
    /// Waits until the writes to a database have come to an end, if one of them may have been sent and nobody knows what became of it:
    /// what is sent in its place, and what follows, must not be overtaken by it. Behind a router an error may speak of the way to
    /// a shard alone.
    ///
    /// # Errors
    /// As [`writes_end`](Self::writes_end).
    pub(crate) async fn lost_write_ends(&self, error: Option<&DriverError>, database: &str) -> Result<()> {
        match error.map(|error| error.kind.as_ref()) {
            // Then nothing was sent.
            Some(DriverErrorKind::ServerSelection { .. } | DriverErrorKind::DnsResolve { .. }) => Ok(()),
            // A command to it may be about any of the others.
            _ => self.writes_end(|other| other == database || database == ADMIN, || ()).await,
        }
    }

    /// Waits until the writes have come to an end that were under way when it was called, in databases that are meant. `tell` is
    /// called if that takes long. Of a server that does not show them, nothing is waited for.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn writes_end(&self, is_meant: impl Fn(&str) -> bool, tell: impl Fn()) -> Result<()> {
        let begun = self.writes_under_way(&is_meant).await?;
        let (mut are_over, mut pause) = (begun.is_empty(), FIRST_PAUSE);
        for look in 0_u32.. {
            if are_over {
                break;
            }
            if look == QUIET {
                tell();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            are_over = self.writes_under_way(&is_meant).await?.is_disjoint(&begun);
        }
        Ok(())
    }

    /// By what the server calls them. What they write is not asked for: it may be much.
    async fn writes_under_way(&self, is_meant: &impl Fn(&str) -> bool) -> Result<BTreeSet<Vec<u8>>> {
        let doing = Doing::new("ask what is under way", "inprog", ADMIN);
        let fields = rawdoc! { "$cond": [
            { "$eq": [{ "$type": "$command" }, "object"] },
            { "$arrayElemAt": [{ "$objectToArray": "$command" }, 0] },
            {},
        ] };
        let about = rawdoc! { "$cond": [{ "$eq": [{ "$type": "$$first.v" }, "string"] }, "$$first.v", ""] };
        let command =
            rawdoc! { "$let": { "vars": { "first": fields }, "in": { "name": "$$first.k", "about": about } } };
        let pipeline = [
            rawdoc! { "$currentOp": { "allUsers": false } },
            rawdoc! { "$match": { "active": true } },
            rawdoc! { "$project": { "opid": 1, "op": 1, "ns": 1, "command": command } },
        ];
        let asked = rawdoc! { "aggregate": 1, "pipeline": RawArrayBuf::from_iter(pipeline), "cursor": {} };
        let operations = match self.reading_primary().documents(ADMIN, asked, &doing).await {
            Err(error) if [ErrorKind::Server, ErrorKind::Authorization].contains(&error.kind()) => Vec::new(),
            operations => operations?,
        };
        let writes = operations.iter().filter(|operation| changed(operation).is_some_and(|at| is_meant(&at)));
        Ok(writes.filter_map(|write| document::find(write, b"opid")).map(|id| id.whole.to_vec()).collect())
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn what_writes_is_told_from_what_reads_or_rests() {
        let insert = doc! { "active": true, "op": "command", "command": { "insert": "orders", "$db": "shop" } };
        assert!(is_writing(&insert) && is_writing(&doc! { "active": true, "op": "remove" }));
        let idle = doc! { "active": false, "op": "update" };
        let find = doc! { "active": true, "op": "query", "command": { "find": "orders" } };
        assert!(!is_writing(&idle) && !is_writing(&find));
    }

    #[test]
    fn the_database_of_a_write_is_that_which_it_is_about() {
        let of = |op: &str, ns: &str, name: &str, about: &str| {
            let operation = rawdoc! { "op": op, "ns": ns, "command": { "name": name, "about": about } };
            changed(operation.as_bytes())
        };
        assert_eq!(of("update", "shop.orders", "", "").as_deref(), Some("shop"));
        assert_eq!(of("command", "shop.$cmd", "insert", "orders").as_deref(), Some("shop"));
        assert_eq!(of("command", "admin.$cmd", "renameCollection", "shop.a.b").as_deref(), Some("shop"));
        assert_eq!(of("command", "shop.orders", "_shardsvrDropCollection", "orders").as_deref(), Some("shop"));
        assert_eq!(of("command", "shop.orders", "createIndexes", "orders"), None);
        assert_eq!(of("query", "shop.orders", "find", "orders"), None);
        assert_eq!(changed(rawdoc! { "op": "none" }.as_bytes()), None);
    }
}
