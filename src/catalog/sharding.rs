//! Shards the collections of a target as those of the source are, or as the user says, when they are created: before anything is
//! loaded into them.
//!
//! Whatever is done twice is done once: a collection that is sharded by its key already is left so, and is split and spread on as
//! long as it is empty. One that is sharded by another key is an error. What is dropped loses its key; so this comes after
//! every create.

mod key;
mod presplit;
mod read;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bson::{RawDocumentBuf, rawdoc};

pub use key::{ShardKey, ShardKeyOf};
pub(crate) use read::{is_router, of as sharded_as};

use super::{
    apply::ddl_again,
    build::{build, build_on_empty},
    filled::is_filled,
    read::options_of,
    size::size,
};
use crate::{
    connect::{Doing, Server, Version},
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::Selection,
};

/// From here on a collection can be sharded without a word about its database.
const WITHOUT_ENABLING: Version = Version::new(6, 0, 0);
/// `AlreadyInitialized`.
const ALREADY: [i32; 1] = [23];

/// Which collections of a target are to be sharded, and how.
#[derive(Debug)]
pub struct Sharding {
    source: Server,
    /// By their names on the target.
    wanted: BTreeMap<Namespace, ShardKeyOf>,
    /// What could not be done about a collection that is sharded all the same.
    notes: Mutex<BTreeMap<Namespace, String>>,
}

/// How the collections of a target stand to what was wanted.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// A line for each that is sharded.
    pub(crate) sharded: Vec<String>,
    /// A line for each that is there, and is not.
    pub(crate) failed: Vec<String>,
}

impl Sharding {
    /// Of these collections of the source, under the names that they get.
    ///
    /// # Errors
    /// When a rename leads to a name that no server takes.
    pub(crate) fn new(source: &Server, keys: &[ShardKeyOf], selection: &Selection) -> Result<Self> {
        let mut wanted = BTreeMap::new();
        for of in keys {
            if let Some(target) = selection.target(&of.namespace)? {
                wanted.insert(target, of.clone());
            }
        }
        Ok(Sharding { source: source.reading_primary(), wanted, notes: Mutex::default() })
    }

    /// The key that a collection of the target is to have.
    pub(crate) fn key(&self, namespace: &Namespace) -> Option<&ShardKey> {
        self.wanted.get(namespace).map(|of| &of.key)
    }

    /// Shards a collection that has just been created, if it is to be. `supporting` is the index of the source that serves its
    /// key, if there is one: it must be there before, as the server makes one of its own else.
    ///
    /// # Errors
    /// When the server refuses, or the collection is sharded by another key.
    pub(crate) async fn shard(&self, target: &Server, namespace: &Namespace, supporting: Option<&[u8]>) -> Result<()> {
        let Some(ShardKeyOf { namespace: from, key }) = self.wanted.get(namespace) else { return Ok(()) };
        let target = &target.reading_primary();
        let is_filled = is_filled(target, namespace).await?;
        let shards = match read::shards(target).await {
            Err(error) if error.kind() == ErrorKind::Authorization => {
                self.note(namespace, "it is not known over which shards");
                Vec::new()
            }
            shards => shards?,
        };
        let bytes = size(&self.source, from).await.1.unwrap_or(0);
        let chunks = presplit::wanted_chunks(bytes, shards.len());
        match read::of(target, namespace).await? {
            Some(there) if there.key.serves_for(key) => {}
            Some(there) => {
                let message = format!("is sharded by {}, and was to be by {key}", there.key);
                return Err(Error::new(ErrorKind::AlreadyExists, message)
                    .with_hint("drop it on the target, or name the key that it has there with --shard-key")
                    .at(namespace.to_string())
                    .at(target.place()));
            }
            None => {
                support(target, namespace, key, supporting, is_filled).await?;
                let initial = (key.begins_hashed() && !is_filled && chunks > 1).then(|| chunks.max(2 * shards.len()));
                shard(target, namespace, key, initial).await?;
            }
        }
        if is_filled || chunks < 2 || key.begins_hashed() {
            return Ok(());
        }
        let spread = async {
            let there = read::of(target, namespace).await?.ok_or_else(|| not_sharded(namespace, key))?;
            // A process before this one may have split it, at the bounds of another sample.
            let missing = chunks.saturating_sub(read::chunks(target, &there).await?.len());
            let bounds = match missing {
                0 => Vec::new(),
                _ => presplit::bounds(&self.source, from, key, chunks).await?,
            };
            presplit::spread(target, &there, &bounds, missing, &shards).await
        };
        match spread.await {
            Ok(()) => Ok(()),
            // It is only not spread before it is loaded.
            Err(error) if matches!(error.kind(), ErrorKind::Server | ErrorKind::Authorization) => {
                self.note(namespace, error.message());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn note(&self, namespace: &Namespace, why: &str) {
        let note = format!("not all of it was spread before it was loaded: {why}");
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.clone(), note);
    }

    /// What could not be done about a collection that is sharded all the same.
    pub(crate) fn note_of(&self, namespace: &Namespace) -> Option<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).get(namespace).cloned()
    }

