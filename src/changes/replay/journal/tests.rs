//! What a journal has written comes back after a kill, and what is damaged is never a new beginning.

use super::*;
use crate::changes::{
    log::{EventPlace, LogPlace},
    shelf::Span,
};

fn lane(ordinal: u64) -> LaneRecord {
    let mut lane = LaneRecord { next: EventPlace { segment: 3, ordinal }, ..LaneRecord::default() };
    lane.computed.insert((vec![1, 0, 2], 7), u64::MAX - 5);
    lane.fetched.insert(vec![9], Fetched { span: Span { low: 7, high: u64::MAX }, key: vec![1, 2] });
    lane.owed.push(vec![3]);
    lane
}

async fn written(path: &Path) {
    let (journal, _) = Journal::open(path).unwrap();
    journal.lane(1, "shop.orders", &lane(5)).await.unwrap();
    journal.lane(1, "shop.orders", &lane(6)).await.unwrap();
    journal.lane(2, "shop.orders", &lane(1)).await.unwrap();
    let log = LogRecord { place: LogPlace { segment: 3, offset: 1 << 40 }, time: 99 };
    journal.log(1, &log).await.unwrap();
}

#[tokio::test]
async fn the_last_record_of_each_lane_and_log_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    written(&path).await;
    let (_, recorded) = Journal::open(&path).unwrap();
    assert_eq!(recorded.lanes.len(), 2);
    assert_eq!(recorded.lanes[&(1, "shop.orders".to_owned())], lane(6));
    assert_eq!(recorded.logs[&1].place, LogPlace { segment: 3, offset: 1 << 40 });
}

#[tokio::test]
async fn a_record_that_was_cut_off_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    written(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let mut counts = Vec::new();
    for len in 8..=whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        let (_, recorded) = Journal::open(&path).unwrap();
        counts.push(recorded.lanes.len() + recorded.logs.len());
    }
    assert!(counts.is_sorted());
    assert_eq!((counts[0], counts.last().copied()), (0, Some(3)));
}

#[tokio::test]
async fn a_changed_byte_is_an_error_and_never_a_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    written(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let (_, records) = JournalFile::open(&path).unwrap();
    let last = whole.len() - records.last().unwrap().len() - 4;
    // The last record could be one that was cut off.
    let mut at = 8;
    for record in &records[..records.len() - 1] {
        for flipped in at..at + 4 + record.len() {
            let mut bytes = whole.clone();
            bytes[flipped] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Journal::open(&path).unwrap_err().kind(), ErrorKind::Damaged, "byte {flipped}");
        }
        at += 4 + record.len();
    }
    assert_eq!(at, last);
}

#[tokio::test]
async fn a_journal_that_has_grown_is_written_anew_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, _) = Journal::open(&path).unwrap();
    journal.lane(1, "shop.first", &lane(1)).await.unwrap();
    let mut large = lane(0);
    large.computed = (0..50_000_u64).map(|key| ((key.to_le_bytes().to_vec(), 1), key)).collect();
    for ordinal in 0..30 {
        large.next.ordinal = ordinal;
        journal.lane(1, "shop.orders", &large).await.unwrap();
    }
    assert!(std::fs::metadata(&path).unwrap().len() < 40 << 20);
    let (_, recorded) = Journal::open(&path).unwrap();
    assert_eq!(recorded.lanes[&(1, "shop.orders".to_owned())], large);
    assert_eq!(recorded.lanes[&(1, "shop.first".to_owned())], lane(1));
}

#[tokio::test]
async fn a_journal_that_is_closed_has_all_and_is_written_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, _) = Journal::open(&path).unwrap();
    for ordinal in 0..100 {
        journal.note_lane(1, "shop.orders", &lane(ordinal)).await.unwrap();
    }
    journal.close().await;
    let (_, recorded) = Journal::open(&path).unwrap();
    assert_eq!(recorded.lanes[&(1, "shop.orders".to_owned())], lane(99));
    assert!(journal.note_lane(1, "shop.orders", &lane(100)).await.is_err());
    // Nor does it matter that it is closed already.
    journal.close().await;
}
