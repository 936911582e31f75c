//! The journal of a repair on a server: a file that has every spec from before the first index is dropped until all of
//! them are there again, so that a repair that was killed can be finished.
//!
//! It has the form of a sidecar, stands in the directory that the repair runs in, and is named after the replica set,
//! or the hosts. Nothing of it is kept on the server,
//! which is not ours to write notes on.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind as IoErrorKind,
    path::{Path, PathBuf},
};

use super::collection::Collection;
use crate::{
    catalog::{
        index_spec::Verdict,
        is_scratch,
        sidecar::{CleanIndex, CollectionIndexes, NotBuilt, Sidecar},
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    replace::{put_locked, remove},
};

/// Characters of a journal's name: file systems take 255 bytes.
const NAME: usize = 150;
/// What stands before and behind what is of the server in it.
const PREFIX: &str = "transload-repair-";
const SUFFIX: &str = ".indexes.json";

/// The journal of repairs of one server.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) path: PathBuf,
    server: String,
    /// What an earlier repair has left, as it was read.
    before: Option<(String, Sidecar)>,
    /// A word about each other journal in the directory: it may be of this server under another name.
    pub(super) others: Vec<String>,
    /// Locked while this repair is under way.
    held: Vec<File>,
}

impl Journal {
    /// Looks for the journal that an earlier repair of this server has left in `directory`.
    ///
    /// # Errors
    /// When the file of its name cannot be read, is no journal, or is that of another server.
    pub(super) async fn read(server: &Server, directory: &Path) -> Result<Self> {
        let identity = server.identity().await?;
        let path = directory.join(file_name(&identity));
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == IoErrorKind::NotFound => None,
            Err(error) => return Err(unusable(Error::io(&path, error))),
        };
        let read = |text: String| {
            let listed =
                understand(&text, &identity).map_err(|error| unusable(error.at(path.display().to_string())))?;
            Ok((text, listed)) as Result<_>
        };
        let before = before.map(read).transpose()?;
        let others = others(directory, &path, &identity);
        Ok(Journal { path, server: identity, before, others, held: Vec::new() })
    }

    /// The collections that an earlier repair has left in it.
    pub(super) fn left(&self) -> &[CollectionIndexes] {
        self.before.as_ref().map_or(&[], |(_, listed)| &listed.collections)
    }

    /// The collections on which an earlier repair has tried specs.
    pub(super) fn scratches(&self) -> &[String] {
        self.before.as_ref().map_or(&[], |(_, listed)| &listed.scratch)
    }

    /// Whether an earlier repair has left it.
    pub(super) fn is_left(&self) -> bool {
        self.before.is_some()
    }

    /// Whether that repair is under way still.
    pub(super) fn is_held(&self) -> bool {
        self.is_left() && is_locked(&self.path)
    }

    /// Writes it, before anything is changed, with all these indexes, and the collections that specs are going to
    /// be tried on: what was left in it is among them. When
    /// it returns, it is on the disk, and no other repair has it.
    ///
    /// # Errors
    /// When it cannot be written, or another repair is under way.
    pub(super) fn begin(&mut self, collections: Vec<CollectionIndexes>, scratch: Vec<String>) -> Result<()> {
        let place = || self.path.display().to_string();
        let all = Sidecar { server: Some(self.server.clone()), scratch, collections, ..Sidecar::default() };
        let text = all.to_json()?;
        let before = match &self.before {
            None => None,
            Some((before, _)) => {
                let file = File::open(&self.path).map_err(|error| unwritten(Error::io(&self.path, error)))?;
                if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                    return Err(held_by_another().at(place()));
                }
                let now = fs::read_to_string(&self.path).map_err(|error| unwritten(Error::io(&self.path, error)))?;
                if now != *before {
                    return Err(Error::new(ErrorKind::AlreadyExists, "it has changed since it was read")
                        .with_hint("run the same command again; nothing was changed")
                        .at(place()));
                }
                Some(file)
            }
        };
        let held = put_locked(&self.path, text.as_bytes(), before.is_some()).map_err(|error| match error.kind() {
            // There was none when this repair looked: one that has begun at the same moment was first.
            ErrorKind::AlreadyExists => held_by_another().at(place()),
            _ => unwritten(error),
        })?;
        // Another repair may be waiting with the one that it has read, which has another lock.
        self.held = [Some(held), before].into_iter().flatten().collect();
        Ok(())
    }

    /// Keeps a copy of what an earlier repair has left, under a name that nothing else has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_old(&self) -> Result<PathBuf> {
        let text = self.before.as_ref().map_or("", |(text, _)| text);
        let mut number = 0_u32;
        loop {
            let mut old = self.path.as_os_str().to_owned();
            old.push(if number == 0 { ".old".to_owned() } else { format!(".old.{number}") });
            let old = PathBuf::from(old);
            match put_locked(&old, text.as_bytes(), false) {
                // What was kept by a repair that was cut after that need not be kept twice.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if fs::read(&old).is_ok_and(|kept| kept == text.as_bytes()) {
                        return Ok(old);
                    }
                }
                Err(error) => return Err(unwritten(error)),
                Ok(_) => return Ok(old),
            }
            number = number.saturating_add(1);
        }
    }

    /// Every index is there: it has done its work.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn end(self) -> Result<()> {
        remove(&self.path)
    }
}

