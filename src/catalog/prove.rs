//! Proves index specs on a server before any document is there: built on an empty scratch collection, and dropped.
//!
//! What a server takes is the server's to say, and the time to hear it is before hours of loading. Collections with
//! the same options share a scratch collection, and equal specs are built once.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use transload_format::Collection;

use super::{
    apply::{create_for, drop, existing},
    build::create_indexes,
};
use crate::{
    connect::Server,
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// How the names of scratch collections begin, before 16 hexadecimal digits.
const SCRATCH: &str = "transload_scratch_";

/// Whether a name is one of a scratch collection. One that is left over from a crash is not copied.
pub(crate) fn is_scratch(name: &str) -> bool {
    let digits = name.strip_prefix(SCRATCH);
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What a restore that does not finish leaves on its target.
#[derive(Debug, Default)]
pub struct Footprint {
    /// Scratch collections.
    pub scratches: Scratches,
    /// Commands sent that may have changed something else.
    commands: AtomicUsize,
}

impl Footprint {
    /// Of work that goes on after a kill: its scratch collections are known by this number.
    pub(crate) fn known_by(number: u32) -> Self {
        let scratches = Scratches { known_by: Some(number), ..Scratches::default() };
        Footprint { scratches, ..Footprint::default() }
    }

    /// Whether what is found may be what the same work has left when it was killed.
    pub(crate) fn goes_on_after_a_kill(&self) -> bool {
        self.scratches.known_by.is_some()
    }

    /// Runs a command, and notes it before it is sent. Only one that was not permitted has certainly changed nothing.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn note<T>(&self, command: impl Future<Output = Result<T>>) -> Result<T> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        let outcome = command.await;
        if matches!(&outcome, Err(error) if error.kind() == ErrorKind::Authorization) {
            self.commands.fetch_sub(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Whether anything may have been written, scratch collections aside.
    pub fn is_any(&self) -> bool {
        self.commands.load(Ordering::Relaxed) > 0
    }
}

/// The scratch collections that are there just now: whoever is interrupted drops them.
#[derive(Debug, Default)]
pub struct Scratches {
    names: Mutex<Vec<Namespace>>,
    stopped: AtomicBool,
    /// What the first half of the digits in their names is, if those of a process that was killed are to be found.
    known_by: Option<u32>,
}

impl Scratches {
    /// A name that no other collection has.
    pub(crate) fn begin(&self, database: &str) -> Result<Namespace> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        let scratch = match self.known_by {
            None => scratch(database)?,
            Some(number) => scratch_of(database, (u64::from(number) << 32) | (random()? >> 32))?,
        };
        self.names().push(scratch.clone());
        Ok(scratch)
    }

    /// Drops those that the same work has left in a database when it was killed.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn sweep_left(&self, server: &Server, database: &str) -> Result<()> {
        let Some(number) = self.known_by else { return Ok(()) };
        let beginning = format!("{SCRATCH}{number:08x}");
        for name in existing(server, database).await?.into_keys() {
            if is_scratch(&name) && name.starts_with(&beginning) {
                drop(server, &Namespace::new(database, name)?).await?;
            }
        }
        Ok(())
    }

    pub(crate) fn ended(&self, scratch: &Namespace) {
        self.names().retain(|other| other != scratch);
    }

    /// Lets no more of them begin, and waits for those that there are. While this is awaited, what uses them must be
    /// polled: a command that is given up could make a collection again after it was dropped.
    pub async fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        while !self.names().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Drops what is left, as far as the server answers soon.
    pub async fn sweep(&self, server: &Server) {
        let left = std::mem::take(&mut *self.names());
        let all = stream::iter(left).for_each_concurrent(None, async |scratch| {
            // What stays is named as such by the next dump.
            let _ = drop(server, &scratch).await;
        });
        let _ = tokio::time::timeout(SWEEP, all).await;
    }

    fn names(&self) -> MutexGuard<'_, Vec<Namespace>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
/// Indexes of a scratch collection; a server takes 64 with the one on `_id`.
const INDEXES: usize = 60;
/// How long an interrupted restore waits for them to be dropped.
const SWEEP: Duration = Duration::from_secs(3);
/// Scratch collections that are looked at for room.
const ROUNDS_SEARCHED: usize = 64;

/// Specs to prove.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The database that they are meant for.
    pub database: &'a str,
    /// The collection that they are meant for: its options count.
    pub collection: &'a Collection,
    /// The clean specs.
    pub specs: Vec<&'a [u8]>,
}

/// What stands for all collections of a database with the same options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Likeness<'a> {
    database: &'a str,
    options: &'a [u8],
}

/// Why the server refuses each spec of each claim; none if it takes it. Nothing at all if the user may not make a
/// scratch collection and drop it again: then it will show when the indexes are built.
///
/// # Errors
/// When the server does not answer, or fails to make a scratch collection.
pub async fn prove(
    server: &Server,
    scratches: &Scratches,
    claims: &[Claim<'_>],
    parallel: usize,
) -> Result<Option<Vec<Vec<Option<String>>>>> {
    let mut rounds: Vec<(Likeness<'_>, &Collection, Vec<&[u8]>)> = Vec::new();
    let mut seen: HashMap<(Likeness<'_>, &[u8]), (usize, usize)> = HashMap::new();
    for claim in claims {
        let likeness = Likeness { database: claim.database, options: &claim.collection.options };
        for spec in &claim.specs {
            if seen.contains_key(&(likeness.clone(), *spec)) {
                continue;
            }
            let room = |(other, _, specs): &(Likeness<'_>, _, Vec<&[u8]>)| {
                *other == likeness && specs.len() < INDEXES && !specs.iter().any(|other| would_clash(other, spec))
            };
            // The last ones only: among thousands of specs that clash with each other a search would take for ever.
            let first = rounds.len().saturating_sub(ROUNDS_SEARCHED);
            let found = rounds.iter().enumerate().skip(first).find(|(_, round)| room(round)).map(|(place, _)| place);
            let round = found.unwrap_or_else(|| {
                rounds.push((likeness.clone(), claim.collection, Vec::new()));
                rounds.len() - 1
            });
            if let Some((_, _, specs)) = rounds.get_mut(round) {
                seen.insert((likeness.clone(), *spec), (round, specs.len()));
                specs.push(*spec);
            }
        }
    }
    let one = |(likeness, collection, specs): &(Likeness<'_>, &Collection, Vec<&[u8]>)| {
        on_scratch(
            server,
            scratches,
            likeness.database.to_owned(),
            (*collection).clone(),
            specs.iter().map(|s| s.to_vec()).collect(),
        )
    };
    let proven: Result<Vec<_>> = stream::iter(rounds.iter().map(one)).buffered(parallel.max(1)).try_collect().await;
    let proven = match proven {
        Err(error) if error.kind() == ErrorKind::Authorization => return Ok(None),
        proven => proven?,
    };
    let of = |claim: &Claim<'_>| {
        let likeness = Likeness { database: claim.database, options: &claim.collection.options };
        let reason = |spec: &&[u8]| {
            let (round, place) = seen.get(&(likeness.clone(), *spec))?;
            proven.get(*round)?.get(*place)?.clone()
        };
        claim.specs.iter().map(reason).collect()
    };
    Ok(Some(claims.iter().map(of).collect()))
}

/// Whether a collection cannot have both: by their names, by their keys, or because each is a text index.
fn would_clash(one: &[u8], other: &[u8]) -> bool {
    let same = |name| document::find(one, name).map(|a| a.value) == document::find(other, name).map(|b| b.value);
    let text = |spec: &[u8]| {
        let key = document::find(spec, b"key").map_or(&[][..], |key| key.value);
        document::elements(key).map_while(Result::ok).any(|key| key.string() == Some(b"text"))
    };
    same(b"name") || same_key(one, other) || (text(one) && text(other))
}

fn same_key(one: &[u8], other: &[u8]) -> bool {
    let names = |spec| {
        let key = document::find(spec, b"key").map_or(&[][..], |key| key.value);
        document::elements(key).map_while(Result::ok).map(|key| key.name.to_vec()).collect::<Vec<_>>()
    };
    names(one) == names(other)
}

/// A name that no other collection has.
pub(crate) fn scratch(database: &str) -> Result<Namespace> {
    scratch_of(database, random()?)
}

fn scratch_of(database: &str, number: u64) -> Result<Namespace> {
    Namespace::new(database, format!("{SCRATCH}{number:016x}"))
}

fn random() -> Result<u64> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes for the name of a collection: {error}")))?;
    Ok(u64::from_le_bytes(random))
}

async fn on_scratch(
    server: &Server,
    scratches: &Scratches,
    database: String,
    collection: Collection,
    specs: Vec<Vec<u8>>,
) -> Result<Vec<Option<String>>> {
    let scratch = scratches.begin(&database)?;
    // Who may not drop it must not make it.
    drop(server, &scratch).await?;
    let doing = format!("prove index specs on a scratch collection of {}", scratch.database());
    let proven = match create_for(server, &scratch, &collection, doing, &server.write_concern()).await {
        Ok(()) => create_indexes(server, &scratch, &specs, 0).await,
        Err(error) => Err(error),
    };
    // Whatever came of it, nothing must stay; of two errors the first is the cause.
    let dropped = drop(server, &scratch).await;
    scratches.ended(&scratch);
    proven.and_then(|proven| dropped.map(|()| proven)).map_err(|error| error.at(collection.namespace))
}
