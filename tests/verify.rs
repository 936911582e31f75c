//! Two sides that are said to hold the same: what differs is found, and nothing else.

mod regressions;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use bson::{Binary, Bson, Decimal128, Document, RawDocumentBuf, cstr, doc, rawdoc, spec::BinarySubtype};
use mongodb::options::ReplaceOptions;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use transload::{
    archive::ArchiveFile,
    error::{ErrorKind, Result},
    progress::Silent,
    sandbox::Release,
    scan::{PART_BYTES, ReadOrder},
    selection::SelectionOptions,
    verify::{self, Sampled, Verification, VerifyOptions, VerifyReport, verify},
};

use crate::{
    copy::{Archive, Side},
    odd_documents::{every_type, ids, odd_names},
    servers::shared,
};

/// Where a comparison is done.
struct Bench {
    folder: TempDir,
    options: VerifyOptions,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = VerifyOptions {
            selection: SelectionOptions::default(),
            ignore_field_order: false,
            sample: None,
            recheck: None,
            findings: folder.path().join("findings.jsonl"),
            parallel: 2,
            part_bytes: PART_BYTES,
        };
        Bench { folder, options }
    }

    fn findings(&self) -> PathBuf {
        self.options.findings.clone()
    }

    async fn open(&self, left: verify::Side, right: verify::Side) -> Result<Verification> {
        verify(left, right, self.options.clone(), Arc::new(Silent), CancellationToken::new()).await
    }

    async fn compare(&self, left: verify::Side, right: verify::Side) -> VerifyReport {
        self.open(left, right).await.unwrap().finish().unwrap()
    }

    async fn servers(&self, left: &Side<'_>, right: &Side<'_>) -> VerifyReport {
        self.compare(server(left).await, server(right).await).await
    }

    /// The differences in the file: class, key as JSON, path, types.
    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.findings()).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of = |line: serde_json::Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<String> = lines
            .filter(|line| line["type"] == "difference")
            .map(|line| {
                let key = line["document"]["_id"].to_string();
                let parts = ["difference", "path", "left", "right"].map(|name| of(line.clone(), name));
                format!("{key} {}", parts.join(" ")).trim_end().to_owned()
            })
            .collect();
        all.sort();
        all
    }
}

/// Two databases hold the same.
pub(crate) async fn equal(left: &Side<'_>, right: &Side<'_>) {
    let report = Bench::new().servers(left, right).await;
    assert!(report.is_equal(), "{report:#?}");
}

fn silent() -> Arc<dyn transload::progress::Progress> {
    Arc::new(Silent)
}

async fn server(side: &Side<'_>) -> verify::Side {
    verify::Side::Server(side.server().await)
}

fn archive(archive: &Archive) -> verify::Side {
    verify::Side::Archive(ArchiveFile::open_whole(&archive.path()).unwrap())
}

/// Two databases with the same documents.
async fn twins<'a>(left: &'a str, right: &'a str, documents: &[Vec<u8>]) -> (Side<'a>, Side<'a>) {
    let set = shared(Release::V6_0_5).await;
    let sides = (Side::new(set, left), Side::new(set, right));
    for side in [&sides.0, &sides.1] {
        side.run(doc! { "dropDatabase": 1 }).await;
        side.insert("items", documents).await;
    }
    sides
}

fn numbered(count: i32) -> Vec<Vec<u8>> {
    (0..count).map(|n| rawdoc! { "_id": n, "n": n, "text": "x".repeat(200) }.into_bytes()).collect()
}

