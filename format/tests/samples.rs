//! Small archives, and the means to change their bytes: what the format's tests are made of.

use transload_format::{
    ArchiveId, Checkpoint, Codec, Collection, CollectionType, Compressor, Kind, Origin, PackedBlock, PartBegun, Record,
    Subject, Writer,
};

pub(crate) const ID: ArchiveId = ArchiveId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

/// `{_id: <int32>, s: <text>}`
pub(crate) fn document(id: i32, text: &str) -> Vec<u8> {
    let mut body = b"\x10_id\0".to_vec();
    body.extend(id.to_le_bytes());
    body.extend(b"\x02s\0");
    body.extend(u32::try_from(text.len() + 1).expect("short").to_le_bytes());
    body.extend(text.as_bytes());
    body.extend(b"\0\0");
    wrap(&body)
}

/// `{_id: <int32>}`
pub(crate) fn bound(id: i32) -> Vec<u8> {
    let mut body = b"\x10_id\0".to_vec();
    body.extend(id.to_le_bytes());
    body.push(0);
    wrap(&body)
}

fn wrap(body: &[u8]) -> Vec<u8> {
    let mut document = u32::try_from(body.len() + 4).expect("short").to_le_bytes().to_vec();
    document.extend(body);
    document
}

pub(crate) const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];

pub(crate) fn collection(namespace: &str, kind: CollectionType) -> Collection {
    Collection {
        namespace: namespace.to_owned(),
        kind,
        uuid: (kind == CollectionType::Collection).then_some([0xab; 16]),
        options: EMPTY.to_vec(),
        indexes: if kind == CollectionType::View { vec![] } else { vec![bound(1)] },
    }
}

pub(crate) fn documents(ids: std::ops::Range<i32>) -> Vec<u8> {
    ids.flat_map(|id| document(id, &format!("document number {id}, and some more of the same text"))).collect()
}

pub(crate) fn pack(kind: Kind, namespace: u32, part: u32, raw: Vec<u8>, codec: Codec) -> PackedBlock {
    PackedBlock::pack(Subject { kind, namespace, part }, raw, &mut Compressor::new(codec)).expect("whole documents")
}

pub(crate) fn writer(codec: Codec) -> Writer<Vec<u8>> {
    Writer::new(Vec::new(), ID, codec).expect("begun")
}

pub(crate) fn smallest() -> Vec<u8> {
    writer(Codec::default()).finish().expect("finished").out
}

/// Two collections whose parts alternate, an empty one and a view.
pub(crate) fn shop(codec: Codec) -> Vec<u8> {
    let mut writer = writer(codec);
    let origin = Origin { tool: "transload 0.1.0".into(), server: "6.0.5".into(), created_ms: 1_700_000_000_000 };
    writer.record(0, 0, Record::Origin(origin)).expect("origin");
    let orders = writer.collection(collection("shop.orders", CollectionType::Collection)).expect("orders");
    let begun = PartBegun { lower: None, upper: Some(bound(40)), low: 7 << 32 };
    writer.record(orders, 1, Record::PartBegun(begun)).expect("part 1");
    let events = writer.collection(collection("shop.events.raw", CollectionType::Collection)).expect("events");
    writer.record(events, 1, Record::PartBegun(PartBegun::default())).expect("part 1");
    writer.block(pack(Kind::Documents, orders, 1, documents(0..20), codec)).expect("block");
    writer.block(pack(Kind::Documents, events, 1, documents(0..5), codec)).expect("block");
    let begun = PartBegun { lower: Some(bound(40)), upper: None, low: 8 << 32 };
    writer.record(orders, 2, Record::PartBegun(begun)).expect("part 2");
    writer.block(pack(Kind::Documents, orders, 2, documents(40..60), codec)).expect("block");
    writer.block(pack(Kind::Documents, orders, 1, documents(20..40), codec)).expect("block");
    // What is too short to shrink is stored as it is, whatever the codec.
    writer.block(pack(Kind::Documents, orders, 1, EMPTY.to_vec(), codec)).expect("block");
    writer.finish_part(orders, 1, (7 << 32) | 9).expect("part 1");
    writer.finish_part(orders, 2, 8 << 32).expect("part 2");
    writer.finish_namespace(orders).expect("orders");
    writer.finish_part(events, 1, 0).expect("part 1");
    writer.finish_namespace(events).expect("events");
    let empty = writer.collection(collection("shop.empty", CollectionType::TimeSeries)).expect("empty");
    writer.finish_namespace(empty).expect("empty");
    let view = writer.collection(collection("shop.view", CollectionType::View)).expect("view");
    writer.finish_namespace(view).expect("view");
    writer.finish().expect("finished").out
}

/// A change log: events of two namespaces, with checkpoints.
pub(crate) fn changes(codec: Codec) -> Vec<u8> {
    let mut writer = writer(codec);
    for (id, name) in [(1, "shop.orders"), (2, "shop.events")] {
        writer.collection(collection(name, CollectionType::Collection)).expect("collection");
        writer.block(pack(Kind::Events, id, 0, documents(0..3), codec)).expect("events");
        let checkpoint = Checkpoint { token: bound(3), cluster_time: 9 << 32 };
        writer.record(0, 0, Record::Checkpoint(checkpoint.clone())).expect("checkpoint");
        writer.finish_namespace(id).expect("namespace");
        writer.record(id, 0, Record::Checkpoint(checkpoint)).expect("checkpoint of a lane");
    }
    writer.finish().expect("finished").out
}
