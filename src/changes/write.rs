//! Writes to a target collection: raw commands whose statements have the same effect when they are sent again.
//!
//! A command is sent until its outcome is known. What a lost reply may have done already is done once more to no effect:
//! a document is put as a whole, fields are set to given values, a deleted document stays deleted.

mod command;
mod exchange;

use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicBool},
};

use bson::{Bson, Document};

use self::command::{Collection, Command, Verb};
use crate::{
    catalog::sharding::{is_router, sharded_as},
    connect::{Server, command_text},
    document::{self, Element, RawBuilder, kind},
    error::Result,
    load::putting_timestamps_back,
    namespace::Namespace,
};

/// Bytes of statements at which a command is sent.
const COMMAND_BYTES: usize = 2 * 1024 * 1024;
/// Statements at which a command is sent. If each failed, the reply would still be far below 16 MiB.
const COMMAND_STATEMENTS: usize = 5_000;
/// The code of a server whose unique index refuses a document.
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// `ImmutableField`: a document cannot be replaced by one with another `_id`.
pub(crate) const IMMUTABLE_FIELD: i32 = 66;

/// One write.
#[derive(Clone, Debug)]
pub(crate) enum Write<'a> {
    /// A document that should not be there yet.
    Insert(Cow<'a, [u8]>),
    /// A whole document in the place of the one with its `_id`, or anew.
    Put(Cow<'a, [u8]>),
    /// Modifiers for the document of this key, which has to be there.
    Modify(&'a [u8], Vec<u8>),
    /// No document of this key, or of the `_id` of this document, any more.
    Delete(Cow<'a, [u8]>),
}

impl Write<'_> {
    /// The command that it is sent in.
    fn verb(&self) -> Verb {
        match self {
            Write::Insert(_) => Verb::Insert,
            Write::Put(_) | Write::Modify(..) => Verb::Update,
            Write::Delete(_) => Verb::Delete,
        }
    }

    /// It in a command; where documents are `scattered`, a delete is of all that have the `_id`.
    fn statement(&self, scattered: bool) -> Cow<'_, [u8]> {
        match self {
            Write::Insert(document) => Cow::Borrowed(document),
            Write::Put(document) => {
                let mut statement = RawBuilder::new();
                statement.document("q", &by_id(document)).document("u", document).bool("upsert", true);
                Cow::Owned(statement.finish())
            }
            Write::Modify(key, modifiers) => {
                let mut statement = RawBuilder::new();
                statement.document("q", &by_id(key)).document("u", modifiers);
                Cow::Owned(statement.finish())
            }
            Write::Delete(key) => {
                let limit = i32::from(!scattered);
                Cow::Owned(RawBuilder::new().document("q", &by_id(key)).int32("limit", limit).finish())
            }
        }
    }
}

/// A write that the server refused.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// Its place among those that were sent.
    pub(crate) index: usize,
    /// The server's code.
    pub(crate) code: i32,
    /// Whether it is the key on `_id` that is taken.
    pub(crate) on_id: bool,
    /// The server's words, without documents.
    pub(crate) reason: String,
}

/// What became of writes that were sent.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Those that the server refused.
    pub(crate) refused: Vec<Refused>,
    /// How many modifications found no document.
    pub(crate) unmatched: usize,
}

impl Outcome {
    /// Takes the answer to a command of `count` writes, the first of which was at `from` among those sent.
    fn take(&mut self, verb: Verb, count: usize, from: usize, reply: &Document) {
        let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let failed: Vec<Refused> = errors.iter().filter_map(Bson::as_document).map(refused).collect();
        if verb == Verb::Update {
            let hit = reply.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            self.unmatched += count.saturating_sub(hit + failed.len());
        }
        self.refused.extend(failed.into_iter().map(|refused| Refused { index: from + refused.index, ..refused }));
    }
}

/// A collection that is written to by one lane, one command at a time.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: Server,
    pub(crate) namespace: Namespace,
    collection: Arc<Collection>,
    /// Whether it is sharded by more than `_id`: then this alone does not tell a router where a document is.
    is_scattered: bool,
}

impl Target {
    /// The collection `namespace` of `server`.
    pub(crate) fn new(server: Server, namespace: Namespace) -> Self {
        let bypasses = AtomicBool::new(true);
        let collection = Arc::new(Collection { server: server.clone(), namespace: namespace.clone(), bypasses });
        Target { server, namespace, collection, is_scattered: false }
    }

