//! One change-stream event, read by its bytes.
//!
//! Events come from the server and go into the change log untouched. What is needed of one (which collection, which
//! document, when, what happened) is found by one walk over its top-level fields; documents in it are never decoded.

use crate::{
    document::{self, Element, kind},
    error::{Error, ErrorKind, Result},
};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A document was inserted.
    Insert,
    /// Fields of a document changed.
    Update,
    /// A document was replaced by another one of the same key.
    Replace,
    /// A document was deleted.
    Delete,
    /// A collection was dropped.
    Drop,
    /// A collection got another name.
    Rename,
    /// A database was dropped.
    DropDatabase,
    /// The stream ends: what it watches is no more.
    Invalidate,
    /// A collection or view was created (6.0+, expanded events; so are those below).
    Create,
    /// Indexes were built.
    CreateIndexes,
    /// Indexes were dropped.
    DropIndexes,
    /// The options of a collection or of an index were changed (`collMod`).
    Modify,
    /// A collection was sharded, or its key was refined or changed; of no consequence for its documents.
    Sharding,
    /// Something that this version does not know.
    Unknown,
}

impl Operation {
    fn of(name: &[u8]) -> Self {
        match name {
            b"insert" => Operation::Insert,
            b"update" => Operation::Update,
            b"replace" => Operation::Replace,
            b"delete" => Operation::Delete,
            b"drop" => Operation::Drop,
            b"rename" => Operation::Rename,
            b"dropDatabase" => Operation::DropDatabase,
            b"invalidate" => Operation::Invalidate,
            b"create" => Operation::Create,
            b"createIndexes" => Operation::CreateIndexes,
            b"dropIndexes" => Operation::DropIndexes,
            b"modify" => Operation::Modify,
            b"shardCollection" | b"refineCollectionShardKey" | b"reshardCollection" => Operation::Sharding,
            _ => Operation::Unknown,
        }
    }

    /// Whether it is about one document. Anything else is a barrier: all lanes stand still for it.
    pub fn is_of_a_document(self) -> bool {
        matches!(self, Operation::Insert | Operation::Update | Operation::Replace | Operation::Delete)
    }
}

/// A change event. Everything it gives is a slice of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// All its bytes.
    pub raw: &'a [u8],
    /// What happened.
    pub operation: Operation,
    /// The operation's name as the server has it.
    pub name: &'a str,
    /// The resume token behind it, a document: `_id` of the event.
    pub token: &'a [u8],
    /// The source's cluster time: seconds in the upper half, an increment in the lower. All events of a transaction have
    /// the same one.
    pub time: u64,
    /// The database; empty for an event about none.
    pub database: &'a str,
    /// The collection, unless it is about a database.
    pub collection: Option<&'a str>,
    /// The key of the document: `_id`, and the shard key before it where there is one.
    pub key: Option<&'a [u8]>,
    /// The document after an insert or replacement; with an update, if it was captured so, as it was at some time after.
    pub document: Option<&'a [u8]>,
    /// `updateDescription` of an update.
    pub update: Option<&'a [u8]>,
    /// Whether it was too large to be kept whole: what it says of its document is to be fetched from the source.
    pub refetch: bool,
}

impl<'a> Event<'a> {
    /// Reads an event.
    ///
    /// # Errors
    /// When it lacks what every event has, or what one of its operation has: its bytes are not repeated.
    pub fn parse(raw: &'a [u8]) -> Result<Self> {
        let mut event = Event {
            raw,
            operation: Operation::Unknown,
            name: "",
            token: &[],
            time: 0,
            database: "",
            collection: None,
            key: None,
            document: None,
            update: None,
            refetch: false,
        };
        for element in document::elements(raw) {
            let element = element.map_err(|problem| malformed(&problem.to_string()))?;
            event.field(&element)?;
        }
        event.checked()
    }

