//! The sidecar `NAME.indexes.json`: the index specs beside an archive, clean, with what was repaired and why.
//!
//! The journal of a repair on a server has the same form (`indexes/journal.rs`).
//!
//! People may read and edit it: a restore builds what it says. The archive keeps the specs as they came from the
//! server, so a sidecar that is lost can be made again.

mod json;
mod place;
mod read;

pub use json::spec_value;
pub use place::SidecarText;

use std::path::{Path, PathBuf};

use transload_format::{Collection, CollectionType};

use super::index_spec::{Author, Context, NEWEST, Repair, Verdict, sanitize};
use crate::{
    connect::Version,
    document::{self, RawBuilder},
    error::Result,
    replace::replace,
};

/// The version of the sidecar's own form.
const VERSION: u64 = 1;

/// Where the sidecar of an archive stands: `NAME.indexes.json` beside `NAME.tlz`.
pub fn sidecar_path(archive: &Path) -> PathBuf {
    match archive.extension() {
        Some(extension) if extension == "tlz" => archive.with_extension("indexes.json"),
        _ => {
            let mut name = archive.as_os_str().to_owned();
            name.push(".indexes.json");
            PathBuf::from(name)
        }
    }
}

/// The name in an index spec, or what stands for it where there is none.
pub fn index_name(spec: &[u8]) -> String {
    let name = document::find(spec, b"name").and_then(|name| name.string());
    name.map_or_else(|| "(without a name)".to_owned(), |name| String::from_utf8_lossy(name).into_owned())
}

/// The options of a collection that its indexes depend on: whether `_id` is an index, what a TTL may be, which
/// collation is meant where none is given.
const OPTIONS: [&[u8]; 4] = [b"capped", b"clusteredIndex", b"collation", b"timeseries"];

/// Index specs of several collections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sidecar {
    /// The id of the archive it stands beside, in hexadecimal digits; none if it is for any.
    pub archive: Option<String>,
    /// The server whose indexes are repaired, if it is the journal of a repair.
    pub server: Option<String>,
    /// The collections that such a repair tries specs on, and drops again.
    pub scratch: Vec<String>,
    /// The collections, in the order of the archive.
    pub collections: Vec<CollectionIndexes>,
    /// The file that it was read from.
    pub text: Option<SidecarText>,
}

/// The indexes of a collection, but for those that come with it.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionIndexes {
    /// `database.collection`.
    pub namespace: String,
    /// The UUID of the collection, in hexadecimal digits, in the journal of a repair.
    pub uuid: Option<String>,
    /// The options of the collection that its indexes depend on, for whoever has the sidecar alone. A restore has
    /// them from the archive.
    pub options: Vec<u8>,
    /// What is built, in this order.
    pub indexes: Vec<CleanIndex>,
    /// What is not.
    pub not_built: Vec<NotBuilt>,
}

/// An index to build.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanIndex {
    /// The clean spec.
    pub spec: Vec<u8>,
    /// As the source had it; none if that is the same.
    pub original: Option<Vec<u8>>,
    /// What was changed.
    pub repairs: Vec<Repair>,
}

/// An index that is not built.
#[derive(Clone, Debug, PartialEq)]
pub struct NotBuilt {
    /// Its name.
    pub name: String,
    /// As the source had it.
    pub original: Vec<u8>,
    /// Another index that serves for it: then nothing is missing.
    pub served_by: Option<String>,
    /// Why it is not built.
    pub reason: String,
    /// What was changed, or would have been.
    pub repairs: Vec<Repair>,
}

impl Sidecar {
    /// The sidecar of these collections, for a target that knows every option. What a target does not know is left
    /// out when it is restored to.
    pub fn derive<'a>(archive: Option<String>, collections: impl IntoIterator<Item = &'a Collection>) -> Self {
        Sidecar::derive_for(NEWEST, archive, collections)
    }

    /// The same for a target of this version.
    pub fn derive_for<'a>(
        target: Version,
        archive: Option<String>,
        collections: impl IntoIterator<Item = &'a Collection>,
    ) -> Self {
        let with_indexes = collections.into_iter().filter(|collection| collection.kind != CollectionType::View);
        let collections = with_indexes.map(|collection| CollectionIndexes::derive(collection, target)).collect();
        Sidecar { archive, collections, ..Sidecar::default() }
    }

    /// The collection of this name.
    pub fn collection(&self, namespace: &str) -> Option<&CollectionIndexes> {
        self.collections.iter().find(|collection| collection.namespace == namespace)
    }

    /// Writes the file anew, in one step: it is whole, or as it was before.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, path: &Path) -> Result<()> {
        replace(path, self.to_json()?.as_bytes())
    }
}

impl CollectionIndexes {
    /// A collection without indexes.
    pub fn new(namespace: String) -> Self {
        let options = document::EMPTY.to_vec();
        CollectionIndexes { namespace, uuid: None, options, indexes: Vec::new(), not_built: Vec::new() }
    }

    fn derive(collection: &Collection, target: Version) -> Self {
        let context = Context { options: &collection.options, target, author: Author::Server };
        let mut derived = CollectionIndexes::new(collection.namespace.clone());
        let mut options = RawBuilder::new();
        let all = document::elements(&collection.options).map_while(Result::ok);
        all.filter(|option| OPTIONS.contains(&option.name)).for_each(|option| {
            options.append(&option);
        });
        derived.options = options.finish();
        for sanitized in sanitize(&collection.indexes, &context) {
            let (name, original, repairs) = (sanitized.name, sanitized.original, sanitized.repairs);
            match sanitized.verdict {
                Verdict::Inherent => {}
                Verdict::Build(spec) => {
                    let original = (spec != original).then_some(original);
                    derived.indexes.push(CleanIndex { spec, original, repairs });
                }
                Verdict::Merged(other) => {
                    let reason = format!("{other} serves for it");
                    let served_by = Some(other);
                    derived.not_built.push(NotBuilt { name, original, served_by, reason, repairs });
                }
                Verdict::Refused(reason) => {
                    derived.not_built.push(NotBuilt { name, original, served_by: None, reason, repairs });
                }
            }
        }
        derived
    }
}

#[cfg(test)]
mod tests;
