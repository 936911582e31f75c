//! Documents by their `_id`s: from a target, to change them; from a source, where events do not tell what they are; from
//! both sides, to see whether they still differ.

use std::collections::HashMap;

use bson::RawDocumentBuf;

use super::key::Key;
use crate::{
    connect::{AsOf, Doing, NO_MAJORITY_READS, Server},
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Documents fetched with one command: even of large ones not too many bytes.
pub(crate) const FETCHED_AT_ONCE: usize = 500;

/// The documents of some keys, as far as they are there, by the canonical bytes of the keys that were asked for.
pub(crate) type Documents = HashMap<Vec<u8>, Vec<u8>>;

/// A time of the source within two bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// Everything up to this cluster time is in the document.
    pub(crate) low: u64,
    /// Nothing after this cluster time is.
    pub(crate) high: u64,
}

/// A collection to fetch from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf<'a> {
    pub(crate) server: &'a Server,
    pub(crate) namespace: &'a Namespace,
    /// Whether only the server knows which strings are equal: then each key is asked for alone.
    pub(crate) has_collation: bool,
}

impl Shelf<'_> {
    /// The documents as they are now, on the primary.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn documents(&self, keys: &[&[u8]]) -> Result<Documents> {
        self.found(keys, None).await
    }

    /// The documents as a majority of the members has them, and the time that they are of: one cluster time where the server can
    /// (5.0+), else the times before and after the read.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn documents_and_time(&self, keys: &[&[u8]]) -> Result<(Documents, Span)> {
        let low = self.server.operation_time().await?;
        if low != 0 && self.server.version().reads_as_of_a_time() {
            match self.found(keys, Some(AsOf::Time(low))).await {
                Ok(documents) => return Ok((documents, Span { low, high: low })),
                // The collection may have changed since, or the server may not read so: then as of no one time.
                Err(error) if error.kind() == ErrorKind::Server => {}
                Err(error) => return Err(error),
            }
        }
        let documents = match low {
            0 => self.found(keys, None).await?,
            _ => self.found(keys, Some(AsOf::After(low))).await?,
        };
        Ok((documents, Span { low, high: self.server.cluster_time().await? }))
    }

    async fn found(&self, keys: &[&[u8]], at: Option<AsOf>) -> Result<Documents> {
        let mut found = Documents::with_capacity(keys.len());
        if self.has_collation {
            for key in keys {
                let document = self.read(std::slice::from_ref(key), at).await?.pop();
                if let (Some(document), Some(id)) = (document, document::id(key)) {
                    found.insert(Key::of(&id).as_bytes().to_vec(), document);
                }
            }
            return Ok(found);
        }
        for document in self.read(keys, at).await? {
            if let Some(id) = document::id(&document) {
                found.insert(Key::of(&id).as_bytes().to_vec(), document);
            }
        }
        Ok(found)
    }

    async fn read(&self, keys: &[&[u8]], at: Option<AsOf>) -> Result<Vec<Vec<u8>>> {
        let (server, database) = (self.server.reading_primary(), self.namespace.database());
        let doing = Doing::new(format!("read from {}", self.namespace), "find", database);
        let expected = |code: i32| (code == NO_MAJORITY_READS).then_some(());
        match server.documents_or(database, self.find(keys, at)?, &doing, expected).await? {
            Ok(documents) => Ok(documents),
            Err(()) => server.documents(database, self.find(keys, at.map(AsOf::of_one_member))?, &doing).await,
        }
    }

    fn find(&self, keys: &[&[u8]], at: Option<AsOf>) -> Result<RawDocumentBuf> {
        let mut find = RawBuilder::new();
        find.string("find", self.namespace.collection());
        find.embed("filter", |filter| {
            filter.embed("_id", |condition| {
                condition.embed_array("$in", |ids| {
                    for (number, id) in keys.iter().filter_map(|key| document::id(key)).enumerate() {
                        ids.append_renamed(&id, number.to_string());
                    }
                });
            });
        });
        if let Some(at) = at {
            at.append_to(&mut find);
        }
        RawDocumentBuf::from_bytes(find.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(self.namespace.to_string()))
    }
}
