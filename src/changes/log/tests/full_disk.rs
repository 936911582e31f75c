//! The disk is full, or fails, at any operation of the writer.

use super::{faults, *};

#[test]
fn a_full_disk_is_said_and_the_log_goes_on_after_room_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let (mut next, mut failures) = (0, 0);
    while next < 400 {
        faults::room(Some(next as u64 * 13 % 900));
        let failed = fill(&mut writer, next..next + 10);
        faults::room(None);
        next += 10;
        if let Err(error) = failed {
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            assert_eq!(refused(writer.append("a.b", &event(1), false)).kind(), ErrorKind::Internal);
            assert_eq!(refused(writer.commit(&position(1))).kind(), ErrorKind::Internal);
            let (resumed, from) = LogWriter::resume(folder.path(), SMALL).unwrap();
            (writer, failures) = (resumed, failures + 1);
            next = if from.time == 0 { 0 } else { from.time as i32 + 1 };
            fill(&mut writer, next..next + 10).unwrap();
            next += 10;
        }
    }
    assert!(failures > 5, "{failures}");
    assert_eq!(all(&read(folder.path()).unwrap()), (0..next).collect::<Vec<_>>());
}

#[test]
fn whichever_operation_of_the_disk_fails_nothing_committed_is_lost() {
    for steps in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
        let mut reader = LogReader::open(folder.path()).unwrap();
        let (mut committed, mut next) = (0, 0);
        faults::fail_after(Some(steps));
        let failed = loop {
            if next >= 100 {
                break false;
            }
            if fill(&mut writer, next..next + 10).is_err() {
                break true;
            }
            next += 10;
            committed = next;
        };
        faults::fail_after(None);
        if !failed {
            assert!(steps > 30, "{steps}");
            return;
        }
        let before = drain(&mut reader).unwrap();
        let (mut writer, from) = LogWriter::resume(folder.path(), SMALL).unwrap();
        let next = if from.time == 0 { 0 } else { from.time as i32 + 1 };
        // A commit that failed may be there, when it was the next segment that could not be begun.
        assert!(next == committed || next == committed + 10, "step {steps}");
        fill(&mut writer, next..100).unwrap();
        let items = [before, drain(&mut reader).unwrap()].concat();
        assert_eq!(all(&items), (0..100).collect::<Vec<_>>(), "step {steps}");
        assert_eq!(items, read(folder.path()).unwrap());
    }
}
