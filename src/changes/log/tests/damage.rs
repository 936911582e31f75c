//! Bytes that are not what was written are an error, or are cut off where a crash may have left them.

use super::*;

/// Reads all of a log that may be damaged: what came out before the error, and the error.
fn read_until_error(directory: &Path) -> (Vec<Item>, Option<Error>) {
    let mut items = Vec::new();
    let mut reader = match LogReader::open(directory) {
        Ok(reader) => reader,
        Err(error) => return (items, Some(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, None),
            Err(error) => {
                assert_eq!(refused(reader.next()).to_string(), error.to_string(), "the error repeats itself");
                return (items, Some(error));
            }
        }
    }
}

#[test]
fn every_changed_bit_before_the_last_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), ONE).unwrap();
    fill(&mut writer, 0..20).unwrap();
    drop(writer);
    let items = read(folder.path()).unwrap();
    let bytes = fs::read(unfinished(folder.path())).unwrap();
    // That the last checkpoint is not whole may be the work of a crash.
    let last = checkpoints(&items)[1].1.offset + 1;
    let last_begins = bytes.windows(4).rposition(|window| window == b"\x8aBLK").unwrap();
    assert!(last < last_begins as u64);
    let damaged = tempfile::tempdir().unwrap();
    let path = damaged.path().join("00000001.tlz.partial");
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let (found, error) = read_until_error(damaged.path());
        assert_eq!(found, items[..found.len()]);
        // Going on takes an fsync, and those are slow.
        if bit / 8 >= last_begins && bit % 8 > 0 {
            continue;
        }
        let resumed = LogWriter::resume(damaged.path(), ONE);
        if bit / 8 < last_begins {
            assert!(error.is_some(), "bit {bit}");
            assert_ne!(refused(resumed).kind(), ErrorKind::NotFound, "bit {bit}");
            assert_eq!(fs::metadata(&path).unwrap().len(), bytes.len() as u64, "nothing was cut");
        } else {
            assert!(error.is_none(), "bit {bit}");
            assert_eq!(resumed.unwrap().1, position(9));
        }
    }
}

#[test]
fn every_changed_byte_of_a_finished_segment_up_to_its_last_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 600, ..SMALL };
    let mut writer = LogWriter::create(folder.path(), &position(0), options).unwrap();
    fill(&mut writer, 0..20).unwrap();
    drop(writer);
    let items = read(folder.path()).unwrap();
    let end = checkpoints(&items).iter().rfind(|(_, place)| place.segment == 1).unwrap().1.offset;
    let damaged = copy(folder.path());
    let path = damaged.path().join("00000001.tlz");
    let bytes = fs::read(&path).unwrap();
    for at in 0..end as usize {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let (found, error) = read_until_error(damaged.path());
        assert_eq!(found, items[..found.len()]);
        assert!(error.is_some(), "byte {at}");
    }
    for len in 0..bytes.len() {
        fs::write(&path, &bytes[..len]).unwrap();
        assert!(read_until_error(damaged.path()).1.is_some(), "cut at {len}");
    }
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    assert!(read_until_error(damaged.path()).1.is_some());
}

#[test]
fn whatever_a_crash_leaves_behind_the_last_checkpoint_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(folder.path(), &position(0), ONE).unwrap();
    fill(&mut writer, 0..20).unwrap();
    drop(writer);
    let items = read(folder.path()).unwrap();
    let whole = fs::read(unfinished(folder.path())).unwrap();
    let block = &whole[checkpoints(&items)[1].1.offset as usize..];
    for tail in [&[0; 5000][..], b"\x8aBLK", &[0x8a; 70], &block[..80], &[block, &[0; 100]].concat(), b"garbage"] {
        let crashed = copy(folder.path());
        let path = unfinished(crashed.path());
        // A checkpoint of before, at a wrong place, must not be taken for one of now.
        let tail: &[u8] = if tail.starts_with(block) { &tail[..block.len().min(90)] } else { tail };
        fs::write(&path, [&whole[..], tail].concat()).unwrap();
        let mut reader = LogReader::open(crashed.path()).unwrap();
        assert_eq!(drain(&mut reader).unwrap(), items);
        assert_eq!(reader.next().unwrap(), None);
        let (mut writer, from) = LogWriter::resume(crashed.path(), ONE).unwrap();
        assert_eq!(from, position(19));
        fill(&mut writer, 20..40).unwrap();
        assert_eq!(all(&drain(&mut reader).unwrap()), (20..40).collect::<Vec<_>>());
    }
}
