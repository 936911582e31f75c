//! What a collection cannot have together.

use bson::doc;

use super::*;

fn refused(sanitized: &[Sanitized]) -> Vec<&str> {
    sanitized.iter().filter(|one| matches!(one.verdict, Verdict::Refused(_))).map(|one| one.name.as_str()).collect()
}

#[test]
fn a_second_text_index_is_refused_unless_it_is_the_first_again() {
    let text = |name: &str, field: &str| doc! { "key": { field: "text" }, "name": name };
    let sanitized = all(&[text("x", "a"), doc! { "key": { "a": 1 }, "name": "y" }, text("z", "b")], &PERSON);
    assert_eq!(refusal(&sanitized[2]), "a collection has one text index, and x is another one");
    assert_eq!(refused(&sanitized), ["z"]);
    let sanitized = all(&[text("x", "a"), text("again", "a")], &PERSON);
    assert_eq!(sanitized[1].verdict, Verdict::Merged("x".to_owned()));
    // Listed by a server, all of them have one key.
    let listed = |name: &str, field: &str| {
        doc! { "key": { "_fts": "text", "_ftsx": 1 }, "name": name, "weights": { field: 1 }, "textIndexVersion": 3 }
    };
    for target in [V4_2, V6_0] {
        assert_eq!(refused(&all(&[listed("x", "a"), listed("y", "b")], &on(target))), ["y"]);
    }
    // One that is not built itself stands in the way of none.
    let mut never = text("x", "a");
    never.insert("textIndexVersion", 0);
    assert_eq!(refused(&all(&[never, text("y", "b")], &PERSON)), ["x"]);
}

#[test]
fn more_indexes_than_a_collection_takes_are_refused_and_those_that_others_serve_for_do_not_count() {
    let mut specs: Vec<Document> = vec![doc! { "key": { "_id": 1 }, "name": "_id_" }];
    specs.extend((0..64).map(|number| doc! { "key": { format!("f{number}"): 1 }, "name": format!("n{number}") }));
    specs.insert(5, doc! { "key": { "f0": 1.0 }, "name": "f0 again" });
    specs.push(doc! { "key": { "f63": 1.0 }, "name": "f63 again" });
    let sanitized = all(&specs, &PERSON);
    assert_eq!(refused(&sanitized), ["n63", "f63 again"]);
    let reason = "a collection has 64 indexes at most, with the one on _id, and 63 come before it";
    assert_eq!(refusal(&sanitized[65]), reason);
    let options = bytes(doc! { "clusteredIndex": { "key": { "_id": 1 }, "name": "c", "unique": true } });
    assert_eq!(refused(&all(&specs, &Context { options: &options, ..PERSON })), Vec::<&str>::new());
    let clean: Vec<Vec<u8>> = sanitized.iter().filter_map(|one| one.to_build().map(<[u8]>::to_vec)).collect();
    let one_more = bytes(doc! { "key": { "z": 1 }, "name": "z" });
    assert_eq!(refusal(&sanitize_beside(&clean, &one_more, &PERSON).unwrap()), reason);
    assert!(sanitize_beside(&clean[1..], &one_more, &PERSON).unwrap().to_build().is_some());
}
