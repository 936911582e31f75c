//! What is appended comes back, in its order and with its places.

use transload_format::Reader;

use super::*;

#[test]
fn lanes_come_back_over_many_segments_and_segments_are_archives() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let mut writer = LogWriter::create(&directory, &position(0), SMALL).unwrap();
    for number in 0..1000 {
        let namespace = format!("shop.lane{}", number % 7);
        writer.append(&namespace, &event(number), false).unwrap();
        if number % 25 == 24 {
            writer.commit(&position(number as u64 + 1)).unwrap();
            assert_eq!(writer.held(), 0);
        }
    }
    let items = read(&directory).unwrap();
    for of in 0..7 {
        let expected: Vec<_> = (0..1000).filter(|number| number % 7 == of).collect();
        assert_eq!(lane(&items, &format!("shop.lane{of}")), expected);
    }
    let segments = names(&directory);
    assert!(segments.len() > 5, "{segments:?}");
    for name in &segments[..segments.len() - 1] {
        let reader = Reader::open(fs::File::open(directory.join(name)).unwrap()).unwrap();
        reader.check_header().unwrap();
        assert_eq!(reader.contents().namespaces().len(), 7);
        assert!(reader.contents().namespaces().iter().all(|lane| lane.finished && lane.has_events()));
    }
}

#[test]
fn a_segment_begins_with_the_checkpoint_that_the_one_before_it_ends_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    fill(&mut writer, 0..500).unwrap();
    let found = checkpoints(&read(folder.path()).unwrap());
    assert!(found.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1));
    let repeated: Vec<_> = found.windows(2).filter(|pair| pair[0].0 == pair[1].0).collect();
    assert_eq!(repeated.len(), names(folder.path()).len() - 1);
    assert!(repeated.iter().all(|pair| pair[0].1.segment + 1 == pair[1].1.segment));
}

#[test]
fn a_barrier_stands_alone_between_what_came_before_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), ONE).unwrap();
    for (namespace, number, barrier) in [
        ("a.x", 1, false),
        ("a.y", 2, false),
        ("a.x", 3, true),
        ("a.y", 4, false),
        ("a.$cmd", 5, true),
        ("a.x", 6, false),
    ] {
        writer.append(namespace, &event(number), barrier).unwrap();
    }
    writer.commit(&position(9)).unwrap();
    let items = read(folder.path()).unwrap();
    assert_eq!(all(&items), [1, 2, 3, 4, 5, 6]);
    let blocks = items.iter().filter(|item| matches!(item, Item::Events { .. })).count();
    assert_eq!(blocks, 6);
    assert_eq!((lane(&items, "a.x"), lane(&items, "a.$cmd")), (vec![1, 3, 6], vec![5]));
}

#[test]
fn places_are_the_same_from_every_checkpoint_on_finished_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    for number in 0..300 {
        let namespace = ["shop.a", "shop.b", "shop.$cmd"][number as usize % 3];
        writer.append(namespace, &event(number), number % 31 == 0).unwrap();
        if number % 10 == 9 {
            writer.commit(&position(number as u64)).unwrap();
        }
    }
    let items = read(folder.path()).unwrap();
    for (number, item) in items.iter().enumerate() {
        let Item::Checkpoint { position, place } = item else { continue };
        let mut reader = LogReader::open_at(folder.path(), *place).unwrap();
        assert_eq!(reader.position(), Some(position));
        assert_eq!(drain(&mut reader).unwrap(), items[number + 1..]);
        for wrong in [place.offset + 1, place.offset - 1, place.offset + 100_000] {
            let wrong = LogPlace { offset: wrong, ..*place };
            assert_eq!(refused(LogReader::open_at(folder.path(), wrong)).kind(), ErrorKind::Damaged);
        }
    }
    // A place in a segment that is finished only later.
    let last = checkpoints(&items).last().unwrap().1;
    fill(&mut writer, 300..600).unwrap();
    let (later, mut reader) = (read(folder.path()).unwrap(), LogReader::open_at(folder.path(), last).unwrap());
    assert_eq!(later[..items.len()], items);
    assert_eq!(drain(&mut reader).unwrap(), later[items.len()..]);
}

