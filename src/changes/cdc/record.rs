//! The document of one event, and what a reader finds in it.

use std::{fs, io, path::Path};

use super::{Cdc, deep::is_too_deep, position::number, signed};
use crate::{
    changes::Event,
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    replace::replace,
};

/// The largest document that a server takes.
const LARGEST: usize = 16 * 1024 * 1024;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) n: u64,
    pub(super) run: u64,
    pub(super) block: u64,
    pub(super) ordinal: u64,
}

/// An event as it was read.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) standing: Standing,
    pub(super) namespace: &'a str,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    Here(&'a [u8]),
    File { name: &'a str, crc: u64 },
}

/// Writes the document of an event behind what `batch` holds.
pub(super) fn write(cdc: &Cdc, batch: Vec<u8>, standing: Standing, namespace: &str, event: &[u8]) -> Result<Vec<u8>> {
    let parsed = Event::parse(event)?;
    let start = batch.len();
    let mut document = begin(cdc, batch, standing, namespace, &parsed);
    if is_too_deep(event) {
        document.binary("raw", 0, event);
    } else {
        document.document("event", event);
    }
    let mut batch = document.finish();
    if batch.len() - start <= LARGEST {
        return Ok(batch);
    }
    let name = file_name(standing.n);
    fs::create_dir_all(&cdc.folder).map_err(|error| Error::io(&cdc.folder, error))?;
    replace(&cdc.folder.join(&name), event)?;
    batch.truncate(start);
    let mut document = begin(cdc, batch, standing, namespace, &parsed);
    document.string("file", &name).int64("crc", i64::from(crc32fast::hash(event)));
    Ok(document.finish())
}

fn begin(cdc: &Cdc, batch: Vec<u8>, standing: Standing, namespace: &str, event: &Event<'_>) -> RawBuilder {
    let mut document = RawBuilder::behind(batch);
    document.document("_id", event.token).int64("stream", i64::from(cdc.stream)).int64("n", signed(standing.n));
    document.int64("run", signed(standing.run)).int64("block", signed(standing.block));
    document.int64("ordinal", signed(standing.ordinal)).string("ns", namespace);
    if event.time > 0 {
        document.append_element(kind::TIMESTAMP, "time", &event.time.to_le_bytes());
    }
    document.string("op", event.name);
    document
}

impl<'a> Record<'a> {
    /// Reads a document; none when it is no event's.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut n, mut run, mut block, mut ordinal) = (None, None, None, None);
        let (mut namespace, mut here, mut file, mut crc) = (None, None, None, None);
        for element in document::elements(bytes) {
            let element = element.ok()?;
            let text = || std::str::from_utf8(element.string()?).ok();
            match element.name {
                b"n" => n = number(Some(element)),
                b"run" => run = number(Some(element)),
                b"block" => block = number(Some(element)),
                b"ordinal" => ordinal = number(Some(element)),
                b"ns" => namespace = text(),
                b"event" if element.kind == kind::DOCUMENT => here = Some(element.value),
                b"raw" if element.kind == kind::BINARY => here = element.value.get(5..),
                b"file" => file = text(),
                b"crc" => crc = number(Some(element)),
                _ => {}
            }
        }
        let content = match (here, file, crc) {
            (Some(event), ..) => Content::Here(event),
            (None, Some(name), Some(crc)) => Content::File { name, crc },
            _ => return None,
        };
        let standing = Standing { n: n?, run: run?, block: block?, ordinal: ordinal? };
        Some(Record { standing, namespace: namespace?, content })
    }

    /// Appends the event's bytes to `events`.
    ///
    /// # Errors
    /// When it is in a file that is not there any more, or not what was written.
    pub(super) fn take(&self, cdc: &Cdc, events: &mut Vec<u8>) -> Result<()> {
        match self.content {
            Content::Here(event) => events.extend_from_slice(event),
            Content::File { name, crc } => events.extend_from_slice(&read_file(&cdc.folder, name, crc)?),
        }
        Ok(())
    }
}

fn read_file(folder: &Path, name: &str, crc: u64) -> Result<Vec<u8>> {
    let path = folder.join(name);
    let hint = "an event too large for a document is in this file alone: put it back, or copy anew with a new capture";
    // A name from outside stays in the folder.
    if file_number(name).is_none() {
        return Err(Error::new(ErrorKind::Damaged, "is no name of an event's file").at(name).with_hint(hint));
    }
    let event = match fs::read(&path) {
        Ok(event) => event,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::NotFound, "the file of a large event is missing")
                .with_hint(hint)
                .at(path.display().to_string()));
        }
        Err(error) => return Err(Error::io(path, error)),
    };
    let found = crc32fast::hash(&event);
    if u64::from(found) != crc {
        let message = format!("checksum mismatch, stored {crc:08x}, computed {found:08x}");
        return Err(Error::new(ErrorKind::Damaged, message).with_hint(hint).at(path.display().to_string()));
    }
    Ok(event)
}

fn file_name(n: u64) -> String {
    format!("{n:016}.event")
}

/// The number in the name of an event's file.
pub(super) fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".event")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}
