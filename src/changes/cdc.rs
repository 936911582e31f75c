//! The second store of change events: the collections `_cdc` and `_cdc_positions` of a target's database, for hosts without
//! a durable disk. It keeps what a [change log](super::log) keeps, and any client can read it.
//!
//! ```text
//! _cdc            { _id: <resume token>, stream, n, run, block, ordinal, ns, time, op, event }
//! _cdc_positions  { _id: { stream, number }, capture, n, run, block, token, time }
//! ```
//! What holds:
//! - `n` numbers the events of a stream, from 0 and without a gap. A position says that the events before its `n` are
//!   there: a majority has them, in its journal, before the position is written, and then it too. What stands behind the
//!   newest position does not count: [`CdcWriter::resume`] deletes it, and the stream gives it again, under the same `n`.
//! - Each writer has a `run` of its own and begins with a position. Positions are numbered, so one that another writer has
//!   overtaken finds its number taken, and fails: what it wrote since never counts.
//! - `ordinal` counts the events of one lane (`ns`) within a run; a `block` ends at each position, around each barrier, and
//!   after some bytes. So places and blocks are the same however often they are read.
//! - An event whose document would be too large is a file beside the capture's manifest, durable before the document that
//!   names it. One that is nested deeper than servers store is kept as binary (`raw`).

mod deep;
mod position;
mod reader;
mod record;
mod writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bson::{Bson, RawDocumentBuf, rawdoc};
use tokio::runtime::Handle;

use super::log::LogPlace;
use crate::{
    catalog,
    connect::{Doing, Server, command_text, is_out_of_space, kind_of, retry_code},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

pub use self::{reader::CdcReader, writer::CdcWriter};

/// The collection of the events.
pub const EVENTS: &str = "_cdc";
/// The collection of the positions.
pub const POSITIONS: &str = "_cdc_positions";
/// The database where neither the target nor the selection names one.
pub const DATABASE: &str = "transload";

/// The events of one stream in a target.
#[derive(Clone, Debug)]
pub struct Cdc {
    server: Server,
    database: String,
    /// What the positions of this capture are known by.
    capture: String,
    /// From 1.
    stream: u32,
    /// Where events are that are too large for a document.
    folder: PathBuf,
    runtime: Handle,
}

impl Cdc {
    /// Of the stream `stream` of a capture. Call it within a runtime, and everything that blocks outside of its tasks.
    pub fn new(server: &Server, database: &str, capture: &str, stream: u32, folder: &Path) -> Self {
        Cdc {
            server: server.reading_primary().writing_durably(),
            database: database.to_owned(),
            capture: capture.to_owned(),
            stream,
            folder: folder.to_owned(),
            runtime: Handle::current(),
        }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        format!("{}: {}.{EVENTS}, stream {}", self.server.place(), self.database, self.stream)
    }

    /// Refuses a database that holds the events of another capture, or collections of these names that are nobody's.
    ///
    /// # Errors
    /// Of kind [`AlreadyExists`](ErrorKind::AlreadyExists) for that; else what the server says.
    pub async fn check_free(&self) -> Result<()> {
        for name in [POSITIONS, EVENTS] {
            let found = self.find(name, rawdoc! { "find": name, "limit": 1 }).await?;
            let Some(first) = found.first() else { continue };
            let is_ours = name == EVENTS || position::capture(first) == Some(&self.capture);
            if !is_ours {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("{name} holds what another capture has written"),
                )
                .with_hint(format!(
                    "go on with that one (its capture.json is needed), or name another database in --target; when \
                         nobody needs it any more, drop {EVENTS} and {POSITIONS}"
                ))
                .at(format!("{}: {}", self.server.place(), self.database)));
            }
            if name == POSITIONS {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("there is a collection {EVENTS} without {POSITIONS}"),
            )
            .with_hint("name another database in --target, or drop the collection if nobody needs it")
            .at(format!("{}: {}", self.server.place(), self.database)));
        }
        Ok(())
    }

    /// Drops the events of all streams of the capture, and their positions; what is another's stays.
    ///
    /// # Errors
    /// What the server says.
    pub async fn drop(&self) -> Result<()> {
        match self.check_free().await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            free => free?,
        }
        // What is left of a kill in between is known by its positions.
        for name in [EVENTS, POSITIONS] {
            catalog::drop(&self.server, &self.namespace(name)?).await?;
        }
        Ok(())
    }

    /// Deletes what stands before a place, durably. What a reader that begins there needs stays.
    ///
    /// # Errors
    /// What the server says.
    pub fn prune(&self, place: LogPlace) -> Result<()> {
        let (number, n) = (signed(place.segment), signed(place.offset));
        let stream = i64::from(self.stream);
        let before = rawdoc! { "_id": {
            "$gte": { "stream": stream, "number": 0i64 },
            "$lt": { "stream": stream, "number": number },
        } };
        self.runtime.block_on(async {
            // Positions first: none may stand before events that are gone.
            self.delete(POSITIONS, before).await?;
            self.delete(EVENTS, rawdoc! { "stream": stream, "n": { "$lt": n } }).await
        })?;
        self.prune_files(place.offset)
    }

    fn prune_files(&self, before: u64) -> Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&self.folder, error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| Error::io(&self.folder, error))?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(record::file_number);
            if number.is_some_and(|number| number < before) {
                crate::replace::remove(&path)?;
            }
        }
        Ok(())
    }

    fn namespace(&self, collection: &str) -> Result<Namespace> {
        Namespace::new(&self.database, collection)
    }

    async fn find(&self, collection: &str, command: RawDocumentBuf) -> Result<Vec<Vec<u8>>> {
        let doing = Doing::new(format!("read {}.{collection}", self.database), "find", self.database.as_str());
        self.server.documents(&self.database, command, &doing).await
    }

    async fn delete(&self, collection: &str, filter: RawDocumentBuf) -> Result<()> {
        let doing = Doing::new(format!("delete from {}.{collection}", self.database), "remove", self.database.as_str());
        let deletes = bson::RawArrayBuf::from_iter([rawdoc! { "q": filter, "limit": 0 }]);
        let concern = self.server.write_concern();
        self.write(rawdoc! { "delete": collection, "deletes": deletes, "writeConcern": concern }, &doing).await
    }

    /// Runs a write that may be repeated, until it is durable.
    async fn write(&self, command: RawDocumentBuf, doing: &Doing) -> Result<()> {
        let mut patience = self.server.patience();
        loop {
            let reply = self.server.run(&self.database, command.clone(), doing).await?;
            let errors = reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document);
            let Some(error) = errors.chain(reply.get_document("writeConcernError").ok()).next() else { return Ok(()) };
            let code = error.get_i32("code").unwrap_or(0);
            if patience.wait(retry_code(code)).await {
                continue;
            }
            let said = error.get_str("errmsg").unwrap_or_default();
            let kind = if is_out_of_space(code, said) { ErrorKind::NoSpace } else { kind_of(code) };
            let text = command_text(code, "", said);
            return Err(Error::new(kind, format!("failed to {doing}: {text}")).at(self.server.place()));
        }
    }

    /// Something in the collections is not what a capture has written.
    fn damaged(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Damaged, message)
            .with_hint(
                "what stands there was changed, dropped or restored from a backup; begin a new capture with a new DIR, drop \
                 the two collections, and copy anew",
            )
            .at(self.place())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
