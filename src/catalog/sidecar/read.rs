//! Reads a sidecar that a person may have edited, and says where it does not make sense.

use std::{fs, path::Path};

use bson::Bson;
use serde::Deserialize;
use serde_json::{Map, Value};
use transload_format::CollectionType;

use super::{CleanIndex, CollectionIndexes, NotBuilt, Sidecar, SidecarText, VERSION};
use crate::{
    catalog::index_spec::Repair,
    error::{Error, ErrorKind, Result},
    plain_json::{Once, plain, plain_value},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sidecar: u64,
    #[serde(default)]
    archive: Option<String>,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    scratch: Vec<String>,
    collections: Vec<Collection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collection {
    namespace: String,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    options: Option<Once>,
    indexes: Vec<Index>,
    #[serde(default)]
    not_built: Vec<Left>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    spec: Once,
    #[serde(default)]
    original: Option<Once>,
    #[serde(default)]
    repairs: Vec<Repair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Left {
    name: String,
    reason: String,
    #[serde(default)]
    served_by: Option<String>,
    original: Once,
    #[serde(default)]
    repairs: Vec<Repair>,
}

impl Sidecar {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is no sidecar: with the line and the reason. The journal of a repair, which has the same
    /// form, is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
        let read = || {
            let sidecar = Sidecar::parse(&text)?;
            sidecar.refuse_journal()?;
            Ok(Sidecar { text: Some(SidecarText::new(path, text.clone())), ..sidecar })
        };
        read().map_err(|error: Error| error.at(path.display().to_string()))
    }

    /// Reads the file at `path`, which is to be for the archive with the id `archive` and these namespaces.
    ///
    /// # Errors
    /// As [`read`](Sidecar::read), and when it is for another archive, names a collection that is not there, or gives an index to a
    /// view.
    pub fn read_for(path: &Path, archive: &str, namespaces: &[(&str, CollectionType)]) -> Result<Self> {
        let text = text(path)?;
        let read = || {
            let sidecar = Sidecar::parse(&text)?;
            sidecar.refuse_journal()?;
            sidecar.check(&text, archive, namespaces)?;
            Ok(Sidecar { text: Some(SidecarText::new(path, text.clone())), ..sidecar })
        };
        read().map_err(|error: Error| error.at(path.display().to_string()))
    }

    /// Reads a sidecar's text, or that of the journal of a repair.
    ///
    /// # Errors
    /// As [`read`](Sidecar::read).
    pub fn parse(text: &str) -> Result<Self> {
        // Some editors put a mark before the first character.
        let text = text.trim_start_matches('\u{feff}');
        let file: File = serde_json::from_str(text).map_err(|error| unfit(error.line(), &plain(&error)))?;
        if file.sidecar != VERSION {
            let line = line_of(text, "\"sidecar\"");
            return Err(unfit(line, &format!("its version is {}, not {VERSION}", file.sidecar)));
        }
        let (archive, server, scratch) = (file.archive, file.server, file.scratch);
        let mut sidecar = Sidecar { archive, server, scratch, ..Sidecar::default() };
        for collection in file.collections {
            if sidecar.collection(&collection.namespace).is_some() {
                let name = Value::from(collection.namespace.as_str()).to_string();
                return Err(unfit(last_line_of(text, &name), &format!("{} comes twice", collection.namespace)));
            }
            sidecar.collections.push(collection.read(text)?);
        }
        Ok(sidecar)
    }

    /// Refuses the journal of a repair: it lists what is missing on a server, and not what an archive has.
    pub(super) fn refuse_journal(&self) -> Result<()> {
        let of_journal =
            !self.scratch.is_empty() || self.collections.iter().any(|collection| collection.uuid.is_some());
        let message = match &self.server {
            Some(server) => format!("it is the journal of a repair of {server}, and no sidecar"),
            None if of_journal => "it is the journal of a repair, and no sidecar".to_owned(),
            None => return Ok(()),
        };
        let hint = "'transload indexes repair SERVER', in its directory, finishes that repair; 'transload indexes repair \
                    ARCHIVE' makes the sidecar of an archive";
        Err(Error::new(ErrorKind::Usage, message).with_hint(hint))
    }

    /// Refuses a sidecar that speaks of another archive, of collections that this one has not, or of indexes of views.
    pub(super) fn check(&self, text: &str, archive: &str, namespaces: &[(&str, CollectionType)]) -> Result<()> {
        if let Some(other) = self.archive.as_deref().filter(|other| *other != archive) {
            let message = format!("it is for the archive with the id {other}, and this one has {archive}");
            return Err(unfit(line_of(text, "\"archive\""), &message));
        }
        for collection in &self.collections {
            let name = collection.namespace.as_str();
            let found = namespaces.iter().find(|(other, _)| *other == name).map(|(_, kind)| *kind);
            let has_indexes = !collection.indexes.is_empty() || !collection.not_built.is_empty();
            let message = match found {
                None => format!("the archive has no collection {name}"),
                Some(CollectionType::View) if has_indexes => format!("{name} is a view, and views have no indexes"),
                Some(_) => continue,
            };
            return Err(unfit(line_of(text, &Value::from(name).to_string()), &message));
        }
        Ok(())
    }
}

impl Collection {
    fn read(self, text: &str) -> Result<CollectionIndexes> {
        let mut collection = CollectionIndexes { uuid: self.uuid, ..CollectionIndexes::new(self.namespace) };
        if let Some(options) = self.options {
            let line = line_of(text, &Value::from(collection.namespace.as_str()).to_string());
            let place = |error: Error| error.at(format!("options of {}", collection.namespace));
            collection.options = document(options.0, line).map_err(place)?;
        }
        let place = |error: Error, name: &str| error.at(format!("{} of {}", name, collection.namespace));
        for index in self.indexes {
            let name = index.spec.0.get("name").and_then(Value::as_str).unwrap_or("an index").to_owned();
            let line = line_of(text, &Value::from(name.as_str()).to_string());
            let read = |spec: Once| document(spec.0, line).map_err(|error| place(error, &name));
            let (spec, original) = (read(index.spec)?, index.original.map(read).transpose()?);
            collection.indexes.push(CleanIndex { spec, original, repairs: index.repairs });
        }
        for left in self.not_built {
            let line = line_of(text, &Value::from(left.name.as_str()).to_string());
            let original = document(left.original.0, line).map_err(|error| place(error, &left.name))?;
            let (reason, served_by, repairs) = (left.reason, left.served_by, left.repairs);
            collection.not_built.push(NotBuilt { name: left.name, original, served_by, reason, repairs });
        }
        Ok(collection)
    }
}

fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        unfit(line, "something there is no UTF-8 text").at(path.display().to_string())
    })
}

/// Extended JSON, canonical or relaxed, as a raw document.
fn document(json: Map<String, Value>, line: usize) -> Result<Vec<u8>> {
    let document = match Bson::try_from(Value::Object(json)) {
        Ok(Bson::Document(document)) => document,
        Ok(_) => return Err(unfit(line, "that is no document")),
        Err(error) => return Err(unfit(line, &plain_value(&error))),
    };
    bson::serialize_to_vec(&document).map_err(|error| unfit(line, &error.to_string()))
}

fn unfit(line: usize, message: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("line {line}: {message}"))
        .with_hint("mend it there, or remove the file: the archive still has the specs as they came")
}

/// The line on which `what` comes first; the first line if it does not.
fn line_of(text: &str, what: &str) -> usize {
    text.find(what).map_or(1, |at| 1 + text.get(..at).map_or(0, |before| before.matches('\n').count()))
}

fn last_line_of(text: &str, what: &str) -> usize {
    text.rfind(what).map_or(1, |at| 1 + text.get(..at).map_or(0, |before| before.matches('\n').count()))
}
