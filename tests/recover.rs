//! What is left of an archive after damage, and that nothing of it is called whole.

use std::{fs, path::Path};

use tokio_util::sync::CancellationToken;
use transload::{
    archive::{ArchiveFile, Destination},
    error::{ErrorKind, Result},
    recover::{RecoverReport, recover},
};
use transload_format::{
    ArchiveId, Codec, Collection, CollectionType, Compressor, Kind, PackedBlock, PartBegun, Record, Subject, Writer,
};

const BLOCKS: i32 = 10;

fn document(id: i32) -> Vec<u8> {
    bson::rawdoc! { "_id": id, "text": "the same words in every document" }.into_bytes()
}

/// What is said of each part.
fn begun() -> PartBegun {
    PartBegun { lower: Some(bson::rawdoc! { "_id": 0 }.into_bytes()), upper: None, low: 7 }
}

/// Two collections of ten blocks each, of ten documents each.
fn archive() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), ArchiveId([9; 16]), Codec::default()).unwrap();
    for name in ["shop.orders", "shop.events"] {
        let (options, indexes) = (vec![5, 0, 0, 0, 0], Vec::new());
        let kind = CollectionType::Collection;
        let id = writer.collection(Collection { namespace: name.into(), kind, uuid: None, options, indexes }).unwrap();
        writer.record(id, 1, Record::PartBegun(begun())).unwrap();
        for block in 0..BLOCKS {
            let documents = (block * 10..block * 10 + 10).flat_map(document).collect();
            let subject = Subject { kind: Kind::Documents, namespace: id, part: 1 };
            writer
                .block(PackedBlock::pack(subject, documents, &mut Compressor::new(Codec::default())).unwrap())
                .unwrap();
        }
        writer.finish_part(id, 1, 0).unwrap();
        writer.finish_namespace(id).unwrap();
    }
    writer.finish().unwrap().out
}

/// The offsets of the blocks of kind `kind`.
fn offsets(bytes: &[u8], kind: Kind) -> Vec<usize> {
    let reader = transload_format::Reader::open(bytes).unwrap();
    let blocks = reader.contents().blocks().iter().filter(|block| block.kind == kind);
    blocks.map(|block| usize::try_from(block.offset).unwrap()).collect()
}

async fn salvage(bytes: &[u8]) -> Result<RecoverReport> {
    let folder = tempfile::tempdir().unwrap();
    let (damaged, path) = (folder.path().join("damaged.tlz"), folder.path().join("salvaged.tlz"));
    fs::write(&damaged, bytes).unwrap();
    let report = recover(&damaged, to(&path), CancellationToken::new()).await?;
    let salvaged = ArchiveFile::open(&path).expect("a finished archive");
    assert_eq!(salvaged.contents().totals().documents, report.documents);
    Ok(report)
}

fn to(path: &Path) -> Destination {
    Destination::File { path: path.into(), replace: false }
}

fn names(report: &RecoverReport) -> Vec<(&str, u64)> {
    report.namespaces.iter().map(|namespace| (namespace.namespace.as_str(), namespace.documents)).collect()
}

#[tokio::test]
async fn a_whole_archive_is_salvaged_whole() {
    let report = salvage(&archive()).await.unwrap();
    assert!(report.is_whole());
    assert_eq!(names(&report), [("shop.orders", 100), ("shop.events", 100)]);
}

#[tokio::test]
async fn a_cut_archive_gives_its_whole_blocks_and_is_not_called_whole() {
    let bytes = archive();
    let cut = offsets(&bytes, Kind::Documents)[13] + 5;
    let report = salvage(&bytes[..cut]).await.unwrap();
    assert!(!report.is_whole());
    assert_eq!(names(&report), [("shop.orders", 100), ("shop.events", 30)]);
    // Even when the cut falls between two blocks, so that no byte is lost.
    let report = salvage(&bytes[..offsets(&bytes, Kind::Documents)[13]]).await.unwrap();
    assert_eq!(report.lost_bytes, 0);
    assert!(!report.is_whole());
}

#[tokio::test]
async fn a_damaged_block_costs_only_its_own_documents() {
    let mut bytes = archive();
    let block = offsets(&bytes, Kind::Documents)[3];
    bytes[block + 70] ^= 1;
    let report = salvage(&bytes).await.unwrap();
    assert_eq!(names(&report), [("shop.orders", 90), ("shop.events", 100)]);
    assert_eq!((report.missing_blocks, report.incomplete_parts), (1, 1));
    assert!(report.lost_bytes > 64);
}

#[tokio::test]
async fn a_collection_whose_record_is_damaged_is_known_from_the_index() {
    let mut bytes = archive();
    let record = offsets(&bytes, Kind::Record)[0];
    bytes[record + 66] ^= 1;
    let report = salvage(&bytes).await.unwrap();
    assert_eq!(names(&report), [("shop.orders", 100), ("shop.events", 100)]);
}

#[tokio::test]
async fn a_part_whose_record_is_damaged_is_known_from_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let (damaged, path) = (folder.path().join("damaged.tlz"), folder.path().join("salvaged.tlz"));
    let mut bytes = archive();
    let record = offsets(&bytes, Kind::Record)[1];
    bytes[record + 66] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    recover(&damaged, to(&path), CancellationToken::new()).await.unwrap();
    let salvaged = ArchiveFile::open(&path).unwrap();
    let parts: Vec<_> = salvaged.contents().namespaces().iter().flat_map(|namespace| &namespace.parts).collect();
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| part.begun == begun()), "{parts:?}");
}

#[tokio::test]
async fn documents_of_a_collection_that_nothing_names_get_a_name() {
    let mut bytes = archive();
    let record = offsets(&bytes, Kind::Record)[0];
    bytes[record + 66] ^= 1;
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    let report = salvage(&bytes).await.unwrap();
    assert_eq!(names(&report), [("recovered.namespace_1", 100), ("shop.events", 100)]);
    assert!(!report.is_whole());
}

#[tokio::test]
async fn what_is_no_archive_is_not_salvaged_to_an_empty_one() {
    assert_eq!(salvage(b"db.orders.find()").await.unwrap_err().kind(), ErrorKind::NotAnArchive);
    assert_eq!(salvage(b"").await.unwrap_err().kind(), ErrorKind::NotAnArchive);
}

#[tokio::test]
async fn an_archive_is_never_salvaged_onto_itself() {
    let folder = tempfile::tempdir().unwrap();
    let partial = folder.path().join("shop.tlz.partial");
    fs::write(&partial, archive()).unwrap();
    let onto = Destination::File { path: folder.path().join("shop.tlz"), replace: true };
    let error = recover(&partial, onto, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(fs::read(&partial).unwrap(), archive(), "not a byte was touched");
}

#[tokio::test]
async fn an_archive_that_was_cut_after_its_origin_is_not_called_whole() {
    let mut writer = Writer::new(Vec::new(), ArchiveId([9; 16]), Codec::default()).unwrap();
    writer.record(0, 0, Record::Origin(transload_format::Origin::default())).unwrap();
    let report = salvage(writer.get_mut()).await.unwrap();
    assert_eq!((report.documents, report.lost_bytes, report.missing_blocks), (0, 0, 0));
    assert!(!report.is_whole());
}
