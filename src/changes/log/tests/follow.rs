//! A reader that follows a log gets each event once, whatever happens to the writer meanwhile.

use super::*;

#[test]
fn a_reader_gets_every_event_once_while_the_writer_is_killed_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let mut reader = LogReader::open(folder.path()).unwrap();
    let (mut items, mut next) = (Vec::new(), 0);
    for round in 0..200 {
        fill(&mut writer, next..next + 10).unwrap();
        next += 10;
        if round % 3 == 0 {
            items.extend(drain(&mut reader).unwrap());
        }
        // Events without a checkpoint, which the next writer gets again from the stream.
        fill(&mut writer, next..next + round % 9).unwrap();
        writer.flush().unwrap();
        if round % 2 == 0 {
            items.extend(drain(&mut reader).unwrap());
        }
        if round % 5 == 0 {
            // What a kill leaves of a block, that no checkpoint follows.
            drop(writer);
            writer = LogWriter::resume(folder.path(), SMALL).unwrap().0;
        } else {
            next += round % 9;
        }
        // Back to a multiple of ten, so that `fill` commits in time.
        fill(&mut writer, next..(next + 9) / 10 * 10).unwrap();
        next = (next + 9) / 10 * 10;
    }
    writer.commit(&position(1_000_000)).unwrap();
    items.extend(drain(&mut reader).unwrap());
    assert_eq!(all(&items), (0..next).collect::<Vec<_>>());
    assert_eq!(items, read(folder.path()).unwrap());
    assert!(names(folder.path()).len() > 10);
    reader.sync().unwrap();
}

#[test]
fn a_reader_in_another_thread_never_sees_an_error_or_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let directory = folder.path().to_owned();
    let total = 3000;
    let follower = std::thread::spawn(move || {
        let mut reader = LogReader::open(&directory).unwrap();
        let mut items = Vec::new();
        loop {
            match reader.next().unwrap() {
                Some(Item::Checkpoint { position, place }) => {
                    let is_last = position.time == total as u64 - 1;
                    items.push(Item::Checkpoint { position, place });
                    if is_last {
                        return items;
                    }
                    if items.len() % 7 == 0 {
                        reader = LogReader::open_at(&directory, place).unwrap();
                    }
                }
                Some(item) => items.push(item),
                None => std::thread::yield_now(),
            }
        }
    });
    let mut next = 0;
    while next < total {
        fill(&mut writer, next..next + 10).unwrap();
        next += 10;
        if next % 70 == 0 {
            fill(&mut writer, 9000..9004).unwrap();
            writer.flush().unwrap();
            drop(writer);
            writer = LogWriter::resume(folder.path(), SMALL).unwrap().0;
        }
    }
    let items = follower.join().unwrap();
    assert_eq!(all(&items), (0..total).collect::<Vec<_>>());
}

#[test]
fn a_segment_pruned_under_a_reader_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let mut reader = LogReader::open(folder.path()).unwrap();
    fill(&mut writer, 0..500).unwrap();
    prune(folder.path(), LogPlace { segment: 4, offset: 0 }).unwrap();
    let error = refused(drain(&mut reader));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("00000002.tlz"), "{error}");
}
