//! A namespace of one side, what it is and where its documents are: on a server, or in an archive.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use transload_format::{CollectionType, Kind};

use crate::{
    archive::ArchiveFile,
    catalog::{self, Entry, Order},
    changes::{
        key::Key,
        shelf::{Documents, FETCHED_AT_ONCE, Shelf},
    },
    connect::Server,
    document::{self, kind},
    error::{Error, ErrorKind, Result},
    hex::hex,
    namespace::Namespace,
    scan::{Bounds, Records, all_records, between, is_of_natural_order, split},
};

/// Bytes of documents that are held at once when many are fetched.
const HELD_BYTES: u64 = 32 * 1024 * 1024;
/// And their number.
const HELD_DOCUMENTS: usize = 20_000;

/// A namespace of one side.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its name on its side.
    pub(super) namespace: Namespace,
    pub(super) kind: CollectionType,
    /// Its options, as its server listed them.
    pub(super) options: Vec<u8>,
    /// Its index specs, in the order in which they were made.
    pub(super) indexes: Vec<Vec<u8>>,
    /// In which order its documents are read.
    pub(super) order: Order,
    /// Whether its documents are not in that order after all: those of an archive that was read in natural order, or has parts that
    /// overlap.
    pub(super) is_disordered: bool,
    /// Whether an archive has them in natural order.
    in_natural_order: bool,
    /// By what a server's documents are read instead, where the other side has them in natural order.
    pub(super) records: Option<Records>,
    /// The number of its documents, where it is known.
    pub(super) documents: Option<u64>,
    /// Their bytes.
    pub(super) bytes: Option<u64>,
    pub(super) place: Place,
}

/// Where documents are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// On a server.
    Server(Server, Arc<Entry>),
    /// In an archive: these parts, in the order of their bounds.
    Archive(ArchiveFile, Arc<Vec<Part>>),
}

/// A part in an archive.
#[derive(Debug)]
pub(super) struct Part {
    bounds: Bounds,
    lower: Option<Key>,
    upper: Option<Key>,
    /// Its blocks, in their order.
    blocks: Vec<usize>,
}

impl Item {
    /// What a server has.
    pub(super) fn of_server(server: &Server, entry: Entry) -> Self {
        Item {
            namespace: entry.namespace.clone(),
            kind: entry.collection.kind,
            options: entry.collection.options.clone(),
            indexes: entry.collection.indexes.clone(),
            order: entry.order,
            is_disordered: false,
            in_natural_order: false,
            records: None,
            documents: entry.documents,
            bytes: entry.bytes,
            place: Place::Server(server.clone(), Arc::new(entry)),
        }
    }

    /// In natural order, if the other side has its documents in that: copies come in about the same order, and few documents wait for their
    /// counterparts.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(super) async fn like(self, other: &Self) -> Result<Self> {
        let records = match &self.place {
            Place::Server(server, entry) if self.order == Order::Id && other.in_natural_order => {
                all_records(server, entry).await?
            }
            _ => None,
        };
        Ok(Item { records, ..self })
    }

    /// What an archive has.
    ///
    /// # Errors
    /// When a name in it is none.
    pub(super) fn all_of_archive(archive: &ArchiveFile) -> Result<Vec<Self>> {
        let contents = archive.contents();
        let mut blocks: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
        for (number, block) in contents.blocks().iter().enumerate().filter(|(_, block)| block.kind == Kind::Documents) {
            blocks.entry((block.namespace, block.part)).or_default().push(number);
        }
        let of = |(id, namespace): (u32, &transload_format::Namespace)| {
            let collection = &namespace.collection;
            let mut parts: Vec<Part> = (1..)
                .zip(&namespace.parts)
                .map(|(number, part)| {
                    let bounds = Bounds { lower: part.begun.lower.clone(), upper: part.begun.upper.clone() };
                    let (lower, upper) = (key(bounds.lower.as_deref()), key(bounds.upper.as_deref()));
                    Part { bounds, lower, upper, blocks: blocks.remove(&(id, number)).unwrap_or_default() }
                })
                .collect();
            let order = catalog::order(collection);
            if order == Order::Id && document::find(&collection.options, b"collation").is_none() {
                parts.sort_by(|one, other| one.lower.cmp(&other.lower));
            }
            let overlap = |pair: &[Part]| match pair {
                [one, other] => one.upper.is_none() || one.upper > other.lower,
                _ => false,
            };
            let in_natural_order = parts.iter().any(|part| is_of_natural_order(part.bounds.lower.as_deref()));
            Ok(Item {
                namespace: Namespace::parse(&collection.namespace)?,
                kind: collection.kind,
                options: collection.options.clone(),
                indexes: collection.indexes.clone(),
                order,
                is_disordered: in_natural_order || parts.windows(2).any(overlap),
                in_natural_order,
                records: None,
                documents: Some(namespace.totals.documents),
                bytes: Some(namespace.totals.bytes),
                place: Place::Archive(archive.clone(), Arc::new(parts)),
            })
        };
        (1..).zip(contents.namespaces()).map(of).collect()
    }

    /// Whether only a server knows which of its `_id`s are equal.
    pub(super) fn has_collation(&self) -> bool {
        document::find(&self.options, b"collation").is_some_and(|collation| collation.kind == kind::DOCUMENT)
    }

    /// Whether its documents come in the order of their keys.
    pub(super) fn is_sorted(&self) -> bool {
        self.order == Order::Id && !self.has_collation() && !self.is_disordered
    }

    /// Whether no two of its documents can have one `_id`.
    pub(super) fn has_unique_ids(&self) -> bool {
        let is_clustered = document::find(&self.options, b"clusteredIndex").is_some();
        let has_index = catalog::has_id_index(&self.indexes);
        is_clustered || has_index || self.kind == CollectionType::TimeSeries
    }

    /// What it is recognised by: whatever is made anew under its name is another one.
    pub(super) fn identity(&self) -> String {
        match &self.place {
            Place::Server(_, entry) => entry.uuid.map_or_else(String::new, |uuid| hex(&uuid)),
            Place::Archive(archive, _) => archive.contents().header().id.to_string(),
        }
    }

    /// How many of its documents may be in memory at once, where all are held.
    pub(super) fn at_once(&self) -> usize {
        let Some((bytes, documents)) = self.bytes.zip(self.documents) else { return FETCHED_AT_ONCE };
        let average = (bytes / documents.max(1)).max(1);
        usize::try_from(HELD_BYTES / average).unwrap_or(usize::MAX).clamp(1, HELD_DOCUMENTS)
    }

    pub(super) fn is_in_archive(&self) -> bool {
        matches!(self.place, Place::Archive(..))
    }

    /// Parts of about so many bytes, in their order, that cover it; those of an archive are what they are.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(super) async fn split(&self, part_bytes: u64) -> Result<Vec<Bounds>> {
        match &self.place {
            Place::Server(server, entry) => split(server, entry, part_bytes).await,
            // Whatever was lost of them, the parts that are compared cover everything.
            Place::Archive(_, parts) => {
                let mut cuts: Vec<&Part> = parts.iter().filter(|part| part.lower.is_some()).collect();
                cuts.dedup_by(|one, other| one.lower == other.lower);
                Ok(between(cuts.into_iter().filter_map(|part| part.bounds.lower.clone()).collect()))
            }
        }
    }

    /// The documents of these keys, as far as they are there; those of an archive within `bounds`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) async fn fetch(&self, bounds: &Bounds, keys: &[&[u8]]) -> Result<Documents> {
        match &self.place {
            Place::Server(server, entry) => {
                let shelf = Shelf { server, namespace: &entry.data, has_collation: self.has_collation() };
                let mut found = Documents::with_capacity(keys.len());
                for some in keys.chunks(FETCHED_AT_ONCE) {
                    found.extend(shelf.documents(some).await?);
                }
                Ok(found)
            }
            Place::Archive(archive, parts) => {
                let asked: HashSet<Key> = keys.iter().filter_map(|asked| key(Some(asked))).collect();
                let mut found = Documents::with_capacity(keys.len());
                for (number, wanted) in within(parts, bounds) {
                    for document in documents(archive, number).await?.each(&wanted)? {
                        if let Some(key) = key(Some(document)).filter(|key| asked.contains(key)) {
                            found.insert(key.into_bytes(), document.to_vec());
                        }
                    }
                }
                Ok(found)
            }
        }
    }
}

