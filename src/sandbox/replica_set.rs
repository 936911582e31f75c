//! A throwaway replica set: used, made to fail on purpose, and gone when dropped.

use std::{fmt, path::Path, time::Duration};

use bson::{Document, doc};
use mongodb::Client;
use tokio::time::{Instant, sleep};

use super::{
    RootUser,
    directory::Directory,
    member::Member,
    observer::{Observer, Role, server_error},
};
use crate::error::{Error, ErrorKind, Result};

/// For an initial sync or an election, on a loaded machine.
const STEADY_TIMEOUT: Duration = Duration::from_secs(60);
/// A running replica set on this machine; dropping it kills the servers and removes their data.
///
/// Its methods connect anew each time: a driver's client ends with the runtime that made it, and a set may be shared
/// by tests that each have their own.
pub struct ReplicaSet {
    // Before the directory, so that no server is alive when its data is removed.
    pub(super) members: Vec<Member>,
    /// Its name as the servers know it.
    pub(super) name: String,
    pub(super) root: Option<RootUser>,
    pub(super) standalone: bool,
    pub(super) _directory: Directory,
}

impl ReplicaSet {
    /// The connection string of the set, with the credentials, if any.
    pub fn uri(&self) -> String {
        let addresses: Vec<String> = self.members.iter().map(Member::address).collect();
        let options =
            if self.standalone { "directConnection=true".to_owned() } else { format!("replicaSet={}", self.name) };
        format!("mongodb://{}{}/?{options}", self.user_info(), addresses.join(","))
    }

    /// The connection string of one member alone, with the credentials, if any.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] on a number that is no member's; so do all that take one.
    pub fn member_uri(&self, member: usize) -> Result<String> {
        let address = self.member_address(member)?;
        Ok(format!("mongodb://{}{address}/?directConnection=true", self.user_info()))
    }

    /// `host:port` of a member.
    pub(super) fn member_address(&self, member: usize) -> Result<String> {
        Ok(self.member(member)?.address())
    }

    /// A new client of the set.
    pub async fn client(&self) -> Result<Client> {
        Client::with_uri_str(self.uri()).await.map_err(|error| server_error(&self.name, error))
    }

    /// A new client of one member alone.
    pub async fn member_client(&self, member: usize) -> Result<Client> {
        let uri = self.member_uri(member)?;
        Client::with_uri_str(uri).await.map_err(|error| server_error(&self.name, error))
    }

    /// How many members there are, running or killed; they are numbered from 0.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// The process of a member, while it runs.
    pub fn process_id(&self, member: usize) -> Result<Option<u32>> {
        Ok(self.member(member)?.process_id())
    }

    /// The log of a member: everything its server printed.
    pub fn log(&self, member: usize) -> Result<&Path> {
        Ok(self.member(member)?.log())
    }

    /// The number of the primary, after waiting for one if need be.
    pub async fn primary(&self) -> Result<usize> {
        let roles = self.wait_until(|roles| roles.contains(&Role::Primary)).await?;
        let primary = roles.iter().position(|role| *role == Role::Primary);
        primary.ok_or_else(|| Error::new(ErrorKind::Internal, "waited for a primary, and found none"))
    }

    /// Kills a member (SIGKILL) and waits for its end; to a killed one, nothing happens.
    pub fn kill(&self, member: usize) -> Result<()> {
        self.member(member)?.kill();
        Ok(())
    }

