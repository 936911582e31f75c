//! Guards that nothing is known of but their names: a repair that was killed has left them, and no journal lists them.

use super::{
    collection::Collection,
    guard::{PREFIX, is_of, is_unique},
};
use crate::catalog::index_spec::Sanitized;

/// A word about each guard of a repair that was killed, by its name: the index that it stands in for may be gone. A
/// guard has no more than the beginning of a long name.
pub(super) fn left_over(collection: &Collection) -> impl Iterator<Item = (String, String)> {
    let guards = collection.indexes.iter().filter_map(|index| Some((index, index.name.strip_prefix(PREFIX)?)));
    guards.map(|(index, guarded)| {
        let spec = |other: &'_ Sanitized| other.to_build().unwrap_or(&other.original).to_vec();
        let is_guarded = |other: &&Sanitized| is_of(&index.original, &spec(other));
        let of = collection.indexes.iter().find(is_guarded);
        let guarded = of.map_or(guarded, |of| of.name.as_str());
        let rest = match of {
            Some(of) if is_unique(&spec(of)) => "which is there: drop the guard",
            Some(_) => "which is there, but is not unique: build it again as one that is, then drop the guard",
            None => "which is not there: build it again, then drop the guard",
        };
        let (namespace, name) = (&collection.namespace, &index.name);
        let warning = format!("{namespace}: {name} is left over from an interrupted repair of {guarded}, {rest}");
        (format!("{namespace} {name}"), warning)
    })
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::{catalog::index_spec::NEWEST, document, namespace::Namespace};

    #[test]
    fn a_guard_of_an_index_with_a_long_name_is_told_to_be_of_it() {
        let says = |specs: &[RawDocumentBuf]| {
            let specs = specs.iter().map(|spec| spec.as_bytes().to_vec()).collect();
            let name = Namespace::parse("shop.orders").unwrap();
            let collection = Collection::check_good_first(name, specs, &document::EMPTY, NEWEST);
            left_over(&collection).map(|(_, warning)| warning).collect::<Vec<_>>()
        };
        let guard =
            || rawdoc! { "v": 2, "key": { "a": -1 }, "name": "transload_guard_customer_1_created_a", "unique": true };
        let is = |rest: &str| {
            [format!(
                "shop.orders: transload_guard_customer_1_created_a is left over from an interrupted repair of {rest}"
            )]
        };
        let long =
            |unique: bool| rawdoc! { "v": 2, "key": { "a": 1 }, "name": "customer_1_created_at_1", "unique": unique };
        assert_eq!(says(&[guard(), long(true)]), is("customer_1_created_at_1, which is there: drop the guard"));
        let not_unique = "customer_1_created_at_1, which is there, but is not unique: build it again as one that is, then \
                          drop the guard";
        assert_eq!(says(&[guard(), long(false)]), is(not_unique));
        let other = rawdoc! { "v": 2, "key": { "b": 1 }, "name": "customer_1_created_at_2", "unique": true };
        let gone = "customer_1_created_a, which is not there: build it again, then drop the guard";
        assert_eq!(says(&[guard(), other]), is(gone));
    }
}
