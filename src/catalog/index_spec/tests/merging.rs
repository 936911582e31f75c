//! Specs that are one index to a server, and specs of one name.

use bson::{Bson, Decimal128, bson, doc};

use super::*;

/// An index on `a` with this key value and one more option.
fn spec(name: &str, value: impl Into<Bson>, option: Option<(&str, Bson)>) -> Document {
    let mut spec = doc! { "key": { "a": value.into() }, "name": name };
    option.map(|(name, value)| spec.insert(name, value));
    spec
}

/// What becomes of each: its name, `> NAME` for one that another one serves for, `-` for one that is refused.
fn outcome(specs: &[Document], context: &Context<'_>) -> Vec<String> {
    let outcome = |sanitized: &Sanitized| match &sanitized.verdict {
        Verdict::Build(_) => sanitized.name.clone(),
        Verdict::Merged(other) => format!("> {other}"),
        Verdict::Refused(_) => "-".to_owned(),
        Verdict::Inherent => "inherent".to_owned(),
    };
    all(specs, context).iter().map(outcome).collect()
}

#[test]
fn keys_that_are_equal_as_numbers_are_one_index_and_the_first_stays() {
    let one: Bson = "1.0".parse::<Decimal128>().unwrap().into();
    for value in [bson!(1.0), bson!(1_i64), one, bson!(true), bson!(0)] {
        let specs = [spec("x", 1, None), spec("b", -1, None), spec("y", value.clone(), None)];
        assert_eq!(outcome(&specs, &CONTEXT), ["x", "b", "> x"], "{value}");
        let sanitized = all(&specs, &CONTEXT);
        assert!(repairs(&sanitized[2]).contains(&(RepairKind::Merged, "key")));
    }
    assert_eq!(outcome(&[spec("x", 1, None), spec("y", 5, None), spec("z", 1.5, None)], &CONTEXT), ["x", "y", "z"]);
    let far = 1_i64 << 60;
    assert_eq!(outcome(&[spec("x", far, None), spec("y", far + 1, None)], &CONTEXT), ["x", "y"]);
}

#[test]
fn the_one_that_does_more_stays_wherever_it_stands() {
    let expiring = |seconds: i32| Some(("expireAfterSeconds", bson!(seconds)));
    for (first, second, expected) in [
        (None, expiring(60), ["> y", "y"]),
        (expiring(60), None, ["x", "> x"]),
        (expiring(60), expiring(30), ["> y", "y"]),
        (expiring(30), expiring(60), ["x", "> x"]),
        (Some(("hidden", bson!(true))), None, ["> y", "y"]),
        (None, Some(("hidden", bson!(true))), ["x", "> x"]),
        (None, Some(("prepareUnique", bson!(true))), ["> y", "y"]),
    ] {
        assert_eq!(outcome(&[spec("x", 1, first.clone()), spec("y", true, second.clone())], &CONTEXT), expected);
    }
    let specs = [spec("x", 1, None), spec("y", true, None), spec("z", "", expiring(5)), spec("q", 0, None)];
    assert_eq!(outcome(&specs, &CONTEXT), ["> z", "> z", "z", "> z"]);
}

#[test]
fn a_unique_index_serves_for_one_that_is_not_where_the_two_cannot_stand_side_by_side() {
    let unique = || Some(("unique", bson!(true)));
    for target in [V4_2, V5_0, V6_0, NEWEST] {
        let specs = [spec("x", 1, None), spec("y", true, unique())];
        let expected = if target == V4_2 { ["> y", "y"] } else { ["x", "y"] };
        assert_eq!(outcome(&specs, &on(target)), expected, "{target}");
        let expected = if target == V4_2 { ["x", "> x"] } else { ["x", "y"] };
        assert_eq!(outcome(&[spec("x", true, unique()), spec("y", 1, None)], &on(target)), expected, "{target}");
    }
}

#[test]
fn an_old_target_refuses_the_second_of_two_that_do_not_serve_for_each_other() {
    let sparse_and_unique = || doc! { "key": { "a": 1 }, "name": "y", "sparse": true, "unique": true };
    let filter = |limit: i32| Some(("partialFilterExpression", bson!({ "a": { "$gt": limit } })));
    assert_eq!(outcome(&[spec("x", 1, None), sparse_and_unique()], &on(V4_2)), ["x", "-"]);
    assert_eq!(outcome(&[spec("x", 1, filter(1)), spec("y", 1, filter(2))], &on(V4_2)), ["x", "-"]);
    assert_eq!(outcome(&[spec("x", 1, filter(1)), spec("y", 1, None)], &on(V4_2)), ["> y", "y"]);
    assert_eq!(outcome(&[spec("x", 1, filter(1)), spec("y", 1, filter(2))], &on(V5_0)), ["x", "y"]);
    assert_eq!(outcome(&[spec("x", 1, None), sparse_and_unique()], &on(V5_0)), ["x", "y"]);
}

#[test]
fn indexes_of_different_collations_stand_side_by_side() {
    let with = |name: &str, locale: &str| spec(name, 1, Some(("collation", bson!({ "locale": locale }))));
    let specs = [with("x", "fr"), with("y", "de"), with("z", "simple"), spec("q", 1, None)];
    assert_eq!(outcome(&specs, &on(V4_2)), ["x", "y", "z", "> z"]);
    let options = bytes(doc! { "collation": { "locale": "fr" } });
    let specs = [with("x", "fr"), spec("y", 1, None), with("z", "simple")];
    assert_eq!(outcome(&specs, &Context { options: &options, ..CONTEXT }), ["x", "y", "> y"]);
    assert_eq!(outcome(&specs, &Context { options: &options, ..PERSON }), ["x", "> x", "z"]);
}

#[test]
fn two_indexes_of_one_name_get_two_names_and_no_third_one_loses_its_own() {
    let of = |field: &str, name: &str| doc! { "key": { field: 1 }, "name": name };
    let specs = [of("a", "n"), of("b", "n"), of("c", "n_2"), of("d", "n"), of("e", "_id_")];
    let sanitized = all(&specs, &CONTEXT);
    let names: Vec<_> = sanitized.iter().map(|sanitized| sanitized.name.as_str()).collect();
    assert_eq!(names, ["n", "n_3", "n_2", "n_4", "_id__2"]);
    assert_eq!(repairs(&sanitized[1]), [(RepairKind::Name, "name")]);
    assert_eq!(repairs(&sanitized[2]), []);
    let merged = [of("a", "n"), of("b", "n"), of("b", "m")];
    assert_eq!(outcome(&merged, &CONTEXT), ["n", "n_2", "> n_2"], "the name that it has in the end");
}

#[test]
fn the_order_of_creation_stays() {
    let names = ["z", "m", "a", "q", "b"];
    let specs: Vec<_> = names.iter().map(|name| doc! { "key": { *name: 1 }, "name": *name }).collect();
    assert_eq!(outcome(&specs, &CONTEXT), names);
}
