//! Users and roles of an archive, into a server.

use transload_format::{Contents, Documents, Kind};

use crate::{
    archive::ArchiveFile,
    batch::Budget,
    catalog::{self, Scratches},
    connect::Server,
    document,
    error::{Error, ErrorKind, Result},
    load::Target,
    namespace::Namespace,
};

/// The users and roles of an archive: their ids in it, and the documents that have come.
#[derive(Debug, Default)]
pub(super) struct UsersAndRoles {
    users: Kept,
    roles: Kept,
}

/// Those of one of the two collections.
#[derive(Debug, Default)]
struct Kept {
    id: Option<u32>,
    batches: Vec<Vec<u8>>,
}

impl UsersAndRoles {
    /// What an archive has of them.
    pub(super) fn of(contents: &Contents) -> Self {
        let id = |name: &str| {
            let is_it =
                |namespace: &transload_format::Namespace| namespace.collection.namespace == format!("admin.{name}");
            let at = contents.namespaces().iter().position(is_it)?;
            u32::try_from(at + 1).ok()
        };
        let kept = |name| Kept { id: id(name), batches: Vec::new() };
        UsersAndRoles { users: kept(catalog::USERS), roles: kept(catalog::ROLES) }
    }

    /// Whether the namespace with this id is one of them.
    pub(super) fn has(&self, id: u32) -> bool {
        self.users.id == Some(id) || self.roles.id == Some(id)
    }

    /// Refuses what cannot be restored.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn check(&self) -> Result<()> {
        if self.users.id.is_some() || self.roles.id.is_some() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Usage, "the archive holds no users and roles")
            .with_hint("'transload dump --users-and-roles' takes them along")
            .at("--users-and-roles"))
    }

    /// Keeps documents of one of them until the end: they are few.
    pub(super) fn keep(&mut self, id: u32, documents: Vec<u8>) {
        let kept = if self.users.id == Some(id) { &mut self.users } else { &mut self.roles };
        kept.batches.push(documents);
    }

    /// Reads them from a file.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub(super) async fn read(&mut self, archive: &ArchiveFile, budget: &Budget) -> Result<()> {
        for (number, block) in archive.contents().blocks().iter().enumerate() {
            if block.kind == Kind::Documents && self.has(block.namespace) {
                let batch = archive.batch(number, budget).await?.wait().await?;
                self.keep(block.namespace, batch.documents);
            }
        }
        Ok(())
    }

    /// Merges them into those of the server, which all stay; of one database, if its connection string names one. Gives how
    /// many users and roles these were.
    ///
    /// # Errors
    /// When the server does not take all of them.
    pub(super) async fn merge(&self, server: &Server, scratches: &Scratches) -> Result<(u64, u64)> {
        let (users, roles) = (self.users.of(server), self.roles.of(server));
        let scratch = |those: &[u8]| (!those.is_empty()).then(|| scratches.begin("admin")).transpose();
        let (of_users, of_roles) = (scratch(&users)?, scratch(&roles)?);
        let merged = async {
            let counts =
                (load(server, of_users.as_ref(), &users).await?, load(server, of_roles.as_ref(), &roles).await?);
            catalog::merge_users_and_roles(server, of_users.as_ref(), of_roles.as_ref(), server.default_database())
                .await?;
            Ok(counts)
        };
        let merged = merged.await;
        // Hashes of passwords must not stay there, whatever has failed.
        let mut dropped = Ok(());
        for scratch in of_users.iter().chain(&of_roles) {
            let hint = format!("drop {scratch}: it may hold hashes of passwords");
            dropped = dropped.and(catalog::drop(server, scratch).await.map_err(|error| error.with_hint(hint)));
            scratches.ended(scratch);
        }
        merged.and_then(|counts| dropped.map(|()| counts))
    }
}

impl Kept {
    /// Those that the server's connection string wants: of all databases, or of one.
    fn of(&self, server: &Server) -> Vec<u8> {
        let is_wanted = |one: &&[u8]| match server.default_database() {
            Some(only) => document::find(one, b"db").and_then(|db| db.string()) == Some(only.as_bytes()),
            None => true,
        };
        let all = self.batches.iter().flat_map(|batch| Documents::new(batch).map_while(std::result::Result::ok));
        all.filter(is_wanted).flatten().copied().collect()
    }
}

/// Puts documents into a collection of ours; gives their number.
async fn load(server: &Server, scratch: Option<&Namespace>, documents: &[u8]) -> Result<u64> {
    let Some(scratch) = scratch else { return Ok(0) };
    let loaded = Target::new(server.clone(), scratch.clone(), false).load(documents).await?;
    match loaded.rejected.first() {
        None => Ok(loaded.inserted),
        Some(rejected) => {
            let message = format!("a user or role was refused: {}", rejected.reason);
            Err(Error::new(ErrorKind::Server, message).at(scratch.to_string()))
        }
    }
}
