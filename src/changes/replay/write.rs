//! Writes to a target collection: raw commands whose statements have the same effect when they are sent again.
//!
//! A command is sent until its outcome is known. What a lost reply may have done already is done once more to no effect:
//! a document is put as a whole, fields are set to given values, a deleted document stays deleted.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicBool, Ordering},
};

use bson::{Bson, Document, RawDocumentBuf};

use crate::{
    connect::{Doing, Retry, Server, command_text, retry, retry_code},
    document::{self, Element, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    load::putting_timestamps_back,
    namespace::Namespace,
};

/// Bytes of statements at which a command is sent.
const COMMAND_BYTES: usize = 2 * 1024 * 1024;
/// Statements at which a command is sent. If each failed, the reply would still be far below 16 MiB.
const COMMAND_STATEMENTS: usize = 5_000;
/// The code of a server whose unique index refuses a document.
pub(super) const DUPLICATE_KEY: i32 = 11000;

/// One write.
#[derive(Clone, Debug)]
pub(super) enum Write<'a> {
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

    fn statement(&self) -> Cow<'_, [u8]> {
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
            Write::Delete(key) => Cow::Owned(RawBuilder::new().document("q", &by_id(key)).int32("limit", 1).finish()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Update,
    Delete,
}

/// A write that the server refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// Its place among those that were sent.
    pub(super) index: usize,
    /// The server's code.
    pub(super) code: i32,
    /// Whether it is the key on `_id` that is taken.
    pub(super) on_id: bool,
    /// The server's words, without documents.
    pub(super) reason: String,
}

/// What became of writes that were sent.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Those that the server refused.
    pub(super) refused: Vec<Refused>,
    /// How many modifications found no document.
    pub(super) unmatched: usize,
}

/// A collection that is written to by one lane, one command at a time.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) namespace: Namespace,
    /// Whether the user may put in what a validator refuses; it is tried.
    bypasses: AtomicBool,
}

impl Target {
    /// The collection `namespace` of `server`.
    pub(super) fn new(server: Server, namespace: Namespace) -> Self {
        Target { server, namespace, bypasses: AtomicBool::new(true) }
    }

