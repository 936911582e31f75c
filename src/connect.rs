//! Connects to a deployment, and knows of it what the rest must ask before it acts: its version, what it supports.

mod as_of;
mod failure;
mod member;
mod operations;
mod reads;
mod reply;
mod selection;
mod uri;

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bson::{RawDocumentBuf, doc, rawdoc};
use mongodb::{
    Client, ClientSession, Database,
    error::ErrorKind as DriverErrorKind,
    options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern},
};

pub(crate) use as_of::{AsOf, NO_MAJORITY_READS};
pub use failure::{Doing, Patience, Retry, failure, retry};
pub(crate) use failure::{command_text, is_out_of_space, kind_of, retry_code};
pub(crate) use member::Member;
pub(crate) use operations::is_writing;
pub use reads::Reads;
pub use reply::batch_documents;
pub(crate) use reply::command;
pub use uri::Uri;

use crate::error::{Error, ErrorKind, Result};

/// How long a piece of work may fail before it is given up, if nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a command may be silent before the server is asked whether it is still there.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The version of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 6 of 6.0.5.
    pub major: u32,
    /// 0 of 6.0.5.
    pub minor: u32,
    /// 5 of 6.0.5.
    pub patch: u32,
}

impl Version {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Version { major, minor, patch }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.split(['-', '+']).next()?;
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some(Version { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next().flatten().unwrap_or(0) })
    }

    /// Whether documents can be read as of one past cluster time, outside of transactions (`readConcern: snapshot`).
    pub fn reads_as_of_a_time(self) -> bool {
        self.major >= 5
    }

    /// Whether change streams tell of creates, indexes and options, too (`showExpandedEvents`).
    pub fn tells_of_collections(self) -> bool {
        self.major >= 6
    }

    /// Whether inserts can be told to keep a top-level `Timestamp(0, 0)` (SERVER-88750). Without it the server
    /// puts its clock there.
    pub fn keeps_empty_timestamps(self) -> bool {
        match (self.major, self.minor) {
            (5, 0) => self.patch >= 29,
            (6, 0) => self.patch >= 17,
            (7, 0) => self.patch >= 13,
            (major, _) => major >= 8,
        }
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Version::parse(text).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "is no version of a server").with_hint("a version is written as 6.0.5")
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A deployment that has answered and accepted the user.
#[derive(Clone, Debug)]
pub struct Server {
    client: Client,
    uri: Uri,
    version: Version,
    default_database: Option<String>,
    has_credential: bool,
    patience: Duration,
    replicates: bool,
    reads: SelectionCriteria,
    /// Whether writes wait for a majority's journal, whatever the connection string says.
    durable: bool,
    retries: Arc<AtomicU64>,
}

/// Connects, authenticates, and asks for the version. `connections` is how many commands will be in flight at once.
///
/// # Errors
/// Usage for a string that cannot be understood; unreachable, authentication, or what the server says.
pub async fn connect(uri: &Uri, connections: usize) -> Result<Server> {
    let mut options = ClientOptions::parse(uri.reveal()).await.map_err(|error| {
        match error.kind.as_ref() {
            DriverErrorKind::DnsResolve { message, .. } => failure::unresolved(message),
            DriverErrorKind::InvalidArgument { message, .. } => unusable(&uri.redact(message)),
            other => unusable(&uri.redact(&other.to_string())),
        }
        .at(uri.to_string())
    })?;
    let wanted = u32::try_from(connections).unwrap_or(u32::MAX).saturating_add(4);
    options.app_name.get_or_insert_with(|| "transload".to_owned());
    options.max_pool_size = Some(options.max_pool_size.unwrap_or(10).max(wanted));
    options.max_connecting.get_or_insert(wanted.min(8));
    let default_database = options.default_database.clone();
    let has_credential = options.credential.is_some();
    let at = |error: Error| error.at(uri.to_string());
    let client = Client::with_options(options).map_err(|error| at(failure(error, &Doing::unprivileged("connect"))))?;
    let info = client
        .database("admin")
        .run_command(doc! { "buildInfo": 1 })
        .await
        .map_err(|error| at(failure(error, &Doing::unprivileged("connect"))))?;
    // buildInfo needs no login; the first command that does shows whether the user is accepted.
    let status = client
        .database(default_database.as_deref().unwrap_or("admin"))
        .run_command(doc! { "connectionStatus": 1 })
        .await
        .map_err(|error| at(failure(error, &Doing::unprivileged("connect"))))?;
    let version = info.get_str("version").ok().and_then(Version::parse);
    let version = version.ok_or_else(|| at(Error::new(ErrorKind::Server, "the server does not tell its version")))?;
    let primary = || SelectionCriteria::ReadPreference(ReadPreference::Primary);
    Ok(Server {
        uri: uri.clone(),
        version,
        default_database,
        has_credential,
        patience: PATIENCE,
        replicates: status.contains_key("operationTime"),
        reads: client.selection_criteria().cloned().unwrap_or_else(primary),
        retries: Arc::default(),
        durable: false,
        client,
    })
}

