use bson::rawdoc;

use super::*;

const CONTEXT: Context<'static> =
    Context { options: &[5, 0, 0, 0, 0], target: Version::new(6, 0, 5), author: Author::Server };

#[test]
fn mongoose_leaves_a_safe_null_and_it_is_taken_out_by_name() {
    let spec = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "safe": bson::raw::RawBsonRef::Null };
    let all = sanitize(&[spec.into_bytes()], &CONTEXT);
    assert_eq!(all[0].to_build(), Some(rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1" }.as_bytes()));
    assert_eq!(all[0].repairs.len(), 1);
    assert_eq!(all[0].repairs[0].kind, RepairKind::UnknownOption);
    assert!(all[0].is_bad());
}