#[tokio::test]
async fn a_copy_is_equal_whichever_way_it_is_looked_at() {
    let (source, target) = (
        Side::new(shared(Release::V5_0_4).await, "verify_zoo"),
        Side::new(shared(Release::V6_0_5).await, "verify_zoo_copy"),
    );
    source.run(doc! { "dropDatabase": 1 }).await;
    let ids: Vec<Vec<u8>> = ids().iter().map(|id| crate::odd_documents::document(id, |_| {})).collect();
    for (name, documents) in [("types", every_type()), ("ids", ids), ("names", odd_names()), ("many", numbered(5000))] {
        source.insert(name, &documents).await;
    }
    for create in [
        doc! { "create": "empty" },
        doc! { "create": "capped", "capped": true, "size": 1 << 20, "max": 50 },
        doc! { "create": "collated", "collation": { "locale": "en", "strength": 2 } },
        doc! { "create": "view", "viewOn": "many", "pipeline": [{ "$match": { "n": { "$gt": 3 } } }] },
        doc! { "create": "weather", "timeseries": { "timeField": "t", "metaField": "m" } },
    ] {
        source.run(create).await;
    }
    source.insert("capped", &numbered(80)).await;
    let words: Vec<Vec<u8>> = (0..500)
        .map(|n| rawdoc! { "_id": format!("{}word {n}", if n % 2 == 0 { "A " } else { "b " }) }.into_bytes())
        .collect();
    source.insert("collated", &words).await;
    let weather = source.open().await.collection::<Document>("weather");
    weather
        .insert_many((0..200).map(|n| doc! { "t": bson::DateTime::from_millis(n * 7_000), "m": n % 3, "v": n }))
        .await
        .unwrap();
    source.run(doc! { "createIndexes": "many", "indexes": [{ "key": { "n": 1 }, "name": "n", "unique": true }] }).await;
    let (first, second) = (Archive::new(), Archive::new());
    let mut options = first.options();
    options.part_bytes = 100_000;
    first.dump_as(&source, options).await.unwrap();
    first.restore(&target).await.unwrap();
    second.dump(&source).await.unwrap();
    let mut bench = Bench::new();
    let left = server(&source).await;
    bench.options.selection.rename = vec!["verify_zoo.*=verify_zoo_copy.*".to_owned()];
    let renamed = [(archive(&first), server(&target).await), (archive(&second), server(&target).await)];
    for (left, right) in renamed {
        let report = bench.compare(left, right).await;
        assert!(report.is_equal(), "{report:#?}");
    }
    bench.options.selection.rename.clear();
    let pairs = [
        (left.clone(), server(&target).await),
        (left.clone(), archive(&first)),
        (archive(&first), left.clone()),
        (archive(&second), archive(&first)),
        (archive(&first), archive(&second)),
    ];
    for (left, right) in pairs {
        let report = bench.compare(left, right).await;
        assert!(report.is_equal() && report.notes.is_empty(), "{report:#?}");
        assert!(report.documents.left > 5600 && report.documents.left == report.documents.right, "{report:#?}");
        assert!(!bench.findings().exists(), "nothing is in it, and nothing is left");
    }
    drop(bench.folder);
}

/// A document of another one's key.
async fn replace(side: &Side<'_>, collection: &str, document: RawDocumentBuf) {
    let collection = side.open().await.collection::<RawDocumentBuf>(collection);
    let filter = doc! { "_id": Bson::try_from(document.get("_id").unwrap().unwrap()).unwrap() };
    collection.replace_one(filter, document).with_options(ReplaceOptions::default()).await.unwrap();
}