    /// Sends writes in their order, each kind of command on its own; the server goes on behind one that it refuses.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses a command as such.
    pub(super) async fn send(&self, writes: &[Write<'_>]) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut from = 0;
        while let Some(first) = writes.get(from) {
            let verb = first.verb();
            let mut bytes = 0;
            let mut statements = Vec::new();
            for write in writes.get(from..).unwrap_or_default() {
                let statement = write.statement();
                bytes += statement.len();
                let is_full = bytes > COMMAND_BYTES || statements.len() >= COMMAND_STATEMENTS;
                if write.verb() != verb || (is_full && !statements.is_empty()) {
                    break;
                }
                statements.push(statement);
            }
            let sent = writes.get(from..from + statements.len()).unwrap_or_default();
            self.command(verb, sent, &statements, from, &mut outcome).await?;
            from += statements.len();
        }
        self.put_timestamps_back(writes, &outcome).await?;
        Ok(outcome)
    }

    async fn command(
        &self,
        verb: Verb,
        writes: &[Write<'_>],
        statements: &[Cow<'_, [u8]>],
        from: usize,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let reply = self.until_known(verb, statements).await?;
        let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let failed: Vec<Refused> = errors.iter().filter_map(Bson::as_document).map(refused).collect();
        if verb == Verb::Update {
            let hit = reply.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            outcome.unmatched += writes.len().saturating_sub(hit + failed.len());
        }
        outcome.refused.extend(failed.into_iter().map(|refused| Refused { index: from + refused.index, ..refused }));
        Ok(())
    }

    /// Runs a command until what became of it is known, and known to be durable.
    async fn until_known(&self, verb: Verb, statements: &[Cow<'_, [u8]>]) -> Result<Document> {
        let (name, list) = match verb {
            Verb::Insert => ("insert", "documents"),
            Verb::Update => ("update", "updates"),
            Verb::Delete => ("delete", "deletes"),
        };
        let doing = Doing::new(format!("{name} in {}", self.namespace), privilege(verb), self.namespace.database());
        let mut patience = self.server.patience();
        loop {
            let bypass = self.bypasses.load(Ordering::Relaxed) && verb != Verb::Delete;
            let command = self.encode(name, list, bypass, statements)?;
            let database = self.server.database(self.namespace.database());
            let error = match self.server.watched(database.run_raw_command(command)).await {
                Ok(reply) => match passing(&reply) {
                    None => return Ok(reply),
                    Some((_, _, wait)) if patience.wait(wait).await => continue,
                    Some((code, text, _)) => {
                        let message = format!("failed to {doing}: {}", command_text(code, "", &text));
                        return Err(Error::new(ErrorKind::Server, message).at(self.server.place()));
                    }
                },
                Err(error) => error,
            };
            let wait = retry(&error);
            if wait != Retry::Stop && patience.wait(wait).await {
                continue;
            }
            let error = self.server.failure(error, &doing);
            if !(bypass && error.kind() == ErrorKind::Authorization) {
                return Err(error);
            }
            self.bypasses.store(false, Ordering::Relaxed);
        }
    }

    fn encode(&self, name: &str, list: &str, bypass: bool, statements: &[Cow<'_, [u8]>]) -> Result<RawDocumentBuf> {
        let mut command = RawBuilder::new();
        command.string(name, self.namespace.collection()).bool("ordered", false);
        if bypass {
            command.bool("bypassDocumentValidation", true);
        }
        if self.server.version().keeps_empty_timestamps() && name != "delete" {
            command.bool("bypassEmptyTsReplacement", true);
        }
        command.document("writeConcern", self.server.write_concern().as_bytes());
        command.embed_array(list, |array| {
            for (number, statement) in statements.iter().enumerate() {
                array.document(number.to_string(), statement);
            }
        });
        RawDocumentBuf::from_bytes(command.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(self.namespace.to_string()))
    }

    /// Servers put their clock in the place of an empty timestamp in a whole document, unless they can be told not to.
    async fn put_timestamps_back(&self, writes: &[Write<'_>], outcome: &Outcome) -> Result<()> {
        if self.server.version().keeps_empty_timestamps() {
            return Ok(());
        }
        let is_refused = |index: usize| outcome.refused.iter().any(|refused| refused.index == index);
        let mut statements = Vec::new();
        for (index, write) in writes.iter().enumerate() {
            if let Write::Insert(document) | Write::Put(document) = write
                && document::has_empty_timestamp(document)
                && !is_refused(index)
            {
                statements.extend(putting_timestamps_back(document).map(Cow::Owned));
            }
        }
        for some in statements.chunks(COMMAND_STATEMENTS) {
            self.until_known(Verb::Update, some).await?;
        }
        Ok(())
    }
}

fn privilege(verb: Verb) -> &'static str {
    match verb {
        Verb::Insert => "insert",
        Verb::Update => "update",
        Verb::Delete => "remove",
    }
}

/// The filter for the document whose key, or which itself, has this `_id`. A value that could be taken for an operator is
/// compared as it is.
pub(super) fn by_id(keyed: &[u8]) -> Vec<u8> {
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

/// The error of a reply that another attempt may cure: of the write concern, or of a document, as when the primary
/// stepped down in the middle.
fn passing(reply: &Document) -> Option<(i32, String, Retry)> {
    let code = |error: &Document| error.get_i32("code").unwrap_or(0);
    let text = |error: &Document| error.get_str("errmsg").unwrap_or_default().to_owned();
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    let mut passing =
        errors.iter().filter_map(Bson::as_document).filter(|error| retry_code(code(error)) != Retry::Stop);
    if let Some(error) = passing.next() {
        return Some((code(error), text(error), retry_code(code(error))));
    }
    let concern = reply.get_document("writeConcernError").ok()?;
    Some((code(concern), text(concern), retry_code(code(concern))))
}
