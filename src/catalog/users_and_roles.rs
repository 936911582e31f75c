//! Users and roles: where a server keeps them, and how they come to another one.
//!
//! They are documents of the database `admin`, with the hashes of passwords in them. A server takes them only by
//! `_mergeAuthzCollections`, which also tells every member to forget what it has cached: what stands in a collection of
//! ours is merged into what is there, and with `drop: false` nothing that is there goes away.

use bson::{RawDocumentBuf, rawdoc};

use super::{
    apply::ddl,
    read::{Entry, entry, named},
};
use crate::{
    connect::{Doing, Server},
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// The database that they are in.
const DATABASE: &str = "admin";
/// The users of all databases.
pub(crate) const USERS: &str = "system.users";
/// The roles that people have made.
pub(crate) const ROLES: &str = "system.roles";

/// Whether a namespace holds users or roles.
pub(crate) fn is_of_users_or_roles(namespace: &Namespace) -> bool {
    namespace.database() == DATABASE && [USERS, ROLES].contains(&namespace.collection())
}

/// The users and roles of a server, or those of one database: as far as there are any.
///
/// # Errors
/// When this user may not read them.
pub(crate) async fn users_and_roles(server: &Server) -> Result<Vec<Entry>> {
    let doing = Doing::new("look for users and roles", "listCollections", DATABASE);
    let names = rawdoc! { "$in": [USERS, ROLES] };
    let command = rawdoc! { "listCollections": 1, "filter": { "name": names }, "cursor": {} };
    let mut entries = Vec::new();
    for info in server.documents(DATABASE, command, &doing).await? {
        let found = entry(server, named(DATABASE, &info)?, info, None).await?;
        entries.push(Entry { of_database: server.default_database().map(str::to_owned), ..found.entry });
    }
    entries.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    Ok(entries)
}

/// Merges users and roles that stand in these collections of `admin` into those of the server; of one database, if it is
/// given. Those that are not among them stay.
///
/// # Errors
/// What the server says: it takes the role `restore`, or `root`.
pub(crate) async fn merge_users_and_roles(
    server: &Server,
    users: Option<&Namespace>,
    roles: Option<&Namespace>,
    database: Option<&str>,
) -> Result<()> {
    let doing = Doing::new("merge users and roles", "_mergeAuthzCollections", DATABASE);
    let mut command = RawBuilder::new();
    command.int32("_mergeAuthzCollections", 1);
    for (field, namespace) in [("tempUsersCollection", users), ("tempRolesCollection", roles)] {
        if let Some(namespace) = namespace {
            command.string(field, namespace.to_string());
        }
    }
    command.string("db", database.unwrap_or_default()).bool("drop", false);
    command.embed("writeConcern", |concern| {
        concern.string("w", "majority");
    });
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(DATABASE))?;
    match users.or(roles) {
        Some(namespace) => ddl(server, namespace, command, &doing, &[]).await,
        None => Ok(()),
    }
}