    /// Starts a member again on its port and data, killing it first if it runs, and waits until every running member
    /// is primary or secondary.
    pub async fn restart(&self, member: usize) -> Result<()> {
        let member = self.member(member)?;
        member.kill();
        let deadline = Instant::now() + STEADY_TIMEOUT;
        loop {
            match member.start().await {
                Ok(()) => return self.wait_until_steady().await,
                // A client's outgoing connection may hold the port for a moment.
                Err(failed) if failed.port_taken && Instant::now() < deadline => {
                    sleep(Duration::from_millis(100)).await;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// Makes the primary step down, and waits until there is a primary again: another one, if there is another member.
    pub async fn step_down(&self) -> Result<()> {
        let command = if self.members.len() == 1 {
            doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true }
        } else {
            doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5, "force": true }
        };
        self.run_on_primary("admin", command).await?;
        self.wait_until_steady().await
    }

    /// Runs a `configureFailPoint` command on the primary.
    ///
    /// On a set that others use too, let `data.appName` or `data.namespace` of `failCommand` name one's own.
    pub async fn fail_point(&self, command: Document) -> Result<()> {
        self.run_on_primary("admin", command).await.map(|_| ())
    }

    /// The primary's `dbHash` of a database: `md5` over all, and one hash for each of the `collections`.
    pub async fn db_hash(&self, database: &str) -> Result<Document> {
        self.run_on_primary(database, doc! { "dbHash": 1 }).await
    }

    /// Drops all databases but the server's own, and has everything written to the disk and the files of what is dropped removed: what
    /// comes next finds the server at rest.
    ///
    /// A server keeps such files for five minutes, for whoever reads what was, until after many collections it may open no more, and
    /// ends. So from then on it keeps no history.
    pub async fn empty(&self) -> Result<()> {
        let client = self.member_client(self.primary().await?).await?;
        let fail = |error| server_error(&self.name, error);
        let names = client.list_database_names().await.map_err(fail)?;
        for name in names.iter().filter(|name| !["admin", "config", "local"].contains(&name.as_str())) {
            client.database(name).drop().await.map_err(fail)?;
        }
        let admin = client.database("admin");
        // Servers before 5.0 do not know it, and keep nothing.
        let _ = admin.run_command(doc! { "setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0 }).await;
        let deadline = Instant::now() + STEADY_TIMEOUT;
        loop {
            admin.run_command(doc! { "fsync": 1 }).await.map_err(fail)?;
            let status = admin.run_command(doc! { "serverStatus": 1 }).await.map_err(fail)?;
            let left = status.get_document("storageEngine").and_then(|engine| engine.get_i64("dropPendingIdents"));
            if left.unwrap_or(0) == 0 || Instant::now() > deadline {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn run_on_primary(&self, database: &str, command: Document) -> Result<Document> {
        let client = self.member_client(self.primary().await?).await?;
        client.database(database).run_command(command).await.map_err(|error| server_error(&self.name, error))
    }

    pub(super) fn member(&self, member: usize) -> Result<&Member> {
        self.members.get(member).ok_or_else(|| {
            let message = format!("no member {member}: the set has {}, numbered from 0", self.members.len());
            Error::new(ErrorKind::Usage, message)
        })
    }

    fn user_info(&self) -> String {
        self.root.as_ref().map(RootUser::uri_prefix).unwrap_or_default()
    }

    /// Waits until there is a primary, and every other running member is a secondary.
    pub(super) async fn wait_until_steady(&self) -> Result<()> {
        let steady = |roles: &[Role]| roles.contains(&Role::Primary) && !roles.contains(&Role::Neither);
        self.wait_until(steady).await.map(|_| ())
    }

    /// Asks every running member for its role until the answers will do.
    async fn wait_until(&self, enough: impl Fn(&[Role]) -> bool) -> Result<Vec<Role>> {
        let mut observers = Vec::new();
        for member in &self.members {
            observers.push(Observer::new(&member.address()).await?);
        }
        let deadline = Instant::now() + STEADY_TIMEOUT;
        loop {
            let mut roles = Vec::new();
            for (member, observer) in self.members.iter().zip(&observers) {
                if let Some(error) = member.unexpected_end().await {
                    return Err(error);
                }
                let runs = member.process_id().is_some();
                roles.push(if runs { observer.role().await } else { Role::Stopped });
            }
            if enough(&roles) {
                return Ok(roles);
            }
            if Instant::now() > deadline {
                let message = format!("no steady set after {} s: {roles:?}", STEADY_TIMEOUT.as_secs());
                return Err(Error::new(ErrorKind::Server, message).at(self.name.clone()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The user's password stays out, as in [`RootUser`].
impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<u16> = self.members.iter().map(|member| member.port).collect();
        f.debug_struct("ReplicaSet").field("name", &self.name).field("ports", &ports).finish_non_exhaustive()
    }
}