    fn field(&mut self, element: &Element<'a>) -> Result<()> {
        let embedded = (element.kind == kind::DOCUMENT).then_some(element.value);
        match element.name {
            b"_id" => self.token = embedded.ok_or_else(|| malformed("its token is no document"))?,
            b"operationType" => {
                self.name = text(element)?;
                self.operation = Operation::of(self.name.as_bytes());
            }
            b"clusterTime" if element.kind == kind::TIMESTAMP => {
                self.time = element.value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            b"ns" => {
                let names = embedded.ok_or_else(|| malformed("its namespace is no document"))?;
                self.database = document::find(names, b"db").map_or(Ok(""), |db| text(&db))?;
                self.collection = document::find(names, b"coll").map(|name| text(&name)).transpose()?;
            }
            b"documentKey" => self.key = embedded,
            b"fullDocument" => self.document = embedded,
            b"updateDescription" => self.update = embedded,
            b"refetch" => self.refetch = element.kind == kind::BOOL && element.value == [1],
            _ => {}
        }
        Ok(())
    }

    fn checked(self) -> Result<Self> {
        let missing = match self.operation {
            _ if self.token.is_empty() => Some("token"),
            _ if self.name.is_empty() => Some("operation"),
            operation if operation.is_of_a_document() && self.collection.is_none() => Some("namespace"),
            operation if operation.is_of_a_document() && self.key.is_none() => Some("document key"),
            _ if self.refetch => None,
            Operation::Insert | Operation::Replace if self.document.is_none() => Some("document"),
            Operation::Update if self.update.is_none() => Some("description of the update"),
            _ => None,
        };
        match missing {
            None => Ok(self),
            Some(what) => Err(malformed(&format!("an event '{}' has no {what}", self.name))),
        }
    }

    /// The same event, where its document may be of a later time than it: an update that came with its document puts that
    /// one. Without one it stays what it is: the document may be gone, or its collection have another name.
    #[must_use]
    pub fn with_later_document(self) -> Self {
        match self.operation {
            Operation::Update if self.document.is_some() => {
                Event { operation: Operation::Replace, refetch: false, ..self }
            }
            _ => self,
        }
    }

    /// A field of the event that only some operations have.
    pub fn find(&self, name: &str) -> Option<Element<'a>> {
        document::find(self.raw, name.as_bytes())
    }

    /// The new name, database and collection, of a collection that was renamed.
    pub fn renamed_to(&self) -> Option<(&'a str, &'a str)> {
        let to = self.find("to").filter(|to| to.kind == kind::DOCUMENT)?;
        let part = |name| document::find(to.value, name).and_then(|element| text(&element).ok());
        Some((part(b"db")?, part(b"coll")?))
    }
}

fn text<'a>(element: &Element<'a>) -> Result<&'a str> {
    let text = element.string().and_then(|text| std::str::from_utf8(text).ok());
    text.ok_or_else(|| malformed("a name in it is no text"))
}

fn malformed(why: &str) -> Error {
    Error::new(ErrorKind::Server, format!("a change event is malformed: {why}"))
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn what_an_event_says_is_found_by_its_bytes() {
        let raw = rawdoc! {
            "_id": { "_data": "82" },
            "operationType": "update",
            "clusterTime": Timestamp { time: 7, increment: 3 },
            "ns": { "db": "shop", "coll": "a.b" },
            "documentKey": { "_id": 1 },
            "updateDescription": { "updatedFields": {}, "removedFields": [] },
        };
        let event = Event::parse(raw.as_bytes()).unwrap();
        assert_eq!((event.operation, event.time), (Operation::Update, (7 << 32) | 3));
        assert_eq!((event.database, event.collection), ("shop", Some("a.b")));
        assert_eq!(event.key, Some(rawdoc! { "_id": 1 }.as_bytes()));
        assert!(event.update.is_some() && event.document.is_none());
    }

    #[test]
    fn an_update_with_its_document_puts_it_if_it_may_be_of_later() {
        let update = |document: bson::RawBson| {
            rawdoc! {
                "_id": { "_data": "82" }, "operationType": "update", "ns": { "db": "d", "coll": "c" },
                "documentKey": { "_id": 1 }, "fullDocument": document,
                "updateDescription": { "updatedFields": {}, "removedFields": [] },
            }
        };
        let operation =
            |raw: &bson::RawDocumentBuf| Event::parse(raw.as_bytes()).unwrap().with_later_document().operation;
        assert_eq!(operation(&update(rawdoc! { "_id": 1, "a": 2 }.into())), Operation::Replace);
        assert_eq!(operation(&update(bson::RawBson::Null)), Operation::Update);
    }

    #[test]
    fn an_event_to_refetch_needs_no_more_than_its_key() {
        let raw = rawdoc! {
            "_id": { "_data": "82" }, "operationType": "insert", "ns": { "db": "d", "coll": "c" },
            "documentKey": { "_id": 1 }, "refetch": true,
        };
        assert!(Event::parse(raw.as_bytes()).unwrap().refetch);
    }

    #[test]
    fn a_rename_tells_both_names() {
        let raw = rawdoc! {
            "_id": { "_data": "82" }, "operationType": "rename",
            "ns": { "db": "shop", "coll": "a" }, "to": { "db": "shop", "coll": "b" },
        };
        assert_eq!(Event::parse(raw.as_bytes()).unwrap().renamed_to(), Some(("shop", "b")));
    }

    #[test]
    fn an_event_that_lacks_a_part_is_refused_without_its_bytes() {
        let token = rawdoc! { "_data": "82" };
        let secret = rawdoc! { "_id": token, "operationType": "insert", "ns": { "db": "d", "coll": "c" }, "documentKey": { "_id": "secret" } };
        let error = Event::parse(secret.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "a change event is malformed: an event 'insert' has no document");
        assert!(Event::parse(b"\x05\0\0\0\0").is_err());
        assert!(Event::parse(b"").is_err());
    }
}