/// What is going to be done in a collection, for the journal.
pub(super) fn record(collection: &Collection) -> Option<CollectionIndexes> {
    let mut record = CollectionIndexes::new(collection.namespace.to_string());
    record.uuid.clone_from(&collection.uuid);
    for index in collection.bad() {
        let (original, repairs) = (index.original.clone(), index.repairs.clone());
        match &index.verdict {
            Verdict::Build(spec) => {
                record.indexes.push(CleanIndex { spec: spec.clone(), original: Some(original), repairs })
            }
            Verdict::Merged(other) => record.not_built.push(NotBuilt {
                name: index.name.clone(),
                original,
                served_by: Some(other.clone()),
                reason: format!("{other} serves for it"),
                repairs,
            }),
            // Nothing is done about them.
            Verdict::Refused(_) | Verdict::Inherent => {}
        }
    }
    (!record.indexes.is_empty() || !record.not_built.is_empty()).then_some(record)
}

/// The name of the journal of this server. Servers that come to one name are told apart by what stands in the file.
fn file_name(identity: &str) -> String {
    let name = identity.split_once('/').map_or(identity, |(set, _)| set);
    let plain = |char: char| if char.is_ascii_alphanumeric() || "-.".contains(char) { char } else { '_' };
    format!("{PREFIX}{}{SUFFIX}", name.chars().map(plain).take(NAME).collect::<String>())
}

/// What is said of the other journals in a directory. One that cannot be listed has none that could be told of.
fn others(directory: &Path, own: &Path, identity: &str) -> Vec<String> {
    let listed = fs::read_dir(if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
    let names = listed.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_journal = |name: &String| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    let mut paths: Vec<PathBuf> = names.filter(is_journal).map(|name| directory.join(name)).collect();
    paths.retain(|path| path != own);
    paths.sort();
    let of = |path: PathBuf| {
        let shown = path.display();
        let read = fs::read_to_string(&path).map_err(|error| Error::io(&path, error));
        let server = read.and_then(|text| Sidecar::parse(&text)).map(|listed| listed.server);
        let Ok(Some(server)) = server else {
            return format!("{shown} has the name of the journal of a repair, and cannot be read as one");
        };
        let how = if is_locked(&path) { "is under way" } else { "was cut" };
        format!(
            "{shown} is the journal of a repair that {how}, of {server}: another server than {identity}, or another \
             spelling of this one; the repair of a server that is spelled as it is there goes on from it"
        )
    };
    paths.into_iter().map(of).collect()
}

/// Whether a repair has it that is under way.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn understand(text: &str, identity: &str) -> Result<Sidecar> {
    let listed = Sidecar::parse(text)?;
    // These are dropped: nothing else may stand there.
    let other = listed.scratch.iter().find(|name| !name.split_once('.').is_some_and(|(_, name)| is_scratch(name)));
    if let Some(other) = other {
        return Err(Error::new(ErrorKind::Usage, format!("\"scratch\" lists {other}, which no repair has made")));
    }
    match &listed.server {
        Some(server) if is_same(server, identity) => Ok(listed),
        Some(server) => {
            Err(Error::new(ErrorKind::AlreadyExists, format!("it is of a repair of {server}, and this is {identity}")))
        }
        None => Err(Error::new(ErrorKind::AlreadyExists, "it is a sidecar, and not the journal of a repair")),
    }
}