#[tokio::test]
async fn planted_differences_of_every_class_are_found_and_nothing_else() {
    let nan = |payload: u64| f64::from_bits(0x7FF8_0000_0000_0000 | payload);
    let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
    let binary = |subtype| Binary { subtype, bytes: vec![1, 2, 3] };
    let mut twice = rawdoc! { "_id": 12 };
    (1..3).for_each(|n| twice.append(cstr!("twice"), n));
    let planted = [
        (rawdoc! { "_id": 1, "a": { "b": [1, "x"] } }, rawdoc! { "_id": 1, "a": { "b": [1, "y"] } }),
        (rawdoc! { "_id": 2, "a": 5 }, rawdoc! { "_id": 2, "a": 5_i64 }),
        (rawdoc! { "_id": 3, "a": 1 }, rawdoc! { "_id": 3, "a": 1.0 }),
        (rawdoc! { "_id": 4, "a": 1, "b": { "c": 1, "d": 2 } }, rawdoc! { "_id": 4, "a": 1, "b": { "d": 2, "c": 1 } }),
        (rawdoc! { "_id": 7, "a": decimal("1.10") }, rawdoc! { "_id": 7, "a": decimal("1.1") }),
        (rawdoc! { "_id": 8, "a": -0.0 }, rawdoc! { "_id": 8, "a": 0.0 }),
        (rawdoc! { "_id": 9, "a": nan(0) }, rawdoc! { "_id": 9, "a": nan(7) }),
        (
            rawdoc! { "_id": 10, "a": binary(BinarySubtype::Generic) },
            rawdoc! { "_id": 10, "a": binary(BinarySubtype::UserDefined(0x80)) },
        ),
        (rawdoc! { "_id": 11, "a": 1 }, rawdoc! { "_id": 11_i64, "a": 1 }),
        (twice, rawdoc! { "_id": 12, "twice": 1 }),
    ];
    let (left, right) = twins("verify_planted", "verify_planted_copy", &[]).await;
    let same: Vec<Vec<u8>> = (100..1000).map(|n| rawdoc! { "_id": n, "n": n }.into_bytes()).collect();
    for (side, of) in [(&left, 0), (&right, 1)] {
        let documents = planted.iter().map(|pair| if of == 0 { &pair.0 } else { &pair.1 });
        side.insert("items", &documents.map(|document| document.as_bytes().to_vec()).collect::<Vec<_>>()).await;
        side.insert("items", &same).await;
        side.insert("items", &[rawdoc! { "_id": 5 + of }.into_bytes()]).await;
        let (size, level, from) = [(4096, "moderate", 3), (8192, "strict", 4)][of as usize];
        let alone = ["left_only", "right_only"][of as usize];
        let required = [doc! { "n": 1, "m": 1 }, doc! { "m": 1, "n": 1 }][of as usize].clone();
        for create in [
            doc! { "create": "capped", "capped": true, "size": size },
            doc! { "create": "view", "viewOn": "items", "pipeline": [{ "$match": { "n": from } }] },
            doc! { "create": "valid", "validator": { "$jsonSchema": { "properties": { "n": {}, "m": {} } }, "x": required }, "validationLevel": level },
            doc! { "create": alone },
        ] {
            side.run(create).await;
        }
        let collation = (of == 0).then(|| doc! { "locale": "en", "strength": 2 });
        side.run(doc! { "create": "collated", "collation": collation.unwrap_or(doc! { "locale": "simple" }) }).await;
        let ttl = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 60 * (of + 1) };
        let plain = doc! { "key": { "n": 1 }, "name": "n_1" };
        let more = doc! { "key": { "k": 1 }, "name": "k_1" };
        let indexes = if of == 0 { vec![ttl, plain, more] } else { vec![plain, ttl] };
        side.run(doc! { "createIndexes": "items", "indexes": indexes }).await;
    }
    let bench = Bench::new();
    let report = bench.servers(&left, &right).await;
    assert_eq!(
        bench.lines(),
        [
            r#"{"$numberInt":"1"} different a.b.1 string string"#,
            r#"{"$numberInt":"10"} different a binary binary"#,
            r#"{"$numberInt":"11"} different _id int32 int64"#,
            r#"{"$numberInt":"12"} different twice int32 nothing"#,
            r#"{"$numberInt":"2"} different a int32 int64"#,
            r#"{"$numberInt":"3"} different a int32 double"#,
            r#"{"$numberInt":"4"} field order b.c"#,
            r#"{"$numberInt":"5"} missing on the right"#,
            r#"{"$numberInt":"6"} missing on the left"#,
            r#"{"$numberInt":"7"} different a decimal128 decimal128"#,
            r#"{"$numberInt":"8"} different a double double"#,
            r#"{"$numberInt":"9"} different a double double"#,
        ]
    );
    let counts = report.documents;
    assert_eq!((counts.different, counts.field_order, counts.missing_left, counts.missing_right), (9, 1, 1, 1));
    let found: BTreeSet<String> = report
        .discrepancies
        .iter()
        .map(|of| of.to_string().replace("verify_planted.", "").replace("verify_planted_copy.", ""))
        // The whole of a collation is long.
        .map(|of| of.split(" ({\"locale").next().unwrap().to_owned())
        .collect();
    let expected = [
        r#"capped: option size: {"$numberInt":"4096"} on the left, {"$numberInt":"8192"} on the right"#,
        "collated: index _id_: collation: missing on the right",
        "collated: option collation: missing on the right",
        r#"items: index at_1: expireAfterSeconds: {"$numberInt":"60"} on the left, {"$numberInt":"120"} on the right"#,
        r#"items: index k_1: missing on the right ({"k":{"$numberInt":"1"}})"#,
        "left_only: namespace: missing on the right (collection, 0 documents)",
        "right_only: namespace: missing on the left (collection, 0 documents)",
        r#"valid: option validationLevel: "moderate" on the left, "strict" on the right"#,
        "valid: option validator: x.n in its place on the left, in another place on the right",
        "view: option pipeline: int32 at 0.$match.n on the left, another int32 on the right",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
    assert!(!report.is_equal() && report.findings.is_some());
    assert_eq!(report.notes.len(), 1, "the order in which indexes were made: {:?}", report.notes);

    let mut lenient = Bench::new();
    lenient.options.ignore_field_order = true;
    let report = lenient.servers(&left, &right).await;
    assert_eq!((report.documents.field_order, report.documents.differences()), (0, 11));
}

