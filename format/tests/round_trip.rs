//! Property: whatever is written comes back, block by block and byte by byte.

use proptest::{collection::vec, prelude::*};
use transload_format::{
    Codec, CollectionType, Documents, Kind, PartBegun, Reader, Record, Tally, Writer, document_digest,
};

use crate::{
    outcome::{hex, open, scan},
    samples::{ID, collection, pack},
};

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::None), (0..=9_u8).prop_map(Codec::Deflate), (1..=5_u8).prop_map(Codec::Zstd),]
}

/// A document of the format: a length, anything, a NUL.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let filler = prop_oneof![vec(any::<u8>(), 0..200), (any::<u8>(), 0..5000_usize).prop_map(|(b, n)| vec![b; n])];
    filler.prop_map(|filler| {
        let mut document = (filler.len() as u32 + 5).to_le_bytes().to_vec();
        document.extend(filler);
        document.push(0);
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn documents_come_back_as_written(
        blocks in vec((1..=3_u32, 1..=2_u32, vec(document(), 1..8), codec()), 0..12),
        tail in codec(),
    ) {
        let mut writer = Writer::new(Vec::new(), ID, tail).unwrap();
        for id in 1..=3 {
            writer.collection(collection(&format!("db.c{id}"), CollectionType::Collection)).unwrap();
            for part in 1..=2 {
                writer.record(id, part, Record::PartBegun(PartBegun::default())).unwrap();
            }
        }
        let mut expected = vec![];
        for (id, part, documents, codec) in &blocks {
            writer.block(pack(Kind::Documents, *id, *part, documents.concat(), *codec)).unwrap();
            expected.extend(documents.iter().map(|document| hex(document)));
        }
        for id in 1..=3 {
            writer.finish_part(id, 1, 0).unwrap();
            writer.finish_part(id, 2, 0).unwrap();
            writer.finish_namespace(id).unwrap();
        }
        let finished = writer.finish().unwrap();
        let (archive, contents) = (finished.out, finished.contents);
        let scanned = scan(&archive, 777);
        prop_assert_eq!(scanned.name, "finished");
        prop_assert_eq!(&scanned.documents(), &expected);
        prop_assert_eq!(open(&archive), scanned);
        prop_assert_eq!(contents.totals().documents, expected.len() as u64);
        let reader = Reader::open(archive.as_slice()).unwrap();
        prop_assert_eq!(reader.contents().blocks(), contents.blocks());
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order(mut documents in vec(document(), 1..10)) {
        let forward = Tally::of(&documents.concat()).unwrap();
        documents.reverse();
        prop_assert_eq!(Tally::of(&documents.concat()).unwrap(), forward);
        let sum = documents.iter().fold(0_u64, |sum, document| sum.wrapping_add(document_digest(document)));
        prop_assert_eq!(sum, forward.digest);
    }

    #[test]
    fn splitting_any_bytes_ends_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let whole = Documents::new(&bytes).all(|document| document.is_ok());
        prop_assert_eq!(whole, Tally::of(&bytes).is_ok());
    }

    #[test]
    fn any_bytes_after_a_file_header_end_in_an_outcome(bytes in vec(any::<u8>(), 0..400)) {
        let archive = [&crate::samples::smallest()[..48], &bytes].concat();
        let outcome = scan(&archive, 50);
        prop_assert!(["unfinished", "damaged", "newer"].contains(&outcome.name));
        prop_assert_eq!(open(&archive).name, outcome.name);
    }
}
