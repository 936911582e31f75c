//! The writer dies, at any point, and the log is gone on with.

use std::fs::OpenOptions;

use transload_format::limits::FOOTER_LEN;

use super::*;

#[test]
fn a_segment_cut_at_any_byte_goes_on_at_its_last_whole_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), ONE).unwrap();
    fill(&mut writer, 0..20).unwrap();
    writer.append("shop.other", &event(20), false).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let items = read(folder.path()).unwrap();
    let whole = checkpoints(&items);
    let bytes = fs::read(unfinished(folder.path())).unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let path = crashed.path().join("00000001.tlz.partial");
    for len in 0..=bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        let last = whole.iter().rfind(|(_, place)| place.offset <= len as u64);
        let Some((time, place)) = last else {
            assert_eq!(refused(LogWriter::resume(crashed.path(), ONE)).kind(), ErrorKind::Damaged);
            continue;
        };
        let before = read(crashed.path()).unwrap();
        assert_eq!(before, items[..before.len()]);
        assert_eq!(checkpoints(&before).last(), last);
        let (mut writer, from) = LogWriter::resume(crashed.path(), ONE).unwrap();
        assert_eq!(from, position(*time));
        assert_eq!(fs::metadata(&path).unwrap().len(), place.offset);
        // Where a cut lies within a block does not matter for what comes after it.
        let is_near = (0..4).any(|near| bytes.get(len + near..).is_some_and(|rest| rest.starts_with(b"\x8aBLK")));
        if !is_near && len < bytes.len() {
            continue;
        }
        let next = if *time == 0 { 0 } else { *time as i32 + 1 };
        fill(&mut writer, next..40).unwrap();
        let after = read(crashed.path()).unwrap();
        assert_eq!(after[..before.len()], before);
        assert_eq!(all(&after), (0..40).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_is_gone_on_with_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(LogWriter::create(folder.path(), &position(0), SMALL).unwrap());
    for round in 0..50 {
        let (mut writer, from) = LogWriter::resume(folder.path(), SMALL).unwrap();
        assert_eq!(from, position(if round == 0 { 0 } else { round as u64 * 10 - 1 }));
        fill(&mut writer, round * 10..round * 10 + 10).unwrap();
        fill(&mut writer, 7000..7005).unwrap();
        if round % 2 == 0 {
            writer.flush().unwrap();
        }
    }
    let items = read(folder.path()).unwrap();
    assert_eq!(all(&items), (0..500).collect::<Vec<_>>());
    assert!(names(folder.path()).len() > 2);
}

/// A log whose last segment is finished, as it is between its rename and the next one.
fn between_segments() -> (tempfile::TempDir, u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let mut number = 0;
    while names(folder.path()).len() < 3 {
        fill(&mut writer, number..number + 10).unwrap();
        number += 10;
    }
    fs::remove_file(unfinished(folder.path())).unwrap();
    (folder, number as u64 - 1)
}

#[test]
fn a_crash_between_two_segments_begins_the_next_one() {
    let (folder, time) = between_segments();
    let before = read(folder.path()).unwrap();
    let mut reader = LogReader::open(folder.path()).unwrap();
    assert_eq!(drain(&mut reader).unwrap(), before);
    let (mut writer, from) = LogWriter::resume(folder.path(), SMALL).unwrap();
    assert_eq!(from, position(time));
    fill(&mut writer, time as i32 + 1..time as i32 + 11).unwrap();
    let after = drain(&mut reader).unwrap();
    assert_eq!(checkpoints(&after).iter().map(|(time, _)| *time).collect::<Vec<_>>(), [time, time + 10]);
    assert_eq!(read(folder.path()).unwrap(), [before, after].concat());
}

#[test]
fn a_crash_before_the_rename_or_within_the_tail_loses_nothing() {
    let (folder, time) = between_segments();
    let finished = folder.path().join("00000002.tlz");
    let partial = folder.path().join("00000002.tlz.partial");
    let before = read(folder.path()).unwrap();
    fs::rename(&finished, &partial).unwrap();
    let len = fs::metadata(&partial).unwrap().len();
    let end = checkpoints(&before).last().unwrap().1.offset;
    for len in [len, len - 1, len - FOOTER_LEN as u64, len - FOOTER_LEN as u64 - 1, end + 200, end + 1] {
        let crashed = copy(folder.path());
        let partial = crashed.path().join("00000002.tlz.partial");
        OpenOptions::new().write(true).open(&partial).unwrap().set_len(len).unwrap();
        assert_eq!(read(crashed.path()).unwrap(), before);
        let (mut writer, from) = LogWriter::resume(crashed.path(), SMALL).unwrap();
        assert_eq!(from, position(time));
        fill(&mut writer, time as i32 + 1..time as i32 + 51).unwrap();
        let items = read(crashed.path()).unwrap();
        assert_eq!(items[..before.len()], before);
        assert_eq!(all(&items), (0..time as i32 + 51).collect::<Vec<_>>());
    }
}

#[test]
fn no_log_a_gap_and_a_lost_position_are_errors_and_never_a_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refused(LogWriter::resume(folder.path(), SMALL)).kind(), ErrorKind::NotFound);
    assert_eq!(refused(LogReader::open(folder.path())).kind(), ErrorKind::NotFound);
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    fill(&mut writer, 0..500).unwrap();
    drop(writer);
    let gap = copy(folder.path());
    fs::remove_file(gap.path().join("00000002.tlz")).unwrap();
    for error in [refused(LogWriter::resume(gap.path(), SMALL)), refused(read(gap.path()))] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("00000002.tlz: this segment of the change log is missing"), "{error}");
    }
    let unnamed = copy(folder.path());
    let path = unnamed.path().join("00000002.tlz");
    fs::rename(&path, unnamed.path().join("00000002.tlz.partial")).unwrap();
    assert_eq!(refused(LogWriter::resume(unnamed.path(), SMALL)).kind(), ErrorKind::Damaged);
    let swapped = copy(folder.path());
    fs::rename(swapped.path().join("00000003.tlz"), swapped.path().join("00000002.tlz")).unwrap();
    fs::copy(folder.path().join("00000002.tlz"), swapped.path().join("00000003.tlz")).unwrap();
    assert_eq!(refused(read(swapped.path())).kind(), ErrorKind::Damaged);
}