#[tokio::test]
async fn differences_anywhere_in_many_parts_are_found_from_both_sides() {
    // In another order than that of their `_id`s.
    let (rising, mut documents) = (numbered(20_000), Vec::new());
    documents.extend((0..20_000).map(|n| rising[n * 7919 % 20_000].clone()));
    let (left, right) = twins("verify_parts", "verify_parts_copy", &documents).await;
    let items = right.open().await.collection::<Document>("items");
    let changed: Vec<i32> = (0..20_000).filter(|n| n % 997 == 0).collect();
    items.update_many(doc! { "_id": { "$in": &changed } }, doc! { "$set": { "n": "other" } }).await.unwrap();
    items.delete_many(doc! { "_id": { "$in": [19_999, 0, 5_000] } }).await.unwrap();
    items.insert_many([doc! { "_id": -1 }, doc! { "_id": 77.5 }, doc! { "_id": "last" }]).await.unwrap();
    let (of_left, of_right, unordered) = (Archive::new(), Archive::new(), Archive::new());
    let (by_id, natural) = (ReadOrder::Id, ReadOrder::Natural);
    for (archive, side, part_bytes, read_order) in
        [(&of_left, &left, 150_000, by_id), (&of_right, &right, 400_000, by_id), (&unordered, &left, 150_000, natural)]
    {
        let options = transload::dump::DumpOptions { part_bytes, read_order, ..archive.options() };
        let dumped = archive.dump_as(side, options).await.unwrap();
        assert_eq!(dumped.natural_order.len(), usize::from(read_order == natural));
    }
    let mut bench = Bench::new();
    bench.options.part_bytes = 200_000;
    let rename = vec!["verify_parts.*=verify_parts_copy.*".to_owned()];
    let of_left = [None, Some(&of_left), Some(&unordered)];
    for (from, to_archive) in of_left.into_iter().flat_map(|from| [(from, false), (from, true)]) {
        let from_archive = from.is_some();
        let one = match from {
            Some(from) => archive(from),
            None => server(&left).await,
        };
        let other = if to_archive { archive(&of_right) } else { server(&right).await };
        bench.options.selection.rename = if from_archive || to_archive { rename.clone() } else { Vec::new() };
        let report = bench.compare(one, other).await;
        let counts = report.documents;
        let found = (counts.different, counts.missing_right, counts.missing_left, counts.left, counts.right);
        assert_eq!(found, (changed.len() as u64 - 1, 3, 3, 20_000, 20_000), "{report:?}");
        assert!(report.discrepancies.is_empty(), "{report:?}");
        std::fs::remove_file(bench.findings()).unwrap();
    }
}