    /// How the collections stand that are on the target.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn spread(&self, target: &Server) -> Result<Spread> {
        let target = &target.reading_primary();
        let mut spread = Spread::default();
        for (namespace, ShardKeyOf { key, .. }) in &self.wanted {
            match read::of(target, namespace).await? {
                Some(there) if there.key.serves_for(key) => {
                    let chunks = read::chunks(target, &there).await?;
                    let shards: std::collections::BTreeSet<&str> =
                        chunks.iter().map(|chunk| chunk.shard.as_str()).collect();
                    let plural =
                        |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
                    let (chunks, shards) = (plural(chunks.len(), "chunk"), plural(shards.len(), "shard"));
                    let note = self.note_of(namespace).map_or_else(String::new, |note| format!("; {note}"));
                    spread.sharded.push(format!("{namespace} by {key}, {chunks} on {shards}{note}"));
                }
                _ if options_of(target, namespace).await?.is_none() => {}
                _ => spread.failed.push(not_sharded(namespace, key).to_string()),
            }
        }
        Ok(spread)
    }
}

/// The keys of all that is to be sharded.
#[derive(Debug, Default)]
pub(crate) struct WantedKeys {
    /// By their names on the source.
    pub(crate) keys: Vec<ShardKeyOf>,
    /// Why those of the source cannot be read.
    pub(crate) unread: Option<Error>,
    /// Keys of the source that the target is too old for.
    pub(crate) unfit: Vec<ShardKeyOf>,
}

/// What is to be sharded on a target: nothing where it is no cluster; what is selected of the source's sharded collections;
/// and what the user has `given`, who knows better.
///
/// # Errors
/// When a server does not answer.
pub(crate) async fn wanted_keys(
    source: &Server,
    target: &Server,
    selection: &Selection,
    given: &[ShardKeyOf],
) -> Result<WantedKeys> {
    let mut wanted = WantedKeys::default();
    if !is_router(target).await? {
        return Ok(wanted);
    }
    wanted.keys = given.to_vec();
    if !is_router(source).await? {
        return Ok(wanted);
    }
    let of_source = match read::all(source).await {
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => {
            wanted.unread = Some(error);
            return Ok(wanted);
        }
        of_source => of_source?,
    };
    for read::Sharded { namespace, key, .. } in of_source {
        let is_taken = selection.takes(&namespace) && super::is_copied(namespace.collection());
        if !is_taken || given.iter().any(|of| of.namespace == namespace) {
            continue;
        }
        let fits = key.is_taken_by(target.version());
        if fits { &mut wanted.keys } else { &mut wanted.unfit }.push(ShardKeyOf { namespace, key });
    }
    Ok(wanted)
}

fn not_sharded(namespace: &Namespace, key: &ShardKey) -> Error {
    Error::new(ErrorKind::Server, format!("is not sharded, and was to be by {key}")).at(namespace.to_string())
}

/// Makes the index that a key needs. On an empty collection the server does so itself, unless the source has one.
async fn support(
    target: &Server,
    namespace: &Namespace,
    key: &ShardKey,
    supporting: Option<&[u8]>,
    is_filled: bool,
) -> Result<()> {
    if key.is_by_id() && !key.is_hashed() {
        return Ok(());
    }
    match supporting {
        Some(spec) if is_filled => build(target, namespace, &[spec.to_vec()], u64::MAX).await,
        Some(spec) => build_on_empty(target, namespace, &[spec.to_vec()]).await,
        None if is_filled => {
            let mut spec = RawBuilder::new();
            spec.document("key", &key.document()).string("name", key.index_name());
            if key.is_unique() {
                spec.bool("unique", true);
            }
            spec.document("collation", rawdoc! { "locale": "simple" }.as_bytes());
            build(target, namespace, &[spec.finish()], u64::MAX).await
        }
        None => Ok(()),
    }
}

/// Has the server shard a collection; in so many chunks, if that is said.
async fn shard(target: &Server, namespace: &Namespace, key: &ShardKey, initial: Option<usize>) -> Result<()> {
    let at = Namespace::new("admin", namespace.collection())?;
    let doing = Doing::new(format!("shard {namespace} by {key}"), "enableSharding", namespace.database());
    if target.version() < WITHOUT_ENABLING {
        ddl_again(target, &at, rawdoc! { "enableSharding": namespace.database() }, &doing, &ALREADY).await?;
    }
    let mut command = RawBuilder::new();
    command.string("shardCollection", namespace.to_string()).document("key", &key.document());
    if key.is_unique() {
        command.bool("unique", true);
    }
    if let Some(chunks) = initial {
        command.int32("numInitialChunks", i32::try_from(chunks).unwrap_or(i32::MAX));
    }
    let options = options_of(target, namespace).await?.unwrap_or_default();
    if crate::document::find(&options, b"collation").is_some() {
        command.document("collation", rawdoc! { "locale": "simple" }.as_bytes());
    }
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    ddl_again(target, &at, command, &doing, &ALREADY).await.map_err(|error| match error.kind() {
        ErrorKind::Authorization => error.with_hint(format!(
            "it needs the action 'enableSharding' on '{}', which the role 'clusterManager' on the database 'admin' gives",
            namespace.database()
        )),
        ErrorKind::Server => error.with_hint("name another key with --shard-key NS=KEY, or shard it by hand when it is moved"),
        _ => error,
    })
}
