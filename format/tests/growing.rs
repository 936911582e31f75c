//! Archives that are not finished: gone on with, and read while they grow.

use transload_format::{
    Checkpoint, Codec, CollectionType, Contents, Cursor, Error, Kind, Record, Scanner, Walker, Writer,
};

use crate::{
    forge::patch_file_header,
    samples::{ID, bound, changes, collection, documents, pack, writer},
};

fn contents(archive: &[u8]) -> Contents {
    let mut scanner = Scanner::new();
    scanner.push(archive);
    while scanner.next().unwrap().is_some() {}
    scanner.contents().unwrap().clone()
}

/// Leaves the writer, and goes on with what it wrote.
fn reopened(mut writer: Writer<Vec<u8>>, codec: Codec) -> Writer<Vec<u8>> {
    let written = std::mem::take(writer.get_mut());
    let contents = contents(&written);
    assert_eq!(contents.offset(), written.len() as u64);
    Writer::resume(written, contents, codec).unwrap()
}

#[test]
fn an_archive_gone_on_with_after_every_block_is_the_one_written_at_once() {
    for codec in [Codec::None, Codec::Deflate(6), Codec::Zstd(1)] {
        let mut writer = reopened(writer(codec), codec);
        for (id, name) in [(1, "shop.orders"), (2, "shop.events")] {
            assert_eq!(writer.collection(collection(name, CollectionType::Collection)).unwrap(), id);
            writer = reopened(writer, codec);
            writer.block(pack(Kind::Events, id, 0, documents(0..3), codec)).unwrap();
            writer = reopened(writer, codec);
            let checkpoint = Checkpoint { token: bound(3), cluster_time: 9 << 32 };
            writer.record(0, 0, Record::Checkpoint(checkpoint.clone())).unwrap();
            writer = reopened(writer, codec);
            writer.finish_namespace(id).unwrap();
            writer = reopened(writer, codec);
            writer.record(id, 0, Record::Checkpoint(checkpoint)).unwrap();
        }
        assert_eq!(reopened(writer, codec).finish().unwrap().out, changes(codec));
    }
}

#[test]
fn an_archive_with_an_unknown_feature_may_be_read_but_not_gone_on_with() {
    let mut archive = Writer::new(Vec::new(), ID, Codec::None).unwrap().get_mut().clone();
    patch_file_header(&mut archive, |header| header[20] = 4);
    let contents = contents(&archive);
    assert!(matches!(Writer::resume(archive, contents, Codec::None), Err(Error::Refused(_))));
}

/// The headers of the whole blocks of what is there.
fn walk(archive: &[u8]) -> Result<Vec<(Cursor, transload_format::BlockHeader)>, Error> {
    let walker = Walker::new(archive)?;
    let (mut cursor, mut headers) = (Cursor::START, vec![]);
    while let Some(header) = walker.header_at(cursor)? {
        headers.push((cursor, header));
        cursor = cursor.after(&header);
    }
    Ok(headers)
}

#[test]
fn a_walker_gives_the_whole_blocks_of_every_length() {
    let archive = changes(Codec::Zstd(1));
    let all = walk(&archive).unwrap();
    let walker = Walker::new(archive.as_slice()).unwrap();
    let kinds = all.iter().filter(|(_, header)| !header.is_of_the_tail()).map(|(cursor, header)| {
        if header.subject.kind == Kind::Events {
            assert_eq!(walker.documents(*cursor, header).unwrap(), documents(0..3));
            return "events";
        }
        match walker.record(*cursor, header).unwrap() {
            Record::Collection(_) => "collection",
            Record::Checkpoint(_) => "checkpoint",
            Record::NamespaceFinished(_) => "finished",
            other => panic!("{other:?}"),
        }
    });
    let lane = ["collection", "events", "checkpoint", "finished", "checkpoint"];
    assert_eq!(kinds.collect::<Vec<_>>(), [lane, lane].concat());
    assert!(all.last().unwrap().1.is_footer());
    for len in 0..archive.len() {
        match walk(&archive[..len]) {
            Err(error) => assert!(len < 48 && matches!(error, Error::Unfinished { .. })),
            Ok(found) => {
                let whole = all.iter().filter(|(cursor, header)| cursor.after(header).offset <= len as u64);
                assert_eq!(found.len(), whole.count());
            }
        }
    }
}

#[test]
fn a_changed_header_stops_a_walker_and_a_checkpoint_behind_it_is_found() {
    let archive = changes(Codec::Zstd(1));
    let all = walk(&archive).unwrap();
    let checkpoints = all.iter().filter(|(_, header)| header.is_checkpoint()).map(|(cursor, _)| cursor.offset);
    let checkpoints: Vec<_> = checkpoints.collect();
    for (cursor, _) in &all {
        for at in cursor.offset as usize..cursor.offset as usize + 64 {
            let mut archive = archive.clone();
            archive[at] ^= 1;
            assert!(matches!(walk(&archive), Err(Error::Damaged { .. } | Error::NewerVersion(_))), "byte {at}");
        }
        let mut archive = archive.clone();
        archive[cursor.offset as usize] ^= 1;
        let found = Walker::new(archive.as_slice()).unwrap().search_checkpoint(cursor.offset).unwrap();
        assert_eq!(found, checkpoints.iter().copied().find(|offset| *offset > cursor.offset));
    }
}