/// Copies come in about the same order, so a server beside an archive in natural order is read in its own.
#[tokio::test]
async fn a_server_is_read_in_the_order_of_the_archive() {
    let documents = numbered(3000);
    let (left, right) = twins("verify_order", "verify_order_copy", &documents).await;
    for (read_order, wanted) in [(ReadOrder::Id, "IXSCAN { _id: 1 }"), (ReadOrder::Natural, "COLLSCAN")] {
        let of_left = Archive::new();
        let options = transload::dump::DumpOptions { part_bytes: 100_000, read_order, ..of_left.options() };
        of_left.dump_as(&left, options).await.unwrap();
        right.run(doc! { "profile": 2 }).await;
        let mut bench = Bench::new();
        bench.options.selection.rename = vec!["verify_order.*=verify_order_copy.*".to_owned()];
        assert!(bench.compare(archive(&of_left), server(&right).await).await.is_equal());
        right.run(doc! { "profile": 0 }).await;
        let profile = right.open().await.collection::<Document>("system.profile");
        let read = doc! { "op": "query", "ns": "verify_order_copy.items", "nreturned": { "$gt": 100 } };
        let plans = profile.distinct("planSummary", read).await.unwrap();
        assert_eq!(plans, [Bson::from(wanted)], "{read_order}");
        profile.drop().await.unwrap();
    }
}

#[tokio::test]
async fn ids_that_are_one_to_a_collation_are_one_document() {
    let (left, right) = twins("verify_collation", "verify_collation_copy", &[]).await;
    for side in [&left, &right] {
        side.run(doc! { "create": "words", "collation": { "locale": "en", "strength": 2 } }).await;
    }
    let words = |spell: fn(i32) -> String| {
        (0..3000).map(|n| rawdoc! { "_id": spell(n), "n": n }.into_bytes()).collect::<Vec<_>>()
    };
    left.insert("words", &words(|n| format!("Word {n}"))).await;
    right.insert("words", &words(|n| if n % 500 == 0 { format!("WORD {n}") } else { format!("Word {n}") })).await;
    right.open().await.collection::<Document>("words").delete_one(doc! { "_id": "Word 7" }).await.unwrap();
    let bench = Bench::new();
    let report = bench.servers(&left, &right).await;
    let counts = report.documents;
    assert_eq!((counts.different, counts.missing_right, counts.missing_left), (6, 1, 0), "{:?}", bench.lines());
    assert!(
        bench.lines().iter().all(|line| line.contains("_id string string") || line.contains("Word 7")),
        "{:?}",
        bench.lines()
    );
}

#[tokio::test]
async fn the_order_of_a_capped_collection_is_data() {
    let (left, right) = twins("verify_capped", "verify_capped_copy", &[]).await;
    let documents = numbered(100);
    for side in [&left, &right] {
        side.run(doc! { "create": "log", "capped": true, "size": 1 << 20 }).await;
    }
    left.insert("log", &documents).await;
    let mut others = documents.clone();
    others.remove(3);
    right.insert("log", &others).await;
    let bench = Bench::new();
    let report = bench.servers(&left, &right).await;
    assert_eq!((report.documents.missing_right, report.documents.differences()), (1, 1), "{report:?}");
    assert!(report.discrepancies.is_empty(), "what is missing moves nothing: {report:?}");
    right.run(doc! { "drop": "log" }).await;
    right.run(doc! { "create": "log", "capped": true, "size": 1 << 20 }).await;
    let mut others = documents;
    others.swap(10, 60);
    right.insert("log", &others).await;
    let report = bench.servers(&left, &right).await;
    assert_eq!(report.documents.differences(), 0, "{report:?}");
    assert_eq!(report.discrepancies.iter().map(|of| of.what.as_str()).collect::<Vec<_>>(), ["order of documents"]);
}