fn unusable(why: &str) -> Error {
    let error = Error::new(ErrorKind::Usage, format!("the connection string is not usable: {why}"));
    if why.contains("URL encoded") || why.contains("unescaped") {
        return error.with_hint(ENCODE);
    }
    if why.ends_with("is an invalid option") {
        return error.with_hint("options stand behind '?', as in mongodb://host/DATABASE?authSource=admin&tls=true");
    }
    error
}

/// What to do with a user or a password that breaks a connection string.
const ENCODE: &str =
    "in user and password write %25 for %, %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %5B for [, %5D for ]";

impl Server {
    /// The same with another patience: how long a piece of work may fail before it is given up.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A database of the deployment.
    pub fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    /// The version of the server that answered.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The database that the connection string names.
    pub fn default_database(&self) -> Option<&str> {
        self.default_database.as_deref()
    }

    /// Whether writes are replicated: all but a standalone server keep a time of operations.
    pub fn replicates(&self) -> bool {
        self.replicates
    }

    /// A driver's error in this crate's words, with the hosts in front.
    pub fn failure(&self, error: mongodb::error::Error, doing: &Doing) -> Error {
        let error = failure(error, doing).at(self.place());
        match error.kind() {
            ErrorKind::Authorization if self.is_nobody() => {
                error.with_hint("the connection string names no user: mongodb://USER@HOST/ asks for the password")
            }
            _ => error,
        }
    }

    /// Whether it was connected to as no user.
    pub fn is_nobody(&self) -> bool {
        !self.has_credential
    }

    /// The hosts, as a place for messages.
    pub fn place(&self) -> String {
        self.uri.to_string()
    }

    /// Its connection string, for a process that is to connect to it, too.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Patience for a piece of work with this deployment: an election takes ten seconds or so, a restart a minute.
    pub fn patience(&self) -> Patience {
        Patience::new(self.patience, Arc::clone(&self.retries))
    }

    /// How often something was tried again, by all clones together.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// The same deployment, read where it is written: whoever looks up what has arrived must not ask a secondary,
    /// which may not have it yet, although the connection string would have reads go there.
    #[must_use]
    pub fn reading_primary(&self) -> Self {
        Server { reads: SelectionCriteria::ReadPreference(ReadPreference::Primary), ..self.clone() }
    }

    /// The same deployment, read where `reads` says, whatever the connection string does.
    #[must_use]
    pub fn reading(&self, reads: Reads) -> Self {
        Server { reads: reads.into(), ..self.clone() }
    }

    /// The same deployment, whose writes are acknowledged when a majority has them in its journal.
    #[must_use]
    pub fn writing_durably(&self) -> Self {
        Server { durable: true, ..self.clone() }
    }

    /// Where reads go: as the connection string says, else to the primary.
    pub fn reads(&self) -> SelectionCriteria {
        self.reads.clone()
    }

    /// The write concern of loads: as the connection string says, else majority, so that a failover of the target
    /// cannot take back what was counted.
    pub fn write_concern(&self) -> RawDocumentBuf {
        bson::serialize_to_raw_document_buf(&self.concern()).unwrap_or_else(|_| rawdoc! { "w": "majority" })
    }

    fn concern(&self) -> WriteConcern {
        let of_uri = self.client.write_concern().filter(|_| !self.durable);
        of_uri.cloned().unwrap_or_else(|| {
            let mut majority = WriteConcern::majority();
            majority.journal = self.durable.then_some(true);
            majority
        })
    }

    /// Begins a transaction, which is acknowledged as [`write_concern`](Self::write_concern) says.
    pub(crate) async fn begin_transaction(&self) -> mongodb::error::Result<ClientSession> {
        let mut session = self.client.start_session().await?;
        session.start_transaction().write_concern(self.concern()).await?;
        Ok(session)
    }

    /// Refuses a connection string that wants writes without an answer: nobody could say what has arrived.
    ///
    /// # Errors
    /// Usage, for `w=0`.
    pub fn check_acknowledged(&self) -> Result<()> {
        match self.client.write_concern().and_then(|concern| concern.w.clone()) {
            Some(Acknowledgment::Nodes(0)) => {
                let message = "the connection string wants writes that are not acknowledged (w=0)";
                let hint = "leave w out: writes are then acknowledged by a majority";
                Err(Error::new(ErrorKind::Usage, message).with_hint(hint).at(self.place()))
            }
            _ => Ok(()),
        }
    }

