//! The file of a journal: records one behind the other, each under a checksum.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, ErrorKind, Result},
    replace::replace,
};

/// Bytes at which the file is written anew with what still counts; if that is more than half of it, it grows on.
const GROWN: u64 = 16 * 1024 * 1024;
/// The first bytes: what it is, and its version.
const MAGIC: &[u8; 8] = b"\x89TLJ\r\n\x00\x01";
/// A record is a document behind its CRC-32.
const CRC_LEN: usize = 4;
/// No record is as short as a document without fields.
const EMPTY_LEN: usize = 5;

/// A journal's file, at its end.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// Its length after it was last written anew.
    len_then: u64,
}

impl JournalFile {
    /// Opens the file, and cuts off what of a record a kill has left at its end. Gives all whole records.
    ///
    /// # Errors
    /// When it cannot be read or written, or when a record is not in order and not the last.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Vec<u8>>)> {
        let fail = |error| Error::io(path, error);
        if !path.exists() {
            replace(path, MAGIC)?;
        }
        let bytes = std::fs::read(path).map_err(fail)?;
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged(path, 0))?;
        let mut records = Vec::new();
        let mut at = MAGIC.len();
        let mut rest = rest;
        while !rest.is_empty() {
            match next(rest) {
                Next::Record { record, after } => {
                    records.push(record.to_vec());
                    at += rest.len() - after.len();
                    rest = after;
                }
                Next::Damage => return Err(damaged(path, at)),
                // A record behind it was relied on: then a length is not what was written.
                Next::CutOff if has_record(rest) => return Err(damaged(path, at)),
                Next::CutOff => break,
            }
        }
        let mut file = OpenOptions::new().write(true).open(path).map_err(fail)?;
        let len = at as u64;
        file.set_len(len).map_err(fail)?;
        file.seek(SeekFrom::Start(len)).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        Ok((JournalFile { path: path.to_owned(), file, len, len_then: len }, records))
    }

    /// Appends a record, which takes the place of the last one of the same lane or log.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        let framed = framed(record);
        self.file.write_all(&framed).map_err(|error| Error::io(&self.path, error))?;
        self.len += framed.len() as u64;
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io(&self.path, error))?;
        if self.len > GROWN && self.len > self.len_then * 2 { self.write_anew() } else { Ok(()) }
    }

    /// Leaves out the records that no longer count.
    fn write_anew(&mut self) -> Result<()> {
        let (_, records) = JournalFile::open(&self.path)?;
        let mut last: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for record in records {
            last.insert(super::record::key(&record)?, record);
        }
        let mut bytes = MAGIC.to_vec();
        last.values().for_each(|record| bytes.extend(framed(record)));
        replace(&self.path, &bytes)?;
        let fail = |error: io::Error| Error::io(&self.path, error);
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(fail)?;
        (self.len, self.len_then) = (bytes.len() as u64, bytes.len() as u64);
        Ok(())
    }
}

fn framed(record: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(record);
    [&crc.to_le_bytes()[..], record].concat()
}

/// What a file goes on with.
enum Next<'a> {
    Record {
        record: &'a [u8],
        after: &'a [u8],
    },
    /// What a kill has left of a record.
    CutOff,
    /// Bytes that were never written.
    Damage,
}

fn next(bytes: &[u8]) -> Next<'_> {
    let Some((crc, framed)) = bytes.split_first_chunk::<CRC_LEN>() else { return Next::CutOff };
    let Some(len) = framed.first_chunk() else { return Next::CutOff };
    if bytes.iter().all(|byte| *byte == 0) {
        // So a file system fills what it has given a file, but not written.
        return Next::CutOff;
    }
    let Ok(len) = usize::try_from(i32::from_le_bytes(*len)) else { return Next::Damage };
    let Some((record, after)) = framed.split_at_checked(len) else { return Next::CutOff };
    match crc32fast::hash(record) == u32::from_le_bytes(*crc) {
        true => Next::Record { record, after },
        // The end of a file may have its length before its bytes.
        false if after.is_empty() => Next::CutOff,
        false => Next::Damage,
    }
}

/// Whether there is a whole record anywhere behind the beginning of these bytes.
fn has_record(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|from| match bytes.get(from..).map(next) {
        Some(Next::Record { record, .. }) => record.len() > EMPTY_LEN,
        _ => false,
    })
}

fn damaged(path: &Path, at: usize) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!("the journal is damaged at offset {at}: how far the replay was is not known"),
    )
    .with_hint("restore the archive anew, and replay from the beginning of the log into it")
    .at(path.display().to_string())
}
