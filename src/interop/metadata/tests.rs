//! mongodump's metadata there and back, with nothing changed in it but specs.

use bson::rawdoc;

use super::*;

const TEXT: &str = r#"{ "options":{"collation":{"locale":"de"}},"later":1.0e3,
  "indexes":[ {"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"} ,{"key":{"a":1},"name":"a_1","safe":null},
  {"key":{"b":1},"name":"b_1"}],"uuid":"00ff","collectionName":"or ders"}
"#;

fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The files at `path`, all of which can be read.
fn read(path: &Path) -> Vec<MetadataFile> {
    metadata_files(path).unwrap().into_iter().map(|found| found.file.unwrap()).collect()
}

#[test]
fn nothing_but_the_specs_that_must_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "shop/cut%24.metadata.json", TEXT);
    let [found] = &read(folder.path())[..] else { panic!("one file") };
    assert_eq!(found.namespace.to_string(), "shop.or ders");
    assert_eq!(
        found.indexes[1],
        rawdoc! { "key": { "a": 1 }, "name": "a_1", "safe": bson::raw::RawBsonRef::Null }.as_bytes()
    );
    assert_eq!(found.options, rawdoc! { "collation": { "locale": "de" } }.into_bytes());
    let clean = rawdoc! { "key": { "a": 1 }, "name": "a_1" }.into_bytes();
    found.rewrite(|number| if number == 1 { Rewrite::Replace(clean.clone()) } else { Rewrite::Keep }).unwrap();
    let expected =
        TEXT.replace(r#"{"key":{"a":1},"name":"a_1","safe":null}"#, r#"{"key":{"a":{"$numberInt":"1"}},"name":"a_1"}"#);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    found.rewrite(|_| Rewrite::Keep).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
}

#[test]
fn any_spec_can_be_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "shop/a.metadata.json", TEXT);
    let found = &read(&path)[0];
    for out in 0..8 {
        let text =
            found.rewritten(|number| if out & (1 << number) != 0 { Rewrite::Remove } else { Rewrite::Keep }).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["indexes"].as_array().unwrap().len(), 3 - (out as u8).count_ones() as usize, "{text}");
        assert_eq!(value["uuid"], "00ff");
    }
}

#[test]
fn every_place_of_a_dump_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let plain = TEXT.replace(r#","collectionName":"or ders""#, "");
    file(folder.path(), "prelude.json", "{}");
    file(folder.path(), "shop/a+b.metadata.json", &plain);
    let single = file(folder.path(), "shop/zip.metadata.json.gz", compressed(&plain));
    file(folder.path(), "shop/empty.metadata.json", "");
    file(folder.path(), "shop/view.metadata.json", r#"{"indexes":[],"type":"view"}"#);
    file(folder.path(), "shop/a+b.bson", "");
    file(folder.path(), "other/x.metadata.json", "{}");
    let names = |path: &Path| -> Vec<String> { read(path).iter().map(|file| file.namespace.to_string()).collect() };
    let shop = ["shop.a b", "shop.empty", "shop.view", "shop.zip"];
    assert_eq!(names(folder.path()), [&["other.x"][..], &shop].concat());
    assert_eq!(names(&folder.path().join("shop")), shop);
    assert_eq!(names(&single), ["shop.zip"]);
    let file = &read(&single)[0];
    file.rewrite(|number| if number == 1 { Rewrite::Remove } else { Rewrite::Keep }).unwrap();
    assert!(fs::read(&single).unwrap().starts_with(&[0x1f, 0x8b]));
    assert_eq!(read(&single)[0].indexes.len(), 2);
}

#[test]
fn what_is_no_metadata_is_an_error_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(metadata_files(folder.path()).unwrap_err().kind(), ErrorKind::NotFound);
    for (text, says) in [
        ("{\"indexes\":[", "shop/a.metadata.json: is no metadata of mongodump: EOF while parsing"),
        ("{\"indexes\":[7]}", "shop/a.metadata.json: index 0: line 1: an object {…} was expected, and 7 was found"),
        (
            "{\"indexes\":[{},\n{\"key\":{\"a\":1,\n\"a\":-1}}]}",
            "shop/a.metadata.json: index 1: line 3: \"a\" comes twice in one object",
        ),
        (
            "{\"options\":{\"capped\":true,\"capped\":false}}",
            "shop/a.metadata.json: options: line 1: \"capped\" comes twice",
        ),
        (
            "{\"indexes\":[],\n\"indexes\":[]}",
            "shop/a.metadata.json: is no metadata of mongodump: duplicate field `indexes` at line 2",
        ),
        ("{\"indexes\":[{\"key\":{\"a\":{\"$numberLong\":\"x\"}}}]}", "shop/a.metadata.json: index 0: "),
    ] {
        file(folder.path(), "shop/a.metadata.json", text);
        let found = metadata_files(folder.path()).unwrap().remove(0);
        assert_eq!(found.namespace.to_string(), "shop.a");
        let error = found.file.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
