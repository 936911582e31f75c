//! A server that is there for one bench.

use super::{BenchOptions, CURSORS};
use crate::{
    connect::{Server, Uri, connect},
    error::{Error, ErrorKind, Result},
    hex::hex,
    progress::Progress,
    sandbox::{ReplicaSet, ReplicaSetOptions, RootUser, ServerBinary},
};

/// The cache of its storage engine, in GB.
const CACHE_GB: f64 = 1.0;

/// A running server, which is gone when this is dropped.
pub(super) struct Throwaway {
    set: ReplicaSet,
    /// Whether it wants a password.
    is_guarded: bool,
}

impl Throwaway {
    /// Starts one, with its data where the options say. One that real documents are restored to is open to nobody else on this
    /// machine.
    ///
    /// # Errors
    /// When no server can be found or fetched, or it does not start.
    pub(super) async fn start(bench: &BenchOptions, progress: &dyn Progress, is_guarded: bool) -> Result<Self> {
        let binary = ServerBinary::find(&|notice| progress.stage(notice, None, None)).await?;
        let mut options = ReplicaSetOptions::new(binary);
        (options.cache_gb, options.parent_directory) = (CACHE_GB, bench.directory.clone());
        options.test_commands = false;
        if is_guarded {
            options.root = Some(RootUser::new("bench", password()?));
        }
        let set = ReplicaSet::start(&options).await?;
        Ok(Throwaway { set, is_guarded })
    }

    /// Connects to it, or to one of its databases.
    pub(super) async fn server(&self, database: Option<&str>, options: &BenchOptions) -> Result<Server> {
        // MongoDB's own tools take it for a wish to authenticate, as nobody.
        let of_user = if self.is_guarded { "&authSource=admin" } else { "" };
        let uri = format!("{}{of_user}", self.set.uri());
        let uri = database.map_or(uri.clone(), |database| uri.replacen("/?", &format!("/{database}?"), 1));
        let most = CURSORS.into_iter().max().unwrap_or_default();
        connect(&Uri::read(&uri)?.0, options.parallel.max(most)).await
    }

    /// Drops all databases, and lets it come to rest.
    pub(super) async fn empty(&self) -> Result<()> {
        self.set.empty().await
    }
}

fn password() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes for a password: {error}")))?;
    Ok(hex(&bytes))
}
