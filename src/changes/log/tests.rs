//! The change log on a real disk: what it holds comes back, whatever kills its writer.

mod crashes;
mod damage;
mod follow;
mod full_disk;
mod killed;
mod round_trip;

use std::{
    fs,
    path::{Path, PathBuf},
};

use bson::rawdoc;
use transload_format::{Codec, Documents};

use super::*;
use crate::error::{Error, ErrorKind, Result};

/// Small segments and blocks, so that there are many.
const SMALL: LogOptions = LogOptions { segment_bytes: 4096, block_bytes: 300, codec: Codec::Zstd(1), idle: IDLE };
/// One segment.
const ONE: LogOptions = LogOptions { segment_bytes: 1 << 30, block_bytes: 300, codec: Codec::Zstd(1), idle: IDLE };

fn position(time: u64) -> Position {
    Position { token: rawdoc! { "_data": format!("token {time}") }.into_bytes(), time }
}

fn event(number: i32) -> Vec<u8> {
    rawdoc! { "_id": number, "text": format!("the event with number {number}") }.into_bytes()
}

fn number(event: &[u8]) -> i32 {
    bson::RawDocument::from_bytes(event).unwrap().get_i32("_id").unwrap()
}

/// The numbers of the events in a block.
fn numbers(events: &[u8]) -> Vec<i32> {
    Documents::new(events).map(|event| number(event.unwrap())).collect()
}

/// Everything that a reader gives now.
fn drain(reader: &mut LogReader) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok(items)
}

fn read(directory: &Path) -> Result<Vec<Item>> {
    drain(&mut LogReader::open(directory)?)
}

/// The numbers of the events of one lane.
fn lane(items: &[Item], name: &str) -> Vec<i32> {
    let mut all = Vec::new();
    for item in items {
        if let Item::Events { namespace, events, count, .. } = item
            && &**namespace == name
        {
            let found = numbers(events);
            assert_eq!(found.len(), *count as usize);
            all.extend(found);
        }
    }
    all
}

/// The numbers of all events, in the order of the log.
fn all(items: &[Item]) -> Vec<i32> {
    let events = items.iter().filter_map(|item| match item {
        Item::Events { events, .. } => Some(numbers(events)),
        Item::Checkpoint { .. } => None,
    });
    events.flatten().collect()
}

/// The times of the checkpoints, and their places.
fn checkpoints(items: &[Item]) -> Vec<(u64, LogPlace)> {
    let found = items.iter().filter_map(|item| match item {
        Item::Checkpoint { position, place } => Some((position.time, *place)),
        Item::Events { .. } => None,
    });
    found.collect()
}

/// Appends the events with these numbers to the one lane, and commits each ten of them with the last one's number as
/// the time.
fn fill(writer: &mut LogWriter, numbers: std::ops::Range<i32>) -> Result<()> {
    for number in numbers {
        writer.append("shop.orders", &event(number), false)?;
        if number % 10 == 9 {
            writer.commit(&position(number as u64))?;
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A copy of a log, as a crash would leave it.
fn copy(directory: &Path) -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    for name in names(directory) {
        fs::copy(directory.join(&name), copied.path().join(&name)).unwrap();
    }
    copied
}

fn unfinished(directory: &Path) -> PathBuf {
    let name = names(directory).into_iter().find(|name| name.ends_with(".partial")).unwrap();
    directory.join(name)
}

fn refused<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}