    /// The same, once it is known whether a router spreads its documents by something else than their `_id`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn open(server: Server, namespace: Namespace) -> Result<Self> {
        let sharded = match is_router(&server).await? {
            true => sharded_as(&server, &namespace).await?,
            false => None,
        };
        let target = Target::new(server, namespace);
        let is_scattered = sharded.is_some_and(|sharded| !sharded.key.is_by_id());
        Ok(if is_scattered { target.scattered() } else { target })
    }

    /// The same collection, whose documents of one `_id` may be on several shards: it is sharded by something else. A router
    /// puts a document in the place of another one only if it is told its whole key, and nothing keeps two of one `_id` apart.
    /// So all that have an `_id` are deleted before one is inserted.
    pub(crate) fn scattered(self) -> Self {
        Target { is_scattered: true, ..self }
    }

    /// Whether a document can only be inserted when the one that it replaces is deleted.
    pub(crate) fn must_insert(&self, document: &[u8]) -> bool {
        self.is_scattered || must_be_inserted(document)
    }

    /// Whether one that is new may be there all the same, without a word of the server.
    pub(crate) fn is_scattered(&self) -> bool {
        self.is_scattered
    }

    /// Sends writes in their order, each kind of command on its own; the server goes on behind one that it refuses. While
    /// a command is under way, the next one is made ready.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses a command as such.
    pub(crate) async fn send(&self, writes: &[Write<'_>]) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut rest = writes;
        let ready =
            |rest: &mut &[Write<'_>]| self.next_command(rest).map(|command| self.collection.ready(command)).transpose();
        let mut next = ready(&mut rest)?;
        let (mut from, mut empty) = (0, Vec::new());
        while let Some(command) = next {
            let sending = self.collection.send(command);
            next = ready(&mut rest)?;
            let (verb, count) = (sending.verb, sending.count);
            empty.extend(self.with_empty_timestamps(writes.get(from..from + count).unwrap_or_default(), from));
            outcome.take(verb, count, from, &sending.reply().await?);
            from += count;
        }
        empty.retain(|(index, _)| !outcome.refused.iter().any(|refused| refused.index == *index));
        self.put_timestamps_back(empty.into_iter().map(|(_, document)| document)).await?;
        Ok(outcome)
    }

    /// The whole documents in whose empty timestamps the server puts its clock, and their places among all writes, of
    /// which the first is at `from`.
    fn with_empty_timestamps<'a>(
        &self,
        writes: &'a [Write<'_>],
        from: usize,
    ) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let writes = if self.server.version().keeps_empty_timestamps() { &[] } else { writes };
        (from..).zip(writes).filter_map(|(index, write)| match write {
            Write::Insert(document) | Write::Put(document) if document::has_empty_timestamp(document) => {
                Some((index, document.as_ref()))
            }
            _ => None,
        })
    }

    async fn put_timestamps_back(&self, documents: impl Iterator<Item = &[u8]>) -> Result<()> {
        let statements: Vec<_> = documents.filter_map(putting_timestamps_back).map(Cow::Owned).collect();
        for some in statements.chunks(COMMAND_STATEMENTS) {
            let command = self.collection.ready(Command::of(Verb::Update, some))?;
            self.collection.send(command).reply().await?;
        }
        Ok(())
    }
}

impl Target {
    /// The writes at the front of `rest` that go into one command; they are taken off it.
    fn next_command(&self, rest: &mut &[Write<'_>]) -> Option<Command> {
        let verb = rest.first()?.verb();
        let mut bytes = 0;
        let mut statements = Vec::new();
        for write in rest.iter() {
            let statement = write.statement(self.is_scattered);
            bytes += statement.len();
            let is_full = bytes > COMMAND_BYTES || statements.len() >= COMMAND_STATEMENTS;
            if write.verb() != verb || (is_full && !statements.is_empty()) {
                break;
            }
            statements.push(statement);
        }
        *rest = rest.get(statements.len()..).unwrap_or_default();
        Some(Command::of(verb, &statements))
    }
}

/// The filter for the document whose key, or which itself, has this `_id`. A value that could be taken for an operator is
/// compared as it is.
pub(crate) fn by_id(keyed: &[u8]) -> Vec<u8> {
    let mut filter = RawBuilder::new();
    if let Some(id) = document::id(keyed) {
        if may_be_operators(&id) {
            filter.embed("_id", |condition| {
                condition.append_renamed(&id, "$eq");
            });
        } else {
            filter.append(&id);
        }
    }
    filter.finish()
}

/// Whether a server takes the document by an insert, and not in the place of another one: 5.0 and later want no top-level
/// name with a `$` at its front in a replacement. A pipeline could do it, but not safely (`load::timestamps`).
fn must_be_inserted(document: &[u8]) -> bool {
    document::elements(document).map_while(Result::ok).any(|element| element.name.starts_with(b"$"))
}

fn may_be_operators(id: &Element<'_>) -> bool {
    id.kind == kind::REGEX
        || id.kind == kind::DOCUMENT
            && document::elements(id.value).map_while(Result::ok).any(|field| field.name.starts_with(b"$"))
}

fn refused(error: &Document) -> Refused {
    let code = error.get_i32("code").unwrap_or(0);
    let keys = error.get_document("keyPattern").ok();
    let reason = match keys {
        Some(keys) if code == DUPLICATE_KEY => {
            let fields: Vec<_> = keys.keys().map(String::as_str).collect();
            format!("another document has the same key of the unique index on {}", fields.join(", "))
        }
        _ => command_text(code, "", error.get_str("errmsg").unwrap_or_default()),
    };
    Refused {
        index: error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok()).unwrap_or(0),
        code,
        on_id: code == DUPLICATE_KEY && keys.is_some_and(|keys| keys.len() == 1 && keys.contains_key("_id")),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_delete_where_documents_are_scattered_is_of_all_that_have_the_id() {
        let key = rawdoc! { "customer": 5, "_id": 7 };
        let delete = Write::Delete(Cow::Borrowed(key.as_bytes()));
        assert_eq!(delete.statement(false).as_ref(), rawdoc! { "q": { "_id": 7 }, "limit": 1 }.as_bytes());
        assert_eq!(delete.statement(true).as_ref(), rawdoc! { "q": { "_id": 7 }, "limit": 0 }.as_bytes());
    }
}
