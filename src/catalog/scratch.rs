//! Scratch collections: made on a server to try something, and dropped again; and what is left of them and of other work by who is
//! interrupted or killed.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};

use super::apply::{drop, existing};
use crate::{
    connect::Server,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// How the names of scratch collections begin, before 16 hexadecimal digits.
const SCRATCH: &str = "transload_scratch_";
/// How long an interrupted restore waits for them to be dropped.
const SWEEP: Duration = Duration::from_secs(3);

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
    /// Whether what is found may be what the same work has left when it was killed.
    goes_on: bool,
}

impl Footprint {
    /// The same of work whose scratch collections are known by a number; `goes_on` says whether it takes what it finds for its own.
    pub(crate) fn known_by(number: u32, goes_on: bool) -> Self {
        Footprint { scratches: Scratches::known_by(number), goes_on, ..Footprint::default() }
    }

    /// Whether what is found may be what the same work has left when it was killed.
    pub(crate) fn goes_on_after_a_kill(&self) -> bool {
        self.goes_on
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
    /// Those of work that goes on after a kill: this number is in their names, so that [`sweep_left`] finds them.
    pub(crate) fn known_by(number: u32) -> Self {
        Scratches { known_by: Some(number), ..Scratches::default() }
    }

    /// A name that no other collection has.
    pub(crate) fn begin(&self, database: &str) -> Result<Namespace> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::interrupted());
        }
        let random = random()?;
        let digits = self.known_by.map_or(random, |number| (u64::from(number) << 32) | (random >> 32));
        let scratch = named(database, digits)?;
        self.names().push(scratch.clone());
        Ok(scratch)
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

/// Drops those that work that is known by `number` has left in some databases when it was killed.
///
/// # Errors
/// What the server says.
pub(crate) async fn sweep_left(server: &Server, number: u32, databases: &BTreeSet<String>) -> Result<()> {
    let beginning = format!("{SCRATCH}{number:08x}");
    for database in databases {
        for name in existing(server, database).await?.into_keys() {
            if is_scratch(&name) && name.starts_with(&beginning) {
                drop(server, &Namespace::new(database.as_str(), name)?).await?;
            }
        }
    }
    Ok(())
}

/// A number for work that goes on after a kill; never 0.
///
/// # Errors
/// When the operating system has no random bytes.
pub(crate) fn new_number() -> Result<u32> {
    Ok(((random()? >> 32) as u32).max(1))
}

/// A name that no other collection has.
pub(crate) fn scratch(database: &str) -> Result<Namespace> {
    named(database, random()?)
}

fn named(database: &str, digits: u64) -> Result<Namespace> {
    Namespace::new(database, format!("{SCRATCH}{digits:016x}"))
}

fn random() -> Result<u64> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes for the name of a collection: {error}")))?;
    Ok(u64::from_le_bytes(random))
}
