//! Users and roles of an archive, into a server.

use transload_format::{Contents, Kind};

use crate::{
    archive::ArchiveFile,
    batch::Budget,
    catalog,
    connect::Server,
    error::{Error, ErrorKind, Result},
    load::Target,
    namespace::Namespace,
};

/// The users and roles of an archive: their ids in it, and the documents that have come.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: Kept,
    roles: Kept,
}

/// Those of one of the two collections.
#[derive(Debug, Default)]
struct Kept {
    id: Option<u32>,
    batches: Vec<Vec<u8>>,
}

impl Accounts {
    /// What an archive has of them.
    pub(super) fn of(contents: &Contents) -> Self {
        let id = |name: &str| {
            let is_it =
                |namespace: &transload_format::Namespace| namespace.collection.namespace == format!("admin.{name}");
            let at = contents.namespaces().iter().position(is_it)?;
            u32::try_from(at + 1).ok()
        };
        let kept = |name| Kept { id: id(name), batches: Vec::new() };
        Accounts { users: kept(catalog::USERS), roles: kept(catalog::ROLES) }
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
    pub(super) async fn merge(&self, server: &Server) -> Result<(u64, u64)> {
        let (users, roles) = (self.users.scratch()?, self.roles.scratch()?);
        let merged = async {
            let of_users = self.users.load(server, users.as_ref()).await?;
            let of_roles = self.roles.load(server, roles.as_ref()).await?;
            catalog::merge(server, users.as_ref(), roles.as_ref(), server.default_database()).await?;
            Ok((of_users, of_roles))
        };
        let merged = merged.await;
        for scratch in users.iter().chain(&roles) {
            // Hashes of passwords must not stay there, whatever has failed.
            catalog::drop(server, scratch).await?;
        }
        merged
    }
}

impl Kept {
    /// A collection of ours to put them into, if there are any.
    fn scratch(&self) -> Result<Option<Namespace>> {
        (!self.batches.is_empty()).then(|| catalog::scratch("admin")).transpose()
    }

    /// Puts them there; gives their number.
    async fn load(&self, server: &Server, scratch: Option<&Namespace>) -> Result<u64> {
        let Some(scratch) = scratch else { return Ok(0) };
        let target = Target::new(server.clone(), scratch.clone(), false);
        let mut inserted = 0;
        for documents in &self.batches {
            let loaded = target.load(documents).await?;
            if let Some(rejected) = loaded.rejected.first() {
                return Err(Error::new(ErrorKind::Server, format!("a user or role was refused: {}", rejected.reason))
                    .at(scratch.to_string()));
            }
            inserted += loaded.inserted;
        }
        Ok(inserted)
    }
}
