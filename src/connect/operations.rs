//! What a server is at: the writes that a process before this one may have left to it.
//!
//! Whoever is killed leaves commands on their way, and a server that is slow comes to them when the next process is at work
//! already: then what is older would be written over what is newer. So whoever goes on waits for their end first. A router shows to a
//! user who may not see what is under way (`inprog`) only its own part of it; without authentication, those of everybody are waited for.

use std::{collections::BTreeSet, time::Duration};

use bson::{Document, RawArrayBuf, rawdoc};
use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::{Doing, Patience, Server};
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
    ["create", "drop", "dropIndexes", "renameCollection", "collMod", ENABLE, "shardCollection"];
/// The one of them that names a database.
const ENABLE: &str = "enableSharding";
/// How the names of commands begin that a router has shards do for these.
const OF_SHARDS: [&str; 2] = ["_shardsvr", "_configsvr"];
/// Where commands go that are about other databases.
const ADMIN: &str = "admin";
/// The pause before the second look.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a server that has shown what is under way may refuse to.
const MOST_REFUSALS: u32 = 60;
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
        at if at == ADMIN && (about.contains('.') || name == ENABLE) => Some(database(&about)),
        at => Some(at),
    }
}

impl Server {
    /// Waits until the writes to a database have come to an end, if one of them may have been sent and nobody knows what became of it:
    /// what is sent in its place, and what follows, must not be overtaken by it. Behind a router an error may speak of the way to
    /// a shard alone.
    ///
    /// `patience` begins anew if it was waited: that the server is at something is no failure.
    ///
    /// # Errors
    /// When the server cannot be reached; of more interest is then the error that the write has failed with.
    pub(crate) async fn lost_write_ends(
        &self,
        error: Option<&DriverError>,
        database: &str,
        patience: &mut Patience,
    ) -> Result<()> {
        // Then nothing was sent.
        let is_sent = !error.is_some_and(|error| {
            matches!(error.kind.as_ref(), DriverErrorKind::ServerSelection { .. } | DriverErrorKind::DnsResolve { .. })
        });
        // A command to `admin` may be about any of the others.
        if is_sent && self.writes_end(|other| other == database || database == ADMIN, || ()).await? {
            patience.progress();
        }
        Ok(())
    }

    /// Waits until the writes have come to an end that were under way when it was called, in databases that are meant. `tell` is
    /// called if that takes long. Of a server that does not show them, nothing is waited for. Gives whether there were any.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn writes_end(&self, is_meant: impl Fn(&str) -> bool, tell: impl Fn()) -> Result<bool> {
        let begun = self.writes_under_way(&is_meant).await?.unwrap_or_default();
        let (mut are_over, mut pause, mut refusals) = (begun.is_empty(), FIRST_PAUSE, 0);
        for look in 0_u32.. {
            if are_over {
                break;
            }
            if look == QUIET {
                tell();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.writes_under_way(&is_meant).await? {
                Some(now) => are_over = now.is_disjoint(&begun),
                // One that has shown them may be too busy to.
                None => refusals += 1,
            }
            are_over |= refusals > MOST_REFUSALS;
        }
        Ok(!begun.is_empty())
    }

    /// By what the server calls them; none if it does not show them. What they write is not asked for: it may be much.
    async fn writes_under_way(&self, is_meant: &impl Fn(&str) -> bool) -> Result<Option<BTreeSet<Vec<u8>>>> {
        let doing = Doing::new("ask what is under way", "inprog", ADMIN);
        let fields = rawdoc! { "$cond": [
            { "$eq": [{ "$type": "$command" }, "object"] },
            { "$arrayElemAt": [{ "$objectToArray": "$command" }, 0] },
            {},
        ] };
        let about = rawdoc! { "$cond": [{ "$eq": [{ "$type": "$$first.v" }, "string"] }, "$$first.v", ""] };
        let command =
            rawdoc! { "$let": { "vars": { "first": fields }, "in": { "name": "$$first.k", "about": about } } };
        // Of a router, what it does itself lasts as long as all that it has shards do.
        for of in [rawdoc! { "allUsers": false }, rawdoc! { "allUsers": false, "localOps": true }] {
            let pipeline = [
                rawdoc! { "$currentOp": of },
                rawdoc! { "$match": { "active": true } },
                rawdoc! { "$project": { "opid": 1, "op": 1, "ns": 1, "command": command.clone() } },
            ];
            let asked = rawdoc! { "aggregate": 1, "pipeline": RawArrayBuf::from_iter(pipeline), "cursor": {} };
            let operations = match self.reading_primary().documents(ADMIN, asked, &doing).await {
                Err(error) if error.kind() == ErrorKind::Authorization => continue,
                Err(error) if error.kind() == ErrorKind::Server => return Ok(None),
                operations => operations?,
            };
            let writes = operations.iter().filter(|operation| changed(operation).is_some_and(|at| is_meant(&at)));
            let ids = writes.filter_map(|write| document::find(write, b"opid")).map(|id| id.whole.to_vec());
            return Ok(Some(ids.collect()));
        }
        Ok(None)
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
        assert_eq!(of("command", "admin.$cmd", "insert", "scratch").as_deref(), Some("admin"));
        assert_eq!(of("command", "admin.$cmd", "enableSharding", "shop").as_deref(), Some("shop"));
        assert_eq!(of("query", "shop.orders", "find", "orders"), None);
        assert_eq!(changed(rawdoc! { "op": "none" }.as_bytes()), None);
    }
}