#[test]
fn two_thousand_lanes_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 300_000, ..LogOptions::default() };
    let mut writer = LogWriter::create(folder.path(), &position(0), options).unwrap();
    for round in 0..3 {
        for of in 0..2000 {
            writer.append(&format!("shop.lane{of}"), &event(of + 2000 * round), false).unwrap();
        }
        writer.commit(&position(round as u64 + 1)).unwrap();
    }
    let items = read(folder.path()).unwrap();
    for of in 0..2000 {
        assert_eq!(lane(&items, &format!("shop.lane{of}")), [of, of + 2000, of + 4000]);
    }
}

#[test]
fn large_events_and_what_is_flushed_without_a_checkpoint_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let large = rawdoc! { "_id": 1, "text": "x".repeat(100_000) }.into_bytes();
    writer.append("shop.a", &event(0), false).unwrap();
    writer.append("shop.a", &large, false).unwrap();
    assert_eq!(writer.held(), large.len());
    writer.append("shop.a", &event(2), false).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.held(), 0);
    assert_eq!(all(&read(folder.path()).unwrap()), [0; 0]);
    writer.commit(&position(2)).unwrap();
    assert_eq!(all(&read(folder.path()).unwrap()), [0, 1, 2]);
}

#[test]
fn nothing_new_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    writer.commit(&position(0)).unwrap();
    assert_eq!(checkpoints(&read(folder.path()).unwrap()).len(), 1);
    writer.commit(&position(1)).unwrap();
    assert_eq!(checkpoints(&read(folder.path()).unwrap()).len(), 2);
}

#[test]
fn what_no_log_can_hold_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    let two = [event(1), event(2)].concat();
    for (namespace, bytes) in [("shop", event(1)), (".a", event(1)), ("a.b", two), ("a.b", vec![]), ("a.b", vec![7; 9])]
    {
        assert_eq!(refused(writer.append(namespace, &bytes, false)).kind(), ErrorKind::Server);
    }
    assert_eq!(refused(writer.commit(&Position { token: vec![], time: 1 })).kind(), ErrorKind::Server);
    assert!(LogWriter::create(folder.path(), &position(0), SMALL).is_err_and(|e| e.kind() == ErrorKind::AlreadyExists));
    assert!(LogWriter::resume(folder.path(), SMALL).is_err_and(|e| e.kind() == ErrorKind::AlreadyExists));
    fill(&mut writer, 0..10).unwrap();
    assert_eq!(all(&read(folder.path()).unwrap()), (0..10).collect::<Vec<_>>());
}

#[test]
fn pruning_deletes_what_stands_before_a_place_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), SMALL).unwrap();
    fill(&mut writer, 0..500).unwrap();
    let items = read(folder.path()).unwrap();
    let before = names(folder.path());
    let place = checkpoints(&items).into_iter().map(|(_, place)| place).find(|place| place.segment == 3).unwrap();
    assert_eq!(prune(folder.path(), place).unwrap(), 2);
    assert_eq!(names(folder.path()), before[2..]);
    assert_eq!(prune(folder.path(), place).unwrap(), 0);
    assert_eq!(read(folder.path()).unwrap(), items[items.len() - read(folder.path()).unwrap().len()..]);
    let first = LogPlace { segment: 1, ..place };
    assert_eq!(refused(LogReader::open_at(folder.path(), first)).kind(), ErrorKind::NotFound);
    // A place behind everything takes all but the one that is being written.
    let beyond = LogPlace { segment: 1000, offset: 48 };
    assert_eq!(prune(folder.path(), beyond).unwrap(), before.len() as u64 - 3);
    assert_eq!(names(folder.path()), before[before.len() - 1..]);
    fill(&mut writer, 500..510).unwrap();
    drop(writer);
    assert_eq!(LogWriter::resume(folder.path(), SMALL).unwrap().1, position(509));
}
