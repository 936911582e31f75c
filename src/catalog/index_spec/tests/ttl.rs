//! `expireAfterSeconds`: nothing may expire on the target that stayed on the source.

use bson::{Bson, Decimal128, bson, doc};

use super::*;

const NAME: &str = "expireAfterSeconds";

fn expiry(value: impl Into<Bson>, after: Option<Bson>, context: &Context<'_>) {
    let value = value.into();
    let repair = (after.as_ref() != Some(&value)).then_some(RepairKind::Expiry);
    assert_option(NAME, value, after, repair, context);
}

fn decimal(text: &str) -> Bson {
    text.parse::<Decimal128>().unwrap().into()
}

#[test]
fn seconds_that_servers_take_stay_as_they_are() {
    for seconds in [bson!(0), bson!(3600), bson!(3600_i64), bson!(3600.0), bson!(i32::MAX), bson!(-0.0)] {
        expiry(seconds.clone(), Some(seconds), &CONTEXT);
    }
}

#[test]
fn fractions_are_cut_as_servers_cut_them() {
    expiry(3600.5, Some(bson!(3600)), &CONTEXT);
    expiry(0.9, Some(bson!(0)), &CONTEXT);
    expiry(-0.5, Some(bson!(0)), &CONTEXT);
    expiry(decimal("3600"), Some(bson!(3600)), &CONTEXT);
    expiry(decimal("36E2"), Some(bson!(3600)), &CONTEXT);
    expiry(decimal("7.25"), Some(bson!(7)), &CONTEXT);
}

#[test]
fn what_is_no_number_never_expired_anything_and_is_left_out() {
    for value in [bson!("3600"), bson!(""), bson!(true), bson!({}), bson!([3600]), Bson::MaxKey] {
        expiry(value, None, &CONTEXT);
    }
    assert_option(NAME, Bson::Null, None, Some(RepairKind::Null), &CONTEXT);
    assert_option(NAME, Bson::Undefined, None, Some(RepairKind::Null), &CONTEXT);
}

/// Servers that put 2147483647 in the place of these expire what is dated before 1958.
#[test]
fn seconds_out_of_range_are_left_out() {
    for value in [bson!(-1), bson!(-1.5), bson!(-99_999_999_999_i64), bson!(f64::NEG_INFINITY)] {
        expiry(value, None, &CONTEXT);
    }
    for value in [bson!(99_999_999_999_i64), bson!(2_147_483_648_i64), bson!(1e300), bson!(f64::INFINITY)] {
        expiry(value, None, &CONTEXT);
    }
    for value in [bson!(f64::NAN), decimal("NaN"), decimal("-1"), decimal("1E30"), decimal("Infinity")] {
        expiry(value, None, &CONTEXT);
    }
}

#[test]
fn old_targets_take_no_more_seconds_than_since_1970() {
    for (target, takes) in [
        (V4_2, false),
        (V5_0, false),
        (Version::new(5, 0, 14), true),
        (Version::new(5, 3, 0), false),
        (Version::new(6, 0, 1), false),
        (V6_0, true),
        (NEWEST, true),
    ] {
        expiry(2_000_000_000, takes.then_some(bson!(2_000_000_000)), &on(target));
        expiry(1_600_000_000, Some(bson!(1_600_000_000)), &on(target));
    }
}

#[test]
fn an_index_on_several_fields_expires_nothing() {
    let sanitized = one(doc! { "key": { "a": 1, "b": 1 }, "name": "n", NAME: 3600 }, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "a": 1, "b": 1 }, "name": "n" });
    assert_eq!(repairs(&sanitized), [(RepairKind::Expiry, NAME)]);
    let sanitized = one(doc! { "key": { "$**": 1 }, "name": "n", NAME: 3600 }, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "$**": 1 }, "name": "n" });
}

/// The source counted two fields and expired nothing; the clean key has one.
#[test]
fn a_field_that_is_named_twice_does_not_make_documents_expire() {
    let key = RawBuilder::new().int32("a", 1).int32("a", 1).finish();
    let spec = RawBuilder::new().document("key", &key).string("name", "n").int32(NAME, 1).finish();
    let sanitized = &sanitize(&[spec], &CONTEXT)[0];
    assert_eq!(built(sanitized), doc! { "key": { "a": 1 }, "name": "n" });
    assert_eq!(repairs(sanitized), [(RepairKind::KeyTwice, "key.a"), (RepairKind::Expiry, NAME)]);
}

/// 4.2 and 5.0 build it and expire nothing, 6.0 refuses it.
#[test]
fn a_capped_collection_expires_nothing_unless_a_person_asks_a_server_for_it_that_can() {
    let options = bytes(doc! { "capped": true, "size": 4096 });
    for (target, author, kept) in [
        (V4_2, Author::Server, false),
        (V6_0, Author::Server, false),
        (V8_0, Author::Server, false),
        (V6_0, Author::Person, false),
        (V8_0, Author::Person, true),
    ] {
        let context = Context { options: &options, target, author };
        expiry(3600, kept.then_some(bson!(3600)), &context);
    }
    expiry(3600, Some(bson!(3600)), &Context { options: &bytes(doc! { "capped": false }), ..CONTEXT });
}
