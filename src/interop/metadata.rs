//! `metadata.json`, in which mongodump keeps a collection's options and index specs beside its documents.
//!
//! A file is changed in its text, and only where a spec is: what this program does not know in it, its order and its
//! white space stay as they are.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use bson::Bson;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::file_name;
use crate::{
    document::EMPTY,
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
    plain_json::{Once, plain},
    replace::replace,
};

/// No metadata of 64 indexes comes near this; what does is no metadata.
const LARGEST: u64 = 64 << 20;

/// The metadata of one collection.
#[derive(Clone, Debug)]
pub struct MetadataFile {
    /// Where it is.
    pub path: PathBuf,
    /// The collection.
    pub namespace: Namespace,
    /// The collection's options, as a raw document.
    pub options: Vec<u8>,
    /// Its index specs, as raw documents.
    pub indexes: Vec<Vec<u8>>,
    text: String,
    is_compressed: bool,
    /// Where in the text the array of specs is, and each spec.
    array: Range<usize>,
    specs: Vec<Range<usize>>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    options: Option<&'a RawValue>,
    #[serde(borrow)]
    indexes: Option<&'a RawValue>,
    #[serde(rename = "collectionName")]
    collection_name: Option<String>,
}

impl MetadataFile {
    /// Reads a file; `database` is the name of the database that it is in.
    ///
    /// # Errors
    /// When it cannot be read, is no metadata, or means two things.
    fn read(path: PathBuf, database: &str) -> Result<Self> {
        let at = |error: Error| error.at(path.display().to_string());
        let (text, is_compressed) = text_of(&path).map_err(at)?;
        let malformed = |error: serde_json::Error| {
            at(Error::new(ErrorKind::Damaged, format!("is no metadata of mongodump: {error}")))
        };
        // A tool that was killed leaves an empty one, and there is nothing wrong with its indexes.
        let metadata = match text.trim().is_empty() {
            true => Metadata::default(),
            false => serde_json::from_str::<Metadata<'_>>(&text).map_err(malformed)?,
        };
        let array = metadata.indexes.map_or("", RawValue::get);
        let elements: Vec<&RawValue> = match array {
            "" => Vec::new(),
            array => serde_json::from_str(array).map_err(malformed)?,
        };
        let indexes = elements.iter().enumerate();
        let indexes = indexes
            .map(|(number, spec)| document(&text, spec).map_err(|error| at(error.at(format!("index {number}")))));
        let indexes: Vec<Vec<u8>> = indexes.collect::<Result<_>>()?;
        let specs = elements.iter().map(|spec| range(&text, spec.get())).collect();
        let array = range(&text, array);
        let name = metadata.collection_name.or_else(|| file_name::collection(&path)).unwrap_or_default();
        let namespace = Namespace::new(database, name).map_err(at)?;
        let options = match metadata.options.filter(|options| options.get() != "null") {
            Some(options) => document(&text, options).map_err(|error| at(error.at("options")))?,
            None => EMPTY.to_vec(),
        };
        Ok(MetadataFile { path, namespace, options, indexes, text, is_compressed, array, specs })
    }

    /// Writes the file anew in one step, each spec as `become_of` has it.
    ///
    /// # Errors
    /// When a spec is malformed, or what the operating system says; then the file is as it was.
    pub fn rewrite(&self, become_of: impl Fn(usize) -> Rewrite) -> Result<()> {
        let text = self.rewritten(become_of)?;
        let bytes = match self.is_compressed {
            false => text.into_bytes(),
            true => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
                compressed.map_err(|error| Error::io(&self.path, error))?
            }
        };
        replace(&self.path, &bytes)
    }

    fn rewritten(&self, become_of: impl Fn(usize) -> Rewrite) -> Result<String> {
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let mut text = part(0..self.array.start).to_owned();
        let first = self.specs.first().map_or(self.array.end, |spec| spec.start);
        text.push_str(part(self.array.start..first));
        let (mut end, mut any) = (first, false);
        for (number, spec) in self.specs.iter().enumerate() {
            let separator = part(end..spec.start);
            end = spec.end;
            let this = match become_of(number) {
                Rewrite::Keep => part(spec.clone()).to_owned(),
                Rewrite::Replace(clean) => extjson::to_string(&clean)?,
                Rewrite::Remove => continue,
            };
            // The comma before the first that stays went with the one that was in front of it.
            text.push_str(if any { separator } else { "" });
            text.push_str(&this);
            any = true;
        }
        text.push_str(part(end..self.text.len()));
        Ok(text)
    }
}