#[tokio::test]
async fn a_comparison_that_was_interrupted_goes_on_behind_the_parts_that_were_done() {
    let (left, right) = twins("verify_resumed", "verify_resumed_copy", &numbered(30_000)).await;
    let items = right.open().await.collection::<Document>("items");
    items.update_many(doc! { "_id": { "$mod": [100, 1] } }, doc! { "$set": { "n": "other" } }).await.unwrap();
    let mut bench = Bench::new();
    (bench.options.part_bytes, bench.options.parallel) = (150_000, 1);
    let cancel = CancellationToken::new();
    let work =
        verify(server(&left).await, server(&right).await, bench.options.clone(), Arc::new(Silent), cancel.clone());
    let stop = async {
        let is_half = || {
            std::fs::read_to_string(bench.findings()).is_ok_and(|text| text.matches("\"type\":\"part\"").count() > 5)
        };
        while !is_half() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
    };
    let (interrupted, ()) = tokio::join!(work, stop);
    assert_eq!(interrupted.unwrap_err().kind(), ErrorKind::Interrupted);
    // The findings of a part that was not done, and a line that a kill has cut.
    let mut text = std::fs::read_to_string(bench.findings()).unwrap();
    let line = text.lines().find(|line| line.contains("\"type\":\"difference\"")).unwrap().to_owned();
    let part = line.split("\"part\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
    text.push_str(&line.replace(&format!("\"part\":{part},"), "\"part\":9999,"));
    text.push_str("\n{\"type\":\"diff");
    std::fs::write(bench.findings(), text).unwrap();
    let report = bench.servers(&left, &right).await;
    assert!(report.resumed_parts > 5, "{report:?}");
    assert_eq!((report.documents.left, report.documents.different, report.documents.differences()), (30_000, 300, 300));
    assert_eq!(bench.lines().len(), 300);
    // Done, it is done; another comparison does not write over it.
    let again = bench.servers(&left, &right).await;
    assert_eq!((again.resumed_parts, again.documents.differences()), (0, 300));
    let refused = bench.open(server(&right).await, server(&left).await).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
}

#[tokio::test]
async fn a_sample_is_of_the_same_documents_on_both_sides() {
    let (left, right) = twins("verify_sample", "verify_sample_copy", &numbered(20_000)).await;
    let mut bench = Bench::new();
    bench.options.sample = Some(Sampled { documents: 2000, seed: 5 });
    let report = bench.servers(&left, &right).await;
    assert!(report.is_equal() && report.sample == bench.options.sample, "{report:?}");
    assert!(
        (1800..2200).contains(&report.documents.left) && report.documents.left == report.documents.right,
        "{report:?}"
    );
    let archived = Archive::new();
    archived.dump(&left).await.unwrap();
    bench.options.selection.rename = vec!["verify_sample.*=verify_sample_copy.*".to_owned()];
    let of_archive = bench.compare(archive(&archived), server(&right).await).await;
    assert_eq!(of_archive.documents.left, report.documents.left);
    bench.options.selection.rename.clear();
    let items = right.open().await.collection::<Document>("items");
    items.delete_many(doc! { "_id": { "$mod": [2, 1] } }).await.unwrap();
    let report = bench.servers(&left, &right).await;
    let missing = report.documents.missing_right;
    assert!((850..1150).contains(&missing) && report.documents.missing_left == 0, "{report:?}");
}

#[tokio::test]
async fn a_right_side_that_catches_up_is_looked_at_again() {
    let (left, right) = twins("verify_recheck", "verify_recheck_copy", &numbered(2000)).await;
    let change = doc! { "$set": { "n": "changed" } };
    let some = |end: i32| doc! { "_id": { "$lt": end } };
    left.open().await.collection::<Document>("items").update_many(some(50), change.clone()).await.unwrap();
    left.open().await.collection::<Document>("items").delete_one(doc! { "_id": 100 }).await.unwrap();
    let mut bench = Bench::new();
    bench.options.recheck = Some(Duration::from_secs(20));
    let catch_up = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let items = right.open().await.collection::<Document>("items");
        items.update_many(some(50), change).await.unwrap();
        items.delete_one(doc! { "_id": 100 }).await.unwrap();
    };
    let (report, ()) = tokio::join!(bench.servers(&left, &right), catch_up);
    assert!(report.is_equal() && report.rechecked == 51, "{report:?}");
    right
        .open()
        .await
        .collection::<Document>("items")
        .update_one(doc! { "_id": 3 }, doc! { "$set": { "n": 0 } })
        .await
        .unwrap();
    bench.options.recheck = Some(Duration::from_secs(1));
    let report = bench.servers(&left, &right).await;
    assert_eq!((report.documents.different, report.rechecked), (1, 0), "{report:?}");
}

