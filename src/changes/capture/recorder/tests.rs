//! Where a recorder commits, against a log in memory.

use bson::{Timestamp, rawdoc};

use super::*;
use crate::{
    changes::Watch,
    selection::{Selection, SelectionOptions},
};

#[derive(Debug, Default)]
struct Memory {
    /// `token` of events, `[token]` of commits.
    written: Vec<String>,
}

impl Log for Memory {
    fn append(&mut self, _: &str, event: &[u8], _: bool) -> Result<()> {
        self.written.push(name(Event::parse(event)?.token));
        Ok(())
    }

    fn commit(&mut self, position: &Position) -> Result<()> {
        self.written.push(format!("[{}]", name(&position.token)));
        Ok(())
    }

    fn held(&self) -> usize {
        0
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn name(token: &[u8]) -> String {
    let name = crate::document::find(token, b"n").unwrap();
    String::from_utf8(name.string().unwrap().to_vec()).unwrap()
}

fn token(name: &str) -> Vec<u8> {
    rawdoc! { "n": name }.into_bytes()
}

fn event_of(name: &str, time: u32, len: usize) -> Vec<u8> {
    let time = Timestamp { time, increment: 0 };
    let event = rawdoc! {
        "_id": { "n": name }, "operationType": "insert", "clusterTime": time, "ns": { "db": "shop", "coll": "orders" },
        "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1, "text": "x".repeat(len) },
    };
    event.into_bytes()
}

/// A recorder that commits at every boundary that it meets at the end of a reply.
fn recorder(bytes: usize) -> Recorder<Memory> {
    let selection = Selection::new(&SelectionOptions::default()).unwrap();
    let filter = Filter::new(selection, Watch::Deployment);
    let sync = SyncOptions { interval: Duration::ZERO, bytes, idle: Duration::from_secs(10) };
    Recorder::new(Memory::default(), Position { token: token("0"), time: 0 }, filter, sync)
}

fn take(recorder: &mut Recorder<Memory>, events: &[(&str, u32)], behind: &str) {
    let events: Vec<_> = events.iter().map(|(name, time)| event_of(name, *time, 0)).collect();
    let events: Vec<_> = events.iter().map(Vec::as_slice).collect();
    recorder.take(&events, &Position { token: token(behind), time: 0 }, false).unwrap();
}

#[test]
fn a_token_beyond_the_last_event_is_committed_behind_it() {
    let mut recorder = recorder(usize::MAX);
    take(&mut recorder, &[("a", 1), ("b", 2)], "beyond");
    assert_eq!(recorder.log.written, ["a", "b", "[beyond]"]);
    assert_eq!(recorder.counts().map(|(_, count)| count.events).sum::<u64>(), 2);
}

#[test]
fn events_of_one_time_wait_for_the_next_one_when_more_may_follow() {
    let mut recorder = recorder(usize::MAX);
    take(&mut recorder, &[("a", 1), ("b", 2), ("c", 2)], "c");
    assert_eq!(recorder.log.written, ["a", "[a]"]);
    take(&mut recorder, &[("d", 2)], "d");
    assert_eq!(recorder.log.written, ["a", "[a]"]);
    take(&mut recorder, &[("e", 3)], "e");
    assert_eq!(recorder.log.written, ["a", "[a]", "b", "c", "d", "[d]"]);
    recorder.finish().unwrap();
    assert_eq!(recorder.log.written.len(), 6, "what may not be whole is not committed");
    take(&mut recorder, &[], "beyond");
    assert_eq!(recorder.log.written[6..], ["e", "[beyond]"]);
}

#[test]
fn a_pause_shows_that_the_last_events_are_whole() {
    let mut recorder = recorder(usize::MAX);
    take(&mut recorder, &[("a", 1), ("b", 1)], "b");
    assert!(recorder.log.written.is_empty());
    recorder.take(&[], &Position { token: token("b"), time: 1 }, true).unwrap();
    assert_eq!(recorder.log.written, ["a", "b", "[b]"]);
    recorder.take(&[], &Position { token: token("b"), time: 1 }, true).unwrap();
    assert_eq!(recorder.log.written.len(), 3);
}

#[test]
fn within_a_reply_a_commit_stands_between_two_times() {
    let mut recorder = recorder(1);
    take(&mut recorder, &[("a", 1), ("b", 2), ("c", 2), ("d", 3)], "d");
    assert_eq!(recorder.log.written, ["a", "[a]", "b", "c", "[c]"]);
}

#[test]
fn a_transaction_too_large_to_be_held_is_appended_without_a_commit() {
    let mut recorder = recorder(usize::MAX);
    take(&mut recorder, &[("a", 1)], "a");
    let large: Vec<_> = ["b", "c", "d"].iter().map(|name| event_of(name, 2, HELD_BACK / 2 + 1)).collect();
    let events: Vec<_> = large.iter().map(Vec::as_slice).collect();
    recorder.take(&events, &Position { token: token("d"), time: 2 }, false).unwrap();
    assert_eq!(recorder.log.written, ["a", "[a]", "b", "c"]);
    recorder.finish().unwrap();
    assert!(!recorder.log.written.iter().skip(2).any(|written| written.starts_with('[')));
    take(&mut recorder, &[("e", 3)], "beyond");
    assert_eq!(recorder.log.written.last().unwrap(), "[beyond]");
}

#[test]
fn an_idle_stream_commits_now_and_then_and_at_the_end() {
    let mut recorder = recorder(usize::MAX);
    take(&mut recorder, &[], "one");
    take(&mut recorder, &[], "two");
    assert!(recorder.log.written.is_empty());
    recorder.finish().unwrap();
    recorder.finish().unwrap();
    assert_eq!(recorder.log.written, ["[two]"]);
}

#[test]
fn what_is_left_out_counts_for_the_position_all_the_same() {
    let mut recorder = recorder(usize::MAX);
    recorder.filter = Filter::new(
        Selection::new(&SelectionOptions { include: vec!["shop.x".to_owned()], ..Default::default() }).unwrap(),
        Watch::Deployment,
    );
    take(&mut recorder, &[("a", 1), ("b", 2)], "b");
    recorder.finish().unwrap();
    assert_eq!(recorder.log.written, ["[a]"]);
    assert_eq!(recorder.counts().count(), 0);
}