/// A metadata file of which the name at least is known.
#[derive(Debug)]
pub struct FoundMetadata {
    /// The collection: as the file has it, or, of one that cannot be read, as the file is called.
    pub namespace: Namespace,
    /// What is in it, or what is wrong with it.
    pub file: Result<MetadataFile>,
}

impl FoundMetadata {
    fn read(path: PathBuf, database: &str) -> Result<Self> {
        let name = file_name::collection(&path).unwrap_or_default();
        match MetadataFile::read(path, database) {
            Ok(file) => Ok(FoundMetadata { namespace: file.namespace.clone(), file: Ok(file) }),
            Err(error) => match Namespace::new(database, name) {
                Ok(namespace) => Ok(FoundMetadata { namespace, file: Err(error) }),
                Err(_) => Err(error),
            },
        }
    }
}

/// What becomes of a spec in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewrite {
    /// Its text stays.
    Keep,
    /// This stands in its place.
    Replace(Vec<u8>),
    /// It is taken out.
    Remove,
}

/// The metadata files at `path`: a directory that mongodump wrote, the one of a database inside it, or one such file.
///
/// # Errors
/// When there are none, or a directory cannot be read. What is wrong with a file is no matter to who leaves it out.
pub fn metadata_files(path: &Path) -> Result<Vec<FoundMetadata>> {
    let mut found = Vec::new();
    let real = fs::canonicalize(path).map_err(|error| Error::io(path, error))?;
    if real.is_dir() {
        let mut paths = entries(path)?;
        paths.sort();
        for path in paths {
            if file_name::is_metadata(&path) {
                found.push((path, database_name(real.file_name())));
            } else if path.is_dir() {
                let database = database_name(path.file_name());
                let mut files = entries(&path)?;
                files.sort();
                let files = files.into_iter().filter(|file| file_name::is_metadata(file));
                found.extend(files.map(|file| (file, database.clone())));
            }
        }
    } else {
        found.push((path.to_owned(), database_name(real.parent().and_then(Path::file_name))));
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "holds no metadata.json, and so no indexes")
            .with_hint("a directory of mongodump has one directory for each database, with a NAME.metadata.json for each collection")
            .at(path.display().to_string()));
    }
    found.into_iter().map(|(path, database)| FoundMetadata::read(path, &database)).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error| Error::io(folder, error);
    let entries = fs::read_dir(folder).map_err(fail)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect()
}

/// The database that a directory is called after. A single file may lie anywhere.
fn database_name(folder: Option<&OsStr>) -> String {
    match folder.map(OsStr::to_string_lossy) {
        Some(name) if !name.is_empty() && !name.contains('.') => name.into_owned(),
        _ => "(unknown)".to_owned(),
    }
}

fn text_of(path: &Path) -> Result<(String, bool)> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let fail = |error| Error::io(path, error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)).map_err(fail)?;
    let is_compressed = bytes.starts_with(&GZIP);
    if is_compressed {
        let mut raw = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).take(LARGEST).read_to_end(&mut raw).map_err(fail)?;
        bytes = raw;
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::Damaged, "is no UTF-8 text"))?;
    Ok((text, is_compressed))
}

/// Extended JSON of any kind that mongodump has written, as a raw document. Of two values of one name nobody would know
/// which is meant.
fn document(text: &str, json: &RawValue) -> Result<Vec<u8>> {
    let unfit = |why: String| Error::new(ErrorKind::Damaged, why);
    let Once(value) = serde_json::from_str(json.get()).map_err(|error| {
        let before = text.get(..range(text, json.get()).start).unwrap_or_default().matches('\n').count();
        unfit(format!("line {}: {}", before.saturating_add(error.line()), plain(&error)))
    })?;
    match Bson::try_from(serde_json::Value::Object(value)).map_err(|error| unfit(error.to_string()))? {
        Bson::Document(document) => bson::serialize_to_vec(&document).map_err(|error| unfit(error.to_string())),
        _ => Err(unfit("it is no document".to_owned())),
    }
}

/// Where in `text` a piece of it is.
fn range(text: &str, piece: &str) -> Range<usize> {
    let start = (piece.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    if piece.is_empty() || start > text.len() { text.len()..text.len() } else { start..start + piece.len() }
}

#[cfg(test)]
mod tests;
