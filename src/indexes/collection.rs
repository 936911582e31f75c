//! A collection with its specs and what becomes of each: what all places have in common.

use super::{
    place::PlaceKind,
    report::{Action, CheckedIndex},
};
use crate::{
    catalog::index_spec::{Author, Context, Sanitized, Verdict, sanitize},
    connect::Version,
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
};

/// A collection whose specs have been looked at.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    pub(super) namespace: Namespace,
    /// Its UUID in hexadecimal digits, of a server that tells.
    pub(super) uuid: Option<String>,
    pub(super) indexes: Vec<Sanitized>,
}

impl Collection {
    /// Looks at `specs`, in their order.
    pub(super) fn check(
        namespace: Namespace,
        specs: &[Vec<u8>],
        options: &[u8],
        target: Version,
        author: Author,
    ) -> Self {
        Collection { namespace, uuid: None, indexes: sanitize(specs, &Context { options, target, author }) }
    }

    /// The same where a bad index can be dropped for a good one that is there already: the good ones are looked at
    /// first, so that it is never the other way round.
    pub(super) fn check_good_first(namespace: Namespace, specs: Vec<Vec<u8>>, options: &[u8], target: Version) -> Self {
        let context = Context { options, target, author: Author::Server };
        let is_good = |spec: &Vec<u8>| !sanitize(std::slice::from_ref(spec), &context).iter().any(Sanitized::is_bad);
        let (mut sorted, bad): (Vec<_>, Vec<_>) = specs.into_iter().partition(is_good);
        sorted.extend(bad);
        Collection { namespace, uuid: None, indexes: sanitize(&sorted, &context) }
    }

    pub(super) fn bad(&self) -> impl Iterator<Item = &Sanitized> {
        self.indexes.iter().filter(|index| index.is_bad())
    }
}

/// What a report says of an index in a place of this kind.
pub(super) fn describe(
    namespace: &Namespace,
    index: &Sanitized,
    kind: PlaceKind,
    how: Option<String>,
) -> Result<CheckedIndex> {
    let (action, clean, merged_into, reason) = match &index.verdict {
        Verdict::Build(clean) => (Action::Repair, Some(json(clean)?), None, None),
        Verdict::Merged(other) => (Action::Merge, None, Some(other.clone()), None),
        Verdict::Refused(reason) => (Action::Refuse, None, None, Some(reason.clone())),
        Verdict::Inherent if kind == PlaceKind::Server => (Action::Refuse, None, None, Some(INHERENT.to_owned())),
        Verdict::Inherent => {
            let reason = "a server makes the index on _id itself, and takes none of this".to_owned();
            (Action::Repair, Some(json(&index.without_removed())?), None, Some(reason))
        }
    };
    Ok(CheckedIndex {
        namespace: namespace.clone(),
        index: index.name.clone(),
        action,
        merged_into,
        reason,
        how,
        original: json(&index.original)?,
        clean,
        repairs: index.repairs.clone(),
    })
}

/// Why a bad spec of the index on `_id` of a server stays.
pub(super) const INHERENT: &str = "it comes with the collection, and cannot be built again; a dump and a restore of the collection \
                                   make it anew";

/// A spec as canonical extended JSON; one that is malformed, which a repair names, as null.
fn json(spec: &[u8]) -> Result<serde_json::Value> {
    let Ok(text) = extjson::to_string(spec) else {
        return Ok(serde_json::Value::Null);
    };
    serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("bad JSON of our own: {error}")))
}
