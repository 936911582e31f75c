//! What the user may do, by the server's own words, against what a move needs.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, rawdoc};

use super::{Findings, contents::list, wishes::grant};
use crate::{
    connect::{Doing, Server},
    error::Result,
};

/// Names of collections by their databases. A database without any stands for all that is in it.
pub(super) type Names = BTreeMap<String, BTreeSet<String>>;

/// Actions on a database as a whole, which no privilege on a collection permits.
const OF_DATABASES: [&str; 2] = ["listCollections", "enableSharding"];

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

    /// Whether the action is permitted on a collection; with no name, on all collections of a database, the system's aside.
    fn allows(&self, database: &str, collection: &str, action: &str) -> bool {
        let is_of = |resource: &Document| {
            let text = |name: &str| resource.get_str(name).ok();
            let of_database = text("db").is_some_and(|db| db.is_empty() || db == database);
            let of_collection = text("collection").is_some_and(|name| name.is_empty() || name == collection);
            resource.get_bool("anyResource").unwrap_or(false) || of_database && of_collection
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

    /// Says what of the needs is not permitted on these names.
    pub(super) fn check(&self, names: &Names, needs: &[Need], findings: &mut Findings) {
        if !self.check_besides(names, needs, findings) {
            findings.ok("privileges", "the user has all that is needed");
        }
    }

    /// The same of needs that are none of every move; whether any is not permitted.
    pub(super) fn check_besides(&self, names: &Names, needs: &[Need], findings: &mut Findings) -> bool {
        let mut lacks = false;
        for (database, collections) in names {
            for need in needs {
                let Some(missing) = self.missing(database, collections, need) else { continue };
                lacks = true;
                let found = format!("{database}: the user lacks {missing}");
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

    /// What of a need is permitted neither on the whole database nor on each of the collections, and on which it is not.
    fn missing(&self, database: &str, collections: &BTreeSet<String>, need: &Need) -> Option<String> {
        let mut actions = Vec::new();
        let mut without = BTreeSet::new();
        let mut of_all = collections.is_empty();
        for action in need.actions.iter().copied().filter(|action| !self.allows(database, "", action)) {
            let is_of_database = OF_DATABASES.contains(&action);
            of_all |= is_of_database;
            let lacking = |name: &&String| !self.allows(database, name, action);
            let lacking: Vec<&String> = collections.iter().filter(lacking).collect();
            if is_of_database || collections.is_empty() || !lacking.is_empty() {
                actions.push(action);
                without.extend(lacking);
            }
        }
        let names: Vec<String> = without.into_iter().cloned().collect();
        match actions.is_empty() {
            true => None,
            false if of_all || names.len() == collections.len() => Some(actions.join(", ")),
            false => Some(format!("{} on {}", actions.join(", "), list(&names))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn granted(resource: Document, actions: &[&str]) -> (Document, Vec<String>) {
        (resource, actions.iter().copied().map(str::to_owned).collect())
    }

    /// What is said of a source with these two collections.
    fn said(known: &[(Document, Vec<String>)]) -> Vec<String> {
        let mut findings = Findings::of("source");
        let collections = ["orders", "events"].map(str::to_owned);
        let names = Names::from([("shop".to_owned(), BTreeSet::from(collections))]);
        Privileges(known.to_vec()).check(&names, &OF_A_SOURCE, &mut findings);
        findings.all.into_iter().map(|finding| finding.found).collect()
    }

    const ALL: &str = "the user has all that is needed";
    const READ: [&str; 4] = ["find", "listIndexes", "changeStream", "collStats"];

    #[test]
    fn privileges_on_each_collection_are_as_good_as_those_on_their_database() {
        let lists = granted(doc! { "db": "shop", "collection": "" }, &["listCollections"]);
        let of = |db: &str, name: &str| granted(doc! { "db": db, "collection": name }, &READ);
        assert_eq!(said(&[lists.clone(), of("shop", "")]), [ALL]);
        assert_eq!(said(&[lists.clone(), of("", "")]), [ALL]);
        assert_eq!(said(&[lists.clone(), of("shop", "orders"), of("", "events")]), [ALL]);
        assert_eq!(
            said(&[granted(
                doc! { "anyResource": true },
                &["listCollections", "find", "listIndexes", "changeStream", "collStats"]
            )]),
            [ALL]
        );
        let lacks = |on: &str| {
            ["find, listIndexes, changeStream", "collStats"].map(|what| format!("shop: the user lacks {what}{on}"))
        };
        assert_eq!(said(&[lists.clone(), of("shop", "orders"), of("other", "")]), lacks(" on events"));
        assert_eq!(said(&[lists]), lacks(""));
    }

    #[test]
    fn what_is_of_a_database_is_granted_by_no_collection() {
        let of = |name: &str| {
            granted(doc! { "db": "shop", "collection": name }, &[&READ[..], &["listCollections"]].concat())
        };
        assert_eq!(said(&[of("orders"), of("events")]), ["shop: the user lacks listCollections"]);
    }
}