    /// Waits for a command, as long as the server is there: while it works, the server is asked now and then whether it
    /// still answers at all. The driver itself would wait for ever for a host that has vanished without a word. What
    /// became of a command that is given up is not known.
    ///
    /// # Errors
    /// What the command failed with; a timeout of the network if the server has not answered for its patience.
    pub(crate) async fn watched<T>(
        &self,
        command: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> mongodb::error::Result<T> {
        let mut command = std::pin::pin!(command.into_future());
        loop {
            tokio::select! {
                done = &mut command => return done,
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            let admin = self.client.database("admin");
            let ping = admin.run_command(doc! { "ping": 1 });
            // Where one member alone is read, it is the one to ask.
            let ping = match &self.reads {
                SelectionCriteria::Predicate(_) => ping.selection_criteria(self.reads()),
                _ => ping,
            };
            let ping = async { ping.await.map(drop) };
            let answered = tokio::select! {
                done = &mut command => return done,
                answered = tokio::time::timeout(self.patience.max(WATCH_EVERY), ping) => answered,
            };
            // A ping that fails is an answer, or a broken connection that the command itself will report.
            if answered.is_err() {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
        }
    }

    /// Runs a command on `database` until it succeeds or there is no hope. For commands that may be repeated.
    ///
    /// # Errors
    /// What the server says.
    pub async fn run(&self, database: &str, command: RawDocumentBuf, doing: &Doing) -> Result<bson::Document> {
        let mut patience = self.patience();
        loop {
            let database = self.client.database(database);
            let run = database.run_raw_command(command.clone()).selection_criteria(self.reads());
            match self.watched(run).await {
                Ok(reply) => return Ok(reply),
                Err(error) if patience.wait(retry(&error)).await => {}
                Err(error) => return Err(self.failure(error, doing)),
            }
        }
    }

    /// The cluster time of the latest write that the member which answers has: seconds in the upper half, an increment
    /// in the lower; 0 where none is kept (a standalone server).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn operation_time(&self) -> Result<u64> {
        Ok(self.times().await?.0)
    }

    /// A cluster time that nothing read so far is newer than, whichever member it came from: the driver carries the
    /// latest time that it has seen to each member that it asks. 0 as above.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn cluster_time(&self) -> Result<u64> {
        let (operation, cluster) = self.times().await?;
        Ok(operation.max(cluster))
    }

    /// What the server says that it is.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn hello(&self) -> Result<bson::Document> {
        let doing = Doing::unprivileged("ask for the replica set");
        // Servers before 4.4.2 do not know `hello`.
        self.run("admin", rawdoc! { "isMaster": 1 }, &doing).await
    }

    /// The name of its replica set with the members that it shows, `SET/HOST:PORT,HOST:PORT`; without a set, the hosts
    /// of the connection string.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn identity(&self) -> Result<String> {
        let reply = self.hello().await?;
        let Ok(set) = reply.get_str("setName") else {
            return Ok(self.place());
        };
        let hosts = reply.get_array("hosts").into_iter().flatten().filter_map(bson::Bson::as_str);
        Ok(format!("{set}/{}", hosts.collect::<Vec<_>>().join(",")))
    }

    async fn times(&self) -> Result<(u64, u64)> {
        let doing = Doing::unprivileged("ask for the cluster time");
        let reply = self.run("admin", rawdoc! { "ping": 1 }, &doing).await?;
        let number = |time: bson::Timestamp| (u64::from(time.time) << 32) | u64::from(time.increment);
        let operation = reply.get_timestamp("operationTime").map_or(0, number);
        let gossip = reply.get_document("$clusterTime").and_then(|gossip| gossip.get_timestamp("clusterTime"));
        Ok((operation, gossip.map_or(0, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_a_suffix() {
        assert_eq!(Version::parse("6.0.5"), Some(Version::new(6, 0, 5)));
        assert_eq!(Version::parse("8.1.0-rc0"), Some(Version::new(8, 1, 0)));
        assert_eq!(Version::parse("4.2.6+git"), Some(Version::new(4, 2, 6)));
        assert_eq!(Version::parse("six"), None);
    }

    #[test]
    fn releases_that_keep_empty_timestamps_are_known() {
        for (version, keeps) in [
            (Version::new(4, 2, 6), false),
            (Version::new(5, 0, 28), false),
            (Version::new(5, 0, 29), true),
            (Version::new(6, 0, 5), false),
            (Version::new(6, 0, 27), true),
            (Version::new(7, 0, 12), false),
            (Version::new(8, 0, 0), true),
        ] {
            assert_eq!(version.keeps_empty_timestamps(), keeps, "{version}");
        }
    }
}