/// What is wanted of a block: everything, or what is between two keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    lower: Option<Key>,
    upper: Option<Key>,
}

impl Wanted {
    fn has(&self, document: &[u8]) -> bool {
        if self.lower.is_none() && self.upper.is_none() {
            return true;
        }
        let Some(key) = key(Some(document)) else { return true };
        self.lower.as_ref().is_none_or(|lower| *lower <= key) && self.upper.as_ref().is_none_or(|upper| key < *upper)
    }
}

/// The blocks of parts that may have documents between `bounds`, in their order, and what is wanted of each.
pub(super) fn within(parts: &[Part], bounds: &Bounds) -> Vec<(usize, Wanted)> {
    let (lower, upper) = (key(bounds.lower.as_deref()), key(bounds.upper.as_deref()));
    let mut blocks = Vec::new();
    for part in parts {
        let is_before = part.upper.as_ref().zip(lower.as_ref()).is_some_and(|(end, lower)| end <= lower);
        let is_behind = part.lower.as_ref().zip(upper.as_ref()).is_some_and(|(begin, upper)| upper <= begin);
        if is_before || is_behind {
            continue;
        }
        // What the part's own bounds say already is not asked of each document.
        let wanted = Wanted {
            lower: lower.clone().filter(|lower| part.lower.as_ref().is_none_or(|begin| begin < lower)),
            upper: upper.clone().filter(|upper| part.upper.as_ref().is_none_or(|end| upper < end)),
        };
        blocks.extend(part.blocks.iter().map(|number| (*number, wanted.clone())));
    }
    blocks
}

/// The documents of a block.
pub(super) struct Block {
    raw: Vec<u8>,
    place: String,
}

impl Block {
    /// What they stand in, back to back.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.raw
    }

    /// Those that are wanted, in their order.
    ///
    /// # Errors
    /// When they are not documents.
    pub(super) fn each(&self, wanted: &Wanted) -> Result<Vec<&[u8]>> {
        let all = transload_format::Documents::new(&self.raw).collect::<std::result::Result<Vec<_>, _>>();
        let mut all = all.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()).at(&self.place))?;
        all.retain(|document| wanted.has(document));
        Ok(all)
    }
}

/// Reads the documents of a block.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub(super) async fn documents(archive: &ArchiveFile, number: usize) -> Result<Block> {
    let block = archive.block(number).await?;
    let raw = archive.unpack(number, block).wait().await?;
    Ok(Block { raw, place: format!("{}: block {number}", archive.name()) })
}

fn key(document: Option<&[u8]>) -> Option<Key> {
    document.and_then(document::id).map(|id| Key::of(&id))
}
