//! Every limit and every rule of order: the writer refuses to write what a reader would refuse to read.

use transload_format::{
    Checkpoint, Codec, CollectionType, Compressor, Error, Kind, NamespaceFinished, Origin, PackedBlock, PartBegun,
    PartFinished, Problem, Record, Subject,
    limits::{MAX_BLOCK_LEN, MAX_DOCUMENT_LEN, MAX_INDEX_SPECS, MAX_NAMESPACE_LEN},
};

use crate::samples::{EMPTY, collection, documents, pack, writer};

fn try_pack(raw: Vec<u8>) -> Result<PackedBlock, Problem> {
    let subject = Subject { kind: Kind::Documents, namespace: 1, part: 1 };
    PackedBlock::pack(subject, raw, &mut Compressor::new(Codec::default()))
}

fn large(len: u32) -> Vec<u8> {
    let mut document = vec![0; len as usize];
    document[..4].copy_from_slice(&len.to_le_bytes());
    document
}

#[test]
fn only_whole_documents_are_packed() {
    assert!(try_pack(vec![]).is_err(), "no documents");
    assert!(try_pack(vec![4, 0, 0, 0]).is_err(), "too short");
    assert!(try_pack(vec![5, 0, 0, 0, 1]).is_err(), "no NUL");
    assert!(try_pack([&EMPTY[..], &[5, 0, 0]].concat()).is_err(), "cut");
    assert!(try_pack([&EMPTY[..], &EMPTY].concat()).is_ok());
}

#[test]
fn the_largest_document_and_the_largest_block_are_packed_and_not_a_byte_more() {
    assert_eq!(try_pack(large(MAX_DOCUMENT_LEN)).unwrap().count(), 1);
    assert!(matches!(try_pack(large(MAX_DOCUMENT_LEN + 1)), Err(Problem::TooLarge { .. })));
    let rest = MAX_BLOCK_LEN - MAX_DOCUMENT_LEN;
    assert_eq!(try_pack([large(MAX_DOCUMENT_LEN), large(rest)].concat()).unwrap().raw_len(), MAX_BLOCK_LEN);
    assert!(matches!(try_pack([large(MAX_DOCUMENT_LEN), large(rest + 1)].concat()), Err(Problem::TooLarge { .. })));
}

#[test]
fn names_and_index_specs_are_limited() {
    let name = |len: usize| format!("d.{}", "c".repeat(len - 2));
    let mut long = collection(&name(MAX_NAMESPACE_LEN), CollectionType::Collection);
    long.indexes = vec![EMPTY.to_vec(); MAX_INDEX_SPECS as usize];
    writer(Codec::None).collection(long.clone()).unwrap();
    long.indexes.push(EMPTY.to_vec());
    assert!(writer(Codec::None).collection(long).is_err());
    for bad in [&name(MAX_NAMESPACE_LEN + 1), "", "db", "db.", ".c", ".", "db.\0", "d\0b.c"] {
        assert!(writer(Codec::None).collection(collection(bad, CollectionType::View)).is_err(), "{bad:?}");
    }
    let mut broken = collection("db.c", CollectionType::Collection);
    broken.options = [EMPTY, EMPTY].concat();
    assert!(writer(Codec::None).collection(broken).is_err(), "two documents are not one");
}

#[test]
fn blocks_and_records_stand_only_where_they_may() {
    let mut writer = writer(Codec::None);
    let block = |namespace, part| pack(Kind::Documents, namespace, part, documents(0..2), Codec::None);
    let begun = || Record::PartBegun(PartBegun::default());
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");

    refused(writer.block(block(1, 1)));
    refused(writer.record(1, 1, begun()));
    let id = writer.collection(collection("db.c", CollectionType::Collection)).unwrap();
    refused(writer.record(0, 0, Record::Origin(Origin::default())));
    refused(writer.block(block(id, 1)));
    refused(writer.record(id, 2, begun()));
    writer.record(id, 1, begun()).unwrap();
    refused(writer.block(block(id, 0)));
    refused(writer.block(pack(Kind::Events, id, 1, documents(0..2), Codec::None)));
    writer.block(block(id, 1)).unwrap();
    refused(writer.record(id, 1, Record::PartFinished(PartFinished::default())));
    refused(writer.record(id, 0, Record::NamespaceFinished(NamespaceFinished { parts: 1, ..Default::default() })));
    refused(writer.finish_namespace(id).map(drop));
    refused(writer.record(id, 7, Record::Checkpoint(Checkpoint { token: EMPTY.to_vec(), cluster_time: 0 })));
    writer.finish_part(id, 1, 0).unwrap();
    refused(writer.block(block(id, 1)));
    writer.finish_namespace(id).unwrap();
    refused(writer.record(id, 2, begun()));
    refused(writer.finish_namespace(id).map(drop));
    let other = writer.collection(collection("db.d", CollectionType::Collection)).unwrap();
    assert!(matches!(writer.finish(), Err(Error::Refused(_))), "namespace {other} is not finished");
}

#[test]
fn a_name_stands_for_one_namespace_only() {
    let mut writer = writer(Codec::None);
    writer.collection(collection("db.c", CollectionType::Collection)).unwrap();
    writer.collection(collection("db.d", CollectionType::Collection)).unwrap();
    assert!(matches!(writer.collection(collection("db.c", CollectionType::View)), Err(Error::Refused(_))));
}

#[test]
fn a_namespace_holds_parts_or_events_and_a_view_neither() {
    let begun = || Record::PartBegun(PartBegun::default());
    let events = |namespace| pack(Kind::Events, namespace, 0, documents(0..2), Codec::None);
    let mut writer = writer(Codec::None);
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    let parts = writer.collection(collection("db.parts", CollectionType::Collection)).unwrap();
    writer.record(parts, 1, begun()).unwrap();
    refused(writer.block(events(parts)));
    let log = writer.collection(collection("db.log", CollectionType::Collection)).unwrap();
    writer.block(events(log)).unwrap();
    refused(writer.record(log, 1, begun()));
    let view = writer.collection(collection("db.view", CollectionType::View)).unwrap();
    refused(writer.record(view, 1, begun()));
    refused(writer.block(events(view)));
}

#[test]
fn a_part_does_not_end_before_it_begins() {
    for (low, high, fits) in [(5, 4, false), (5, 5, true), (5, 6, true), (5, 0, true), (0, 5, true)] {
        let mut writer = writer(Codec::None);
        let id = writer.collection(collection("db.c", CollectionType::Collection)).unwrap();
        writer.record(id, 1, Record::PartBegun(PartBegun { low, ..Default::default() })).unwrap();
        assert_eq!(writer.finish_part(id, 1, high).is_ok(), fits, "low {low}, high {high}");
    }
}

#[test]
fn a_checkpoint_is_about_nothing_or_an_announced_namespace() {
    let checkpoint = || Record::Checkpoint(Checkpoint { token: EMPTY.to_vec(), cluster_time: 0 });
    let mut writer = writer(Codec::None);
    writer.record(0, 0, checkpoint()).unwrap();
    assert!(matches!(writer.record(1, 0, checkpoint()), Err(Error::Refused(_))));
    let id = writer.collection(collection("db.c", CollectionType::Collection)).unwrap();
    writer.finish_namespace(id).unwrap();
    writer.record(id, 0, checkpoint()).unwrap();
}
