//! One command of writes: encoded, and sent until what became of it is known.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    connect::{Doing, Retry, Server, command_text, kind_of, retry, retry_code},
    document::{RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// The kind of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
    Delete,
}

impl Verb {
    /// The name of the command, that of the field with its statements, and that of the privilege it needs.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Verb::Insert => ("insert", "documents", "insert"),
            Verb::Update => ("update", "updates", "update"),
            Verb::Delete => ("delete", "deletes", "remove"),
        }
    }
}

/// Statements of one kind, as they stand in a command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) verb: Verb,
    pub(super) count: usize,
    /// An array, raw.
    statements: Vec<u8>,
}

impl Command {
    /// Of these statements.
    pub(super) fn of(verb: Verb, statements: &[Cow<'_, [u8]>]) -> Self {
        let mut array = RawBuilder::new();
        for (number, statement) in statements.iter().enumerate() {
            array.document(number.to_string(), statement);
        }
        Command { verb, count: statements.len(), statements: array.finish() }
    }
}

/// A command, and what is sent first.
#[derive(Debug)]
pub(super) struct Ready {
    command: Command,
    encoded: RawDocumentBuf,
    bypasses: bool,
}

/// Where commands are sent.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) server: Server,
    pub(super) namespace: Namespace,
    /// Whether the user may put in what a validator refuses; it is tried.
    pub(super) bypasses: AtomicBool,
}

impl Collection {
    /// Encodes a command.
    pub(super) fn ready(&self, command: Command) -> Result<Ready> {
        let bypasses = self.bypasses(command.verb);
        let encoded = self.encode(&command, bypasses, Some(&self.server.write_concern()))?;
        Ok(Ready { command, encoded, bypasses })
    }

    /// Sends a command, in a task of its own; which ends with what it gives back.
    pub(super) fn send(self: &Arc<Self>, ready: Ready) -> Sending {
        let (verb, count) = (ready.command.verb, ready.command.count);
        let collection = Arc::clone(self);
        let task = tokio::spawn(async move { collection.until_known(ready).await });
        Sending { verb, count, task: AbortOnDropHandle::new(task) }
    }

    /// Sends a command until what became of it is known, and known to be durable.
    async fn until_known(&self, ready: Ready) -> Result<Document> {
        let Ready { command, encoded, bypasses } = ready;
        let mut first = Some((encoded, bypasses));
        let (name, _, privilege) = command.verb.names();
        let doing = Doing::new(format!("{name} in {}", self.namespace), privilege, self.namespace.database());
        let mut patience = self.server.patience();
        loop {
            let bypass = self.bypasses(command.verb);
            let encoded = match first.take() {
                Some((encoded, bypasses)) if bypasses == bypass => encoded,
                _ => self.encode(&command, bypass, Some(&self.server.write_concern()))?,
            };
            let database = self.server.database(self.namespace.database());
            let error = match self.server.watched(database.run_raw_command(encoded)).await {
                Ok(reply) => match passing(&reply) {
                    None => return Ok(reply),
                    Some((_, _, wait)) if patience.wait(wait).await => {
                        self.server.lost_write_ends(None, self.namespace.database(), &mut patience).await?;
                        continue;
                    }
                    Some((code, text, _)) => {
                        let message = format!("failed to {doing}: {}", command_text(code, "", &text));
                        return Err(Error::new(kind_of(code), message).at(self.server.place()));
                    }
                },
                Err(error) => error,
            };
            let wait = retry(&error);
            if wait != Retry::Stop && patience.wait(wait).await {
                let ended = self.server.lost_write_ends(Some(&error), self.namespace.database(), &mut patience).await;
                ended.map_err(|_| self.server.failure(error, &doing))?;
                continue;
            }
            let error = self.server.failure(error, &doing);
            if !(bypass && error.kind() == ErrorKind::Authorization) {
                return Err(error);
            }
            self.bypasses.store(false, Ordering::Relaxed);
        }
    }

    /// A command as a transaction has it: acknowledged with the transaction.
    pub(super) fn in_transaction(&self, command: &Command) -> Result<RawDocumentBuf> {
        self.encode(command, self.bypasses(command.verb), None)
    }

    /// Whether validators are passed by; deletes have none.
    fn bypasses(&self, verb: Verb) -> bool {
        verb != Verb::Delete && self.bypasses.load(Ordering::Relaxed)
    }

    fn encode(&self, command: &Command, bypass: bool, concern: Option<&RawDocument>) -> Result<RawDocumentBuf> {
        let (Command { verb, statements, .. }, (name, list, _)) = (command, command.verb.names());
        let mut command = RawBuilder::new();
        command.string(name, self.namespace.collection()).bool("ordered", false);
        if bypass {
            command.bool("bypassDocumentValidation", true);
        }
        if self.server.version().keeps_empty_timestamps() && *verb != Verb::Delete {
            command.bool("bypassEmptyTsReplacement", true);
        }
        if let Some(concern) = concern {
            command.document("writeConcern", concern.as_bytes());
        }
        command.append_element(kind::ARRAY, list, statements);
        RawDocumentBuf::from_bytes(command.finish())
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(self.namespace.to_string()))
    }
}

/// A command that is under way. When it is dropped, it is not sent again.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) verb: Verb,
    pub(super) count: usize,
    task: AbortOnDropHandle<Result<Document>>,
}

impl Sending {
    /// The server's answer.
    pub(super) async fn reply(self) -> Result<Document> {
        self.task.await.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a command died: {panic}"))))
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
