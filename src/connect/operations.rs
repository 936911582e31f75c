//! What a server is at: the writes that a process before this one may have left to it.
//!
//! Whoever is killed leaves commands on their way, and a server that is slow comes to them when the next process is at work
//! already: then what is older would be written over what is newer. So whoever goes on waits for their end first.

use std::{collections::BTreeSet, time::Duration};

use bson::{Document, rawdoc};
use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::{Doing, Server};
use crate::error::{Error, ErrorKind, Result};

/// Operations that write.
const WRITES: [&str; 3] = ["insert", "update", "remove"];
/// Commands that write documents.
const COMMANDS: [&str; 5] = ["insert", "update", "delete", "findAndModify", "findandmodify"];
/// Commands that change the catalog. Builds of indexes are none of them: they may take hours, and whoever wants the same index joins
/// them.
const OF_CATALOGS: [&str; 7] =
    ["create", "drop", "dropIndexes", "renameCollection", "collMod", "commitTransaction", "shardCollection"];
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks after which it is said that something is waited for.
const QUIET: u32 = 10;

/// Whether an operation writes documents at this moment.
pub(crate) fn is_writing(operation: &Document) -> bool {
    is_one_of(operation, &COMMANDS)
}

fn is_one_of(operation: &Document, commands: &[&str]) -> bool {
    let is_write = operation.get_str("op").is_ok_and(|op| WRITES.contains(&op));
    let command = operation.get_document("command").ok().and_then(|command| command.keys().next());
    let is_command = command.is_some_and(|command| commands.contains(&command.as_str()));
    operation.get_bool("active").unwrap_or(false) && (is_write || is_command)
}

impl Server {
    /// Waits until the writes to a database have come to an end, if one of them was sent and nobody knows what became of it: what is
    /// sent in its place, and what follows, must not be overtaken by it.
    ///
    /// # Errors
    /// As [`writes_end`](Self::writes_end).
    pub(crate) async fn lost_write_ends(&self, error: &DriverError, database: &str) -> Result<()> {
        match error.kind.as_ref() {
            DriverErrorKind::Command(_) => Ok(()),
            _ => self.writes_end(|other| other == database, || ()).await,
        }
    }

    /// Waits until the writes have come to an end that clients of this user had under way when it was called, in databases that are
    /// meant. `tell` is called if that takes long. Of a server that does not show them, nothing is waited for.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub(crate) async fn writes_end(&self, is_meant: impl Fn(&str) -> bool, tell: impl Fn()) -> Result<()> {
        let begun = self.writes_under_way(&is_meant).await?;
        let mut are_over = begun.is_empty();
        for look in 0_u32.. {
            if are_over {
                break;
            }
            if look == QUIET {
                tell();
            }
            tokio::time::sleep(PAUSE).await;
            are_over = self.writes_under_way(&is_meant).await?.is_disjoint(&begun);
        }
        Ok(())
    }

    /// By what the server calls them.
    async fn writes_under_way(&self, is_meant: &impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
        let doing = Doing::new("ask what is under way", "inprog", "admin");
        let asked = rawdoc! { "aggregate": 1, "pipeline": [{ "$currentOp": { "allUsers": false } }], "cursor": {} };
        let operations = match self.reading_primary().documents("admin", asked, &doing).await {
            Err(error) if [ErrorKind::Server, ErrorKind::Authorization].contains(&error.kind()) => Vec::new(),
            operations => operations?,
        };
        let mut writes = BTreeSet::new();
        for operation in operations {
            let operation: Document = bson::deserialize_from_slice(&operation)
                .map_err(|error| Error::new(ErrorKind::Server, error.to_string()).at(self.place()))?;
            let database = operation.get_str("ns").unwrap_or_default().split('.').next().unwrap_or_default();
            let all = [&COMMANDS[..], &OF_CATALOGS].concat();
            if is_meant(database)
                && is_one_of(&operation, &all)
                && let Some(id) = operation.get("opid")
            {
                writes.insert(id.to_string());
            }
        }
        Ok(writes)
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
        let create = doc! { "active": true, "op": "command", "command": { "create": "orders" } };
        assert!(!is_writing(&create) && is_one_of(&create, &OF_CATALOGS));
    }
}
