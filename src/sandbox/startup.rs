//! How a replica set comes to be: ports and processes first, then the set, then its root user.

use std::{
    env,
    fs::OpenOptions,
    io::Write,
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use bson::{Document, doc};
use futures_util::future::try_join_all;

use super::{
    ReplicaSet, ReplicaSetOptions,
    directory::Directory,
    member::{Member, NotStarted},
    observer::{Observer, server_error},
};
use crate::{
    error::{Error, ErrorKind, Result},
    hex::hex,
};

const DIRECTORY_PREFIX: &str = "transload-sandbox-";
/// Between our letting go of a free port and the server's taking it, another process may: rare, hence few.
const PORT_ATTEMPTS: usize = 5;
/// Short, for quick failovers in tests; not so short that a loaded machine loses its primary (the server's own is 10 s).
const ELECTION_TIMEOUT_MS: i32 = 2_000;
const HEARTBEAT_MS: i32 = 200;

impl ReplicaSet {
    /// Starts a set, and returns when it has a primary and every other member is a secondary.
    ///
    /// # Errors
    /// [`ErrorKind::Server`] with the end of its log when a server does not start; [`ErrorKind::Usage`] on a number of
    /// members that no set can have.
    pub async fn start(options: &ReplicaSetOptions) -> Result<Self> {
        if !(1..=7).contains(&options.members) {
            let message = format!("a sandbox set has 1 to 7 members, not {}", options.members);
            return Err(Error::new(ErrorKind::Usage, message));
        }
        if options.standalone && (options.members > 1 || options.root.is_some()) {
            let message = "a standalone server of the sandbox is one, without users";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let mut attempt = 1;
        let set = loop {
            match ReplicaSet::launch(options).await {
                Ok(set) => break set,
                Err(failed) if failed.port_taken && attempt < PORT_ATTEMPTS => attempt += 1,
                Err(failed) => return Err(failed.error),
            }
        };
        if !options.standalone {
            set.initiate().await?;
        }
        Ok(set)
    }

    /// Starts the processes, on ports that are free now.
    async fn launch(options: &ReplicaSetOptions) -> Result<Self, NotStarted> {
        let parent = options.parent_directory.clone().unwrap_or_else(env::temp_dir);
        let directory = Directory::create(&parent, DIRECTORY_PREFIX).await?;
        let root = options.root.clone();
        let key_file = root.as_ref().map(|_| write_key_file(directory.path())).transpose()?;
        // The directory's random name: a client or member of another set that comes upon these ports is turned away.
        let name = directory.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let members = free_ports(options.members)?
            .into_iter()
            .map(|port| Member::new(options, &name, directory.path(), port, key_file.as_deref()))
            .collect::<Result<Vec<Member>>>()?;
        try_join_all(members.iter().map(Member::start)).await?;
        Ok(ReplicaSet { members, name, root, standalone: options.standalone, _directory: directory })
    }

    /// Makes the processes a set; the root user is created under the exception for local clients of an empty server.
    async fn initiate(&self) -> Result<()> {
        let mut members = Vec::new();
        for (id, member) in (0_i32..).zip(&self.members) {
            members.push(doc! { "_id": id, "host": member.address() });
        }
        let config = doc! {
            "_id": &self.name,
            "version": 1,
            "members": members,
            "settings": { "electionTimeoutMillis": ELECTION_TIMEOUT_MS, "heartbeatIntervalMillis": HEARTBEAT_MS },
        };
        let run = async |member: usize, command: Document| {
            let observer = Observer::new(&self.member(member)?.address()).await?;
            let reply = observer.client().database("admin").run_command(command).await;
            reply.map_err(|error| server_error(&self.name, error))
        };
        run(0, doc! { "replSetInitiate": config }).await?;
        self.wait_until_steady().await?;
        if let Some(root) = &self.root {
            let user = doc! { "createUser": &root.name, "pwd": &root.password, "roles": ["root"] };
            run(self.primary().await?, user).await?;
        }
        Ok(())
    }
}

/// Ports of 127.0.0.1 that nobody listens on, all different, since all are held until the last is found.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let io = |error| Error::io("127.0.0.1", error);
    let listeners =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).map_err(io)).collect::<Result<Vec<TcpListener>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr().map_err(io)?.port())).collect()
}

/// Members of a set with access control know each other by a key, which others must not be able to read.
fn write_key_file(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("key");
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| Error::new(ErrorKind::Io, format!("no random numbers: {error}")))?;
    let key = hex(&random);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(&path).and_then(|mut file| file.write_all(key.as_bytes())).map_err(|error| Error::io(&path, error))?;
    Ok(path)
}