#[tokio::test]
async fn a_repair_copies_the_documents_that_differ_and_no_others() {
    let (left, right) = twins("verify_repair", "verify_repair_copy", &numbered(3000)).await;
    let unique = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
    for side in [&left, &right] {
        side.run(doc! { "createIndexes": "items", "indexes": [&unique] }).await;
        side.insert("odd", &odd_names()).await;
    }
    let items = right.open().await.collection::<Document>("items");
    items.delete_many(doc! { "_id": { "$gte": 10, "$lt": 20 } }).await.unwrap();
    items.insert_many((0..5).map(|n| doc! { "_id": format!("extra {n}"), "n": 10_000 + n })).await.unwrap();
    // These have each other's values.
    for (id, n) in [(1, -1), (2, 1), (1, 2)] {
        items.update_one(doc! { "_id": id }, doc! { "$set": { "n": n } }).await.unwrap();
    }
    replace(&right, "items", rawdoc! { "_id": 30, "text": "x", "n": 30 }).await;
    items.delete_one(doc! { "_id": 31 }).await.unwrap();
    items.insert_one(doc! { "_id": 31_i64, "n": 31 }).await.unwrap();
    right.open().await.collection::<Document>("odd").delete_many(doc! {}).await.unwrap();
    let archived = Archive::new();
    archived.dump(&left).await.unwrap();
    for from_archive in [true, false] {
        let mut bench = Bench::new();
        let one = if from_archive { archive(&archived) } else { server(&left).await };
        if from_archive {
            bench.options.selection.rename = vec!["verify_repair.*=verify_repair_copy.*".to_owned()];
        } else {
            items.update_one(doc! { "_id": 99 }, doc! { "$set": { "n": 99_i64 } }).await.unwrap();
        }
        let mut verification = bench.open(one, server(&right).await).await.unwrap();
        let differing = verification.documents().differences();
        assert_eq!(differing, if from_archive { 19 + odd_names().len() as u64 } else { 1 }, "{:?}", bench.lines());
        verification.repair(&silent(), CancellationToken::new()).await.unwrap();
        let report = verification.finish().unwrap();
        assert!(report.is_equal() && report.repaired == differing, "{report:?}");
        assert_eq!(right.state().await.hashes, left.state().await.hashes);
    }
}

#[tokio::test]
async fn what_only_one_side_has_is_named_and_what_is_not_selected_is_not() {
    let (left, right) = twins("verify_names", "verify_names_copy", &numbered(10)).await;
    left.insert("gone", &numbered(3)).await;
    right.insert("extra", &numbered(4)).await;
    let mut bench = Bench::new();
    let names = |report: &VerifyReport| report.discrepancies.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        names(&bench.servers(&left, &right).await),
        [
            "verify_names.gone: namespace: missing on the right (collection, 3 documents)",
            "verify_names_copy.extra: namespace: missing on the left (collection, 4 documents)"
        ]
    );
    bench.options.selection.exclude = vec!["extra".to_owned(), "gone".to_owned()];
    assert!(bench.servers(&left, &right).await.is_equal());
    bench.options.selection = SelectionOptions { rename: vec!["gone=extra".to_owned()], ..SelectionOptions::default() };
    let report = bench.servers(&left, &right).await;
    assert_eq!((report.documents.missing_left, names(&report)), (1, Vec::new()));
    // An archive is about the databases that are in it.
    std::fs::remove_file(bench.findings()).unwrap();
    let archived = Archive::new();
    archived.dump(&left).await.unwrap();
    bench.options.selection = SelectionOptions::default();
    let whole = left.server_of_all().await;
    let report = bench.compare(archive(&archived), verify::Side::Server(whole)).await;
    assert!(report.is_equal(), "{report:?}");
}
