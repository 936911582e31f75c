//! Sidecars there and back, and what is said of those that make no sense.

use bson::rawdoc;
use transload_format::{Collection, CollectionType};

use super::*;

fn collection(indexes: Vec<Vec<u8>>) -> Collection {
    let (namespace, kind, options) = ("shop.orders".to_owned(), CollectionType::Collection, vec![5, 0, 0, 0, 0]);
    Collection { namespace, kind, uuid: None, options, indexes }
}

fn derived() -> Sidecar {
    let specs = [
        rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
        rawdoc! { "v": 2, "key": { "b": 1, "a": -1.5 }, "name": "b_a", "partialFilterExpression": { "n": { "$gt": 5_i64 } } },
        rawdoc! { "v": 1, "key": { "a": true }, "name": "a_1", "safe": bson::raw::RawBsonRef::Null },
        rawdoc! { "v": 2, "key": { "a": "nonsense" }, "name": "bad" },
    ];
    Sidecar::derive(Some("00ff".to_owned()), &[collection(specs.into_iter().map(|spec| spec.into_bytes()).collect())])
}

#[test]
fn a_sidecar_comes_back_as_it_was_written() {
    let sidecar = derived();
    assert_eq!(sidecar.collections[0].indexes.len(), 2);
    assert_eq!(sidecar.collections[0].not_built.len(), 1);
    assert_eq!(Sidecar::parse(&sidecar.to_json().unwrap()).unwrap(), sidecar);
    let none = Sidecar::derive(None, &[]);
    assert_eq!(Sidecar::parse(&none.to_json().unwrap()).unwrap(), none);
}

#[test]
fn a_sidecar_alone_knows_what_its_indexes_depend_on() {
    let mut series = collection(vec![rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "own" }.into_bytes()]);
    series.options = rawdoc! { "timeseries": { "timeField": "t" }, "validator": {} }.into_bytes();
    let sidecar = Sidecar::derive(None, &[series]);
    let back = Sidecar::parse(&sidecar.to_json().unwrap()).unwrap();
    assert_eq!(back, sidecar);
    assert_eq!(back.collections[0].options, rawdoc! { "timeseries": { "timeField": "t" } }.into_bytes());
}

#[test]
fn a_person_can_read_it() {
    insta::with_settings!({ snapshot_path => "../../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("sidecar", derived().to_json().unwrap());
    });
}

#[test]
fn what_does_not_make_sense_is_named_with_its_line() {
    let good = derived().to_json().unwrap();
    for (from, to, says) in [
        ("\"key\":{\"b\":1,", "\"key\":{\"b\":1", "line 7: expected \",\" or \"}\""),
        ("\"sidecar\": 1", "\"sidecar\": 2", "line 2: its version is 2, not 1"),
        (
            "\"namespace\"",
            "\"collection\"",
            "line 5: \"collection\" is nothing that a sidecar has here; it may be \"namespace\", ",
        ),
        ("\"collections\": [", "\"collections\": {", "line 4: a list […] was expected, and an object {…} was found"),
        (
            "\"sidecar\": 1",
            "\"sidecar\": \"one\"",
            "line 2: a whole number was expected, and the text \"one\" was found",
        ),
        ("\"namespace\": \"shop.orders\",", "", "line 12: \"namespace\" is missing in this object, which ends here"),
        ("\"spec\":{", "\"spec\":null,\"was\":{", "line 7: an object {…} was expected, and null was found"),
        ("\n}\n", "", "line 13: the file ends in an object, before its }"),
        ("\n}\n", "\n}}\n", "line 14: something stands behind the end, the last }"),
        ("\"name\":\"b_a\"", "\"name\":\"b_a\",\"key\":{\"c\":1}", "line 7: \"key\" comes twice in one object"),
        ("{\"b\":1,", "{\"b\":1,\"b\":-1,", "line 7: \"b\" comes twice in one object"),
        ("\"archive\"", "\"sidecar\": 1, \"archive\"", "line 3: \"sidecar\" comes twice in one object"),
        (
            "{\"$numberLong\":\"5\"}",
            "{\"$numberLong\":\"five\"}",
            "b_a of shop.orders: line 7: a value of extended JSON makes no sense: a whole number in quotation marks was expected, and the text \"five\" was found",
        ),
        ("{\"$numberLong\":\"5\"}", "{\"$date\":\"5\"}", "b_a of shop.orders: line 7: a value of extended JSON "),
        ("{\"$numberLong\":\"5\"}", "{\"$oid\":\"5\"}", "b_a of shop.orders: line 7: a value of extended JSON "),
        ("{\"$numberLong\":\"5\"}", "{\"$oid\":5}", "b_a of shop.orders: line 7: a value of extended JSON "),
        ("{\"$numberLong\":\"5\"}", "{\"$numberLong\":5}", "b_a of shop.orders: line 7: a value of extended JSON "),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let error = Sidecar::parse(&bad).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn a_sidecar_of_another_archive_or_collection_is_refused() {
    let sidecar = derived();
    let text = sidecar.to_json().unwrap();
    let check = |archive: &str, name: &str, kind| sidecar.check(&text, archive, &[(name, kind)]);
    check("00ff", "shop.orders", CollectionType::Collection).unwrap();
    let other = check("0000", "shop.orders", CollectionType::Collection).unwrap_err().to_string();
    assert_eq!(other, "line 3: it is for the archive with the id 00ff, and this one has 0000");
    let gone = check("00ff", "shop.events", CollectionType::Collection).unwrap_err().to_string();
    assert_eq!(gone, "line 5: the archive has no collection shop.orders");
    let view = check("00ff", "shop.orders", CollectionType::View).unwrap_err().to_string();
    assert_eq!(view, "line 5: shop.orders is a view, and views have no indexes");
}

#[test]
fn the_journal_of_a_repair_is_no_sidecar() {
    let refused = |sidecar: Sidecar| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.indexes.json");
        sidecar.write(&path).unwrap();
        let read = Sidecar::read(&path).unwrap_err();
        let read_for = Sidecar::read_for(&path, "00ff", &[("shop.orders", CollectionType::Collection)]).unwrap_err();
        assert_eq!((read.kind(), read.to_string()), (read_for.kind(), read_for.to_string()));
        assert_eq!(read.kind(), crate::error::ErrorKind::Usage);
        read.to_string().split_once(": ").unwrap().1.to_owned()
    };
    let of_server = Sidecar { server: Some("rs/a:1".to_owned()), ..derived() };
    assert_eq!(refused(of_server), "it is the journal of a repair of rs/a:1, and no sidecar");
    let (mut of_collection, of_scratch) = (derived(), Sidecar { scratch: vec!["shop.x".to_owned()], ..derived() });
    of_collection.collections[0].uuid = Some("00".repeat(16));
    assert_eq!(refused(of_collection), "it is the journal of a repair, and no sidecar");
    assert_eq!(refused(of_scratch), "it is the journal of a repair, and no sidecar");
}