/// Whether two identities are of one server: of a set, members come and go, but not all at once.
fn is_same(one: &str, other: &str) -> bool {
    match (one.split_once('/'), other.split_once('/')) {
        (Some((set, hosts)), Some((other_set, others))) => {
            set == other_set && hosts.split(',').any(|host| others.split(',').any(|other| other == host))
        }
        _ => one == other,
    }
}

fn held_by_another() -> Error {
    Error::new(ErrorKind::AlreadyExists, "another repair of this server has it")
        .with_hint("wait for it to end; nothing was changed")
}

fn unusable(error: Error) -> Error {
    error.with_hint(
        "the journal of a repair of this server has this name: mend it, or move it away if every index that it lists is \
         there, or run the command in another directory",
    )
}

fn unwritten(error: Error) -> Error {
    error.with_hint(
        "the journal of the repair must be written before an index is dropped: run the command in a directory that you \
         may write to; nothing was changed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_named_after_the_set_or_the_hosts() {
        assert_eq!(file_name("rs 0/a:1,b:2"), "transload-repair-rs_0.indexes.json");
        assert_eq!(file_name("a.example:27017,[::1]:2"), "transload-repair-a.example_27017____1__2.indexes.json");
        assert!(file_name(&"h".repeat(1000)).len() < 255);
    }

    #[test]
    fn a_set_is_the_same_while_one_member_is() {
        assert!(is_same("rs/a:1,b:2", "rs/b:2,c:3"));
        assert!(!is_same("rs/a:1", "rs/b:2") && !is_same("rs/a:1", "other/a:1") && !is_same("rs/a:1", "a:1"));
        assert!(is_same("a:1", "a:1"));
    }

    #[test]
    fn of_two_repairs_begun_at_one_moment_the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transload-repair-rs.indexes.json");
        let server = "rs/a:1".to_owned();
        let none = || Journal {
            path: path.clone(),
            server: server.clone(),
            before: None,
            others: Vec::new(),
            held: Vec::new(),
        };
        let (mut first, mut second) = (none(), none());
        first.begin(Vec::new(), Vec::new()).unwrap();
        let text = fs::read(&path).unwrap();
        let refused = second.begin(Vec::new(), vec!["shop.transload_scratch_0123456789abcdef".to_owned()]).unwrap_err();
        assert_eq!(refused.to_string(), format!("{}: another repair of this server has it", path.display()));
        assert_eq!(refused.hint(), Some("wait for it to end; nothing was changed"));
        assert_eq!(fs::read(&path).unwrap(), text);
    }

    #[test]
    fn what_is_no_journal_of_this_server_is_refused() {
        let of = |server: Option<&str>| Sidecar { server: server.map(str::to_owned), ..Sidecar::default() };
        let read = |sidecar: Sidecar| understand(&sidecar.to_json().unwrap(), "rs/a:1");
        assert!(read(of(Some("rs/a:1,b:2"))).is_ok());
        assert_eq!(
            read(of(Some("rs/b:2"))).unwrap_err().to_string(),
            "it is of a repair of rs/b:2, and this is rs/a:1"
        );
        assert_eq!(read(of(None)).unwrap_err().to_string(), "it is a sidecar, and not the journal of a repair");
        let scratch = |name: &str| Sidecar { scratch: vec![name.to_owned()], ..of(Some("rs/a:1")) };
        assert!(read(scratch("shop.transload_scratch_0123456789abcdef")).is_ok());
        assert!(read(scratch("shop.orders")).is_err() && read(scratch("orders")).is_err());
        assert!(understand("", "rs/a:1").is_err());
    }
}
