//! Where index specs are: on a server or in a file, told by the argument and the file's first bytes.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Serialize;
use transload_format::MAGIC;

use crate::error::{Error, ErrorKind, Result};

/// What kind of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A server.
    Server,
    /// An archive of this program.
    Archive,
    /// The sidecar of one.
    Sidecar,
    /// A directory of mongodump, one of a database inside it, or one metadata file.
    Mongodump,
}

/// Where index specs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The server that this connection string, `env:NAME` or `@FILE` names.
    Server(String),
    /// A file or directory.
    File(PlaceKind, PathBuf),
}

impl Place {
    /// Understands an argument. A file whose name begins with `@` or `env:` is written with `./` before it.
    ///
    /// # Errors
    /// When there is no such file, or it is nothing that holds index specs.
    pub fn of(argument: &str) -> Result<Self> {
        if ["mongodb://", "mongodb+srv://", "env:", "@"].iter().any(|front| argument.starts_with(front)) {
            return Ok(Place::Server(argument.to_owned()));
        }
        let path = Path::new(argument);
        // A connection string with a slip in it must not be repeated as if it were a path.
        if argument.contains("://") || (argument.contains('@') && !path.exists()) {
            return Ok(Place::Server(argument.to_owned()));
        }
        let kind = kind(path)?;
        Ok(Place::File(kind, path.to_owned()))
    }
}

/// Bytes of a file that are looked at.
const HEAD: u64 = 4096;

/// Whether it begins as an object does; some editors put a mark before the first character.
fn is_json(head: &[u8]) -> bool {
    head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start().starts_with(b"{")
}

fn kind(path: &Path) -> Result<PlaceKind> {
    let fail = |error| {
        Error::io(path, error).with_hint(
            "it is a connection string, env:NAME or @FILE, or the path of an archive, a sidecar or a mongodump directory",
        )
    };
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Ok(PlaceKind::Mongodump);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".metadata.json") || name.ends_with(".metadata.json.gz") {
        return Ok(PlaceKind::Mongodump);
    }
    if name.ends_with(".indexes.json") {
        return Ok(PlaceKind::Sidecar);
    }
    let mut head = Vec::new();
    file.take(HEAD).read_to_end(&mut head).map_err(fail)?;
    let is_archive = head.starts_with(&MAGIC);
    // Whatever is called an archive, or is one of another tool's, is told by the reader of archives what it is.
    if is_archive || name.ends_with(".tlz") || name.ends_with(".tlz.partial") || !is_json(&head) {
        return Ok(PlaceKind::Archive);
    }
    if String::from_utf8_lossy(&head).contains("\"sidecar\"") {
        return Ok(PlaceKind::Sidecar);
    }
    Err(Error::new(ErrorKind::Usage, "is no archive, no sidecar, and no metadata of mongodump")
        .with_hint("a sidecar begins with \"sidecar\", or is called NAME.indexes.json; a metadata file is called NAME.metadata.json")
        .at(path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_its_name_and_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Place::of(path.to_str().unwrap()).map(|place| match place {
                Place::File(kind, _) => kind,
                Place::Server(_) => PlaceKind::Server,
            })
        };
        assert_eq!(at("backup", &MAGIC).unwrap(), PlaceKind::Archive);
        assert_eq!(at("a.tlz", b"no").unwrap(), PlaceKind::Archive);
        assert_eq!(at("a.indexes.json", b"{}").unwrap(), PlaceKind::Sidecar);
        assert_eq!(at("a.metadata.json", b"{}").unwrap(), PlaceKind::Mongodump);
        assert_eq!(at("a.metadata.json.gz", &[0x1f, 0x8b]).unwrap(), PlaceKind::Mongodump);
        assert_eq!(at("notes.json", b"{\"notes\"").unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(at("mine.json", b"{\n \"sidecar\": 1").unwrap(), PlaceKind::Sidecar);
        assert_eq!(at("mine", "\u{feff} {\"sidecar\": 1".as_bytes()).unwrap(), PlaceKind::Sidecar);
        assert_eq!(Place::of("no such file").unwrap_err().kind(), ErrorKind::NotFound);
        for server in ["mongodb://a/", "mongodb+srv://a/", "env:SOURCE", "@uri", "mongo://u:p@a/", "u:p@a/shop"] {
            assert_eq!(Place::of(server).unwrap(), Place::Server(server.to_owned()));
        }
        let Place::File(kind, _) = Place::of(folder.path().to_str().unwrap()).unwrap() else { panic!("a directory") };
        assert_eq!(kind, PlaceKind::Mongodump);
    }
}
