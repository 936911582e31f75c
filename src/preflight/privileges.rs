//! What the user may do, by the server's own words, against what a move needs.

use std::collections::BTreeSet;

use bson::{Bson, Document, rawdoc};

use super::{Findings, wishes::grant};
use crate::{
    connect::{Doing, Server},
    error::Result,
};

/// What is needed of a database, and the role that grants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) actions: &'static [&'static str],
    pub(super) role: &'static str,
    /// The database that the role is granted on, where it is not the one that it is needed for.
    pub(super) on: Option<&'static str>,
    /// Without it a move cannot succeed.
    pub(super) must: bool,
}

/// What reading a database, and following its changes, takes.
pub(super) const OF_A_SOURCE: [Need; 2] = [
    Need { actions: &["find", "listCollections", "listIndexes", "changeStream"], role: "read", on: None, must: true },
    Need { actions: &["collStats"], role: "read", on: None, must: false },
];
/// What writing a copy takes.
pub(super) const OF_A_TARGET: [Need; 2] = [
    Need {
        actions: &[
            "find",
            "insert",
            "update",
            "remove",
            "createCollection",
            "createIndex",
            "dropCollection",
            "dropIndex",
            "listCollections",
            "listIndexes",
        ],
        role: "readWrite",
        on: None,
        must: true,
    },
    // For options that change, and for documents that their own validator refuses.
    Need { actions: &["collMod", "bypassDocumentValidation"], role: "dbAdmin", on: None, must: false },
];

/// What keeping events in a target takes.
pub(super) const OF_EVENTS: [Need; 1] = [Need {
    actions: &["find", "insert", "remove", "createCollection", "createIndex", "dropCollection", "listIndexes"],
    role: "readWrite",
    on: None,
    must: true,
}];

/// What a user may do.
#[derive(Debug)]
pub(super) struct Privileges(Vec<(Document, Vec<String>)>);

impl Privileges {
    /// Asks the server; nothing where it knows no user, because it has no access control or nobody logged in.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn of(server: &Server) -> Result<Option<Self>> {
        let doing = Doing::unprivileged("ask what the user may do");
        let reply = server.run("admin", rawdoc! { "connectionStatus": 1, "showPrivileges": true }, &doing).await?;
        let info = reply.get_document("authInfo").ok();
        let list = |name: &str| info.and_then(|info| info.get_array(name).ok()).map(Vec::as_slice).unwrap_or_default();
        if list("authenticatedUsers").is_empty() {
            return Ok(None);
        }
        let one = |privilege: &Bson| {
            let privilege = privilege.as_document()?;
            let actions = privilege.get_array("actions").ok()?.iter().filter_map(Bson::as_str).map(str::to_owned);
            Some((privilege.get_document("resource").ok()?.clone(), actions.collect()))
        };
        Ok(Some(Privileges(list("authenticatedUserPrivileges").iter().filter_map(one).collect())))
    }

    /// Whether the action is permitted on all collections of a database, the system's aside.
    fn allows(&self, database: &str, action: &str) -> bool {
        let is_of = |resource: &Document| {
            let text = |name: &str| resource.get_str(name).ok();
            let of_database = text("db").is_some_and(|db| db.is_empty() || db == database);
            resource.get_bool("anyResource").unwrap_or(false) || of_database && text("collection") == Some("")
        };
        self.0.iter().any(|(resource, actions)| is_of(resource) && actions.iter().any(|one| one == action))
    }

    /// Whether the action is permitted on the deployment as a whole.
    pub(super) fn allows_of_cluster(&self, action: &str) -> bool {
        let is_of = |resource: &Document| {
            let is = |name: &str| resource.get_bool(name).unwrap_or(false);
            is("anyResource") || is("cluster")
        };
        self.0.iter().any(|(resource, actions)| is_of(resource) && actions.iter().any(|one| one == action))
    }

    /// Says whether the user may see how busy a server is: without, nothing that has too much to do is spared.
    pub(super) fn check_load(&self, findings: &mut Findings) {
        if !self.allows_of_cluster("serverStatus") {
            let found =
                "the user lacks serverStatus: a server that has too much to do is not seen, and the copy not held back";
            findings.warn("load", found, format!("{}; or --max-rate", grant("clusterMonitor")));
        }
    }

    /// Says what of the needs is not permitted on these databases.
    pub(super) fn check(&self, databases: &BTreeSet<String>, needs: &[Need], findings: &mut Findings) {
        if !self.check_besides(databases, needs, findings) {
            findings.ok("privileges", "the user has all that is needed");
        }
    }

    /// The same of needs that are none of every move; whether any is not permitted.
    pub(super) fn check_besides(&self, databases: &BTreeSet<String>, needs: &[Need], findings: &mut Findings) -> bool {
        let mut lacks = false;
        for database in databases {
            for need in needs {
                let missing: Vec<&str> =
                    need.actions.iter().filter(|action| !self.allows(database, action)).copied().collect();
                if missing.is_empty() {
                    continue;
                }
                lacks = true;
                let found = format!("{database}: the user lacks {}", missing.join(", "));
                let (role, on) = (need.role, need.on.unwrap_or(database));
                let grant = format!(
                    "the role '{role}' on '{on}' grants it: db.grantRolesToUser(USER, [{{role: \"{role}\", db: \"{on}\"}}])"
                );
                match need.must {
                    true => findings.refuse("privileges", found, grant),
                    false => findings.warn("privileges", found, grant),
                }
            }
        }
        lacks
    }
}
