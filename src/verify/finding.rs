//! How two documents of one `_id` differ: whether they do, whether in more than the order of their fields, and where first.
//!
//! Documents are compared by their bytes; only of those that differ is anything looked for. Names and types are told, values
//! never.

use std::collections::{HashMap, VecDeque};

use crate::document::{self, Element, kind};

/// Servers nest no deeper than 250 levels. What is deeper is compared by its bytes alone.
const DEEPEST: usize = 256;
/// What stands on a side that has no such field.
const NOTHING: &str = "nothing";

/// The classes of findings, in the words of the report.
pub(super) const ONLY_LEFT: &str = "missing on the right";
pub(super) const ONLY_RIGHT: &str = "missing on the left";
pub(super) const FIELD_ORDER: &str = "field order";

/// What was found about one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is not there on the right.
    OnlyLeft,
    /// It is not there on the left.
    OnlyRight,
    /// Both have the same fields and values, in another order.
    FieldOrder {
        /// The first field that stands elsewhere.
        path: String,
    },
    /// They differ.
    Different {
        /// Where, first.
        path: String,
        /// The type of what the left one has there, or `nothing`.
        left: &'static str,
        /// The same of the right one. Where it is the same type, the values differ.
        right: &'static str,
    },
}

impl Finding {
    /// What the two sides differ in about a document, which may be missing on either.
    pub fn between(left: Option<&[u8]>, right: Option<&[u8]>) -> Option<Self> {
        match (left, right) {
            (Some(left), Some(right)) => Self::of(left, right),
            (Some(_), None) => Some(Finding::OnlyLeft),
            (None, Some(_)) => Some(Finding::OnlyRight),
            (None, None) => None,
        }
    }

    /// What two documents of one `_id` differ in.
    pub fn of(left: &[u8], right: &[u8]) -> Option<Self> {
        if left == right {
            return None;
        }
        let mut path = Vec::new();
        Some(match unequal(left, right, &mut path) {
            Some((left, right)) => Finding::Different { path: dotted(&path), left, right },
            None => {
                path.clear();
                order(left, right, &mut path);
                Finding::FieldOrder { path: dotted(&path) }
            }
        })
    }

    /// The class of the finding, in the words of the report.
    pub fn class(&self) -> &'static str {
        match self {
            Finding::OnlyLeft => ONLY_LEFT,
            Finding::OnlyRight => ONLY_RIGHT,
            Finding::FieldOrder { .. } => FIELD_ORDER,
            Finding::Different { .. } => "different",
        }
    }
}

/// The name of a type, as people say it.
pub(super) fn type_name(kind: u8) -> &'static str {
    match kind {
        kind::DOUBLE => "double",
        kind::STRING => "string",
        kind::DOCUMENT => "object",
        kind::ARRAY => "array",
        kind::BINARY => "binary",
        kind::UNDEFINED => "undefined",
        kind::OBJECT_ID => "objectId",
        kind::BOOL => "bool",
        kind::DATE => "date",
        kind::NULL => "null",
        kind::REGEX => "regex",
        kind::DB_POINTER => "dbPointer",
        kind::CODE => "javascript",
        kind::SYMBOL => "symbol",
        kind::CODE_WITH_SCOPE => "javascriptWithScope",
        kind::INT32 => "int32",
        kind::TIMESTAMP => "timestamp",
        kind::INT64 => "int64",
        kind::DECIMAL128 => "decimal128",
        kind::MIN_KEY => "minKey",
        kind::MAX_KEY => "maxKey",
        _ => "unknown",
    }
}

/// The types of two values that are not equal.
type Types = (&'static str, &'static str);

/// The fields of a document; none where it is malformed.
fn fields(document: &[u8]) -> Option<Vec<Element<'_>>> {
    document::elements(document).collect::<Result<_, _>>().ok()
}

/// The types of the first values that are not equal, whatever the order of fields; `path` leads there. Of fields that have
/// one name, the first is held against the first, and so on.
fn unequal<'a>(left: &'a [u8], right: &'a [u8], path: &mut Vec<&'a [u8]>) -> Option<Types> {
    let (Some(left), Some(right)) = (fields(left), fields(right)) else {
        return Some((type_name(kind::DOCUMENT), "a malformed object"));
    };
    let mut rest: HashMap<&[u8], VecDeque<&Element<'a>>> = HashMap::with_capacity(right.len());
    right.iter().for_each(|element| rest.entry(element.name).or_default().push_back(element));
    for element in &left {
        let Some(other) = rest.get_mut(element.name).and_then(VecDeque::pop_front) else {
            path.push(element.name);
            return Some((type_name(element.kind), NOTHING));
        };
        if let Some(types) = unequal_values(element, other, path) {
            return Some(types);
        }
    }
    let left_over = |element: &&Element<'a>| rest.get(element.name).is_some_and(|left| !left.is_empty());
    let more = right.iter().find(left_over)?;
    path.push(more.name);
    Some((NOTHING, type_name(more.kind)))
}

fn unequal_values<'a>(left: &Element<'a>, right: &Element<'a>, path: &mut Vec<&'a [u8]>) -> Option<Types> {
    if left.kind == right.kind && left.value == right.value {
        return None;
    }
    path.push(left.name);
    let found = match left.kind {
        kind::DOCUMENT if right.kind == kind::DOCUMENT && path.len() < DEEPEST => {
            unequal(left.value, right.value, path)
        }
        kind::ARRAY if right.kind == kind::ARRAY && path.len() < DEEPEST => {
            unequal_arrays(left.value, right.value, path)
        }
        _ => Some((type_name(left.kind), type_name(right.kind))),
    };
    if found.is_none() {
        path.pop();
    }
    found
}

/// The same of arrays, whose order is data.
fn unequal_arrays<'a>(left: &'a [u8], right: &'a [u8], path: &mut Vec<&'a [u8]>) -> Option<Types> {
    let arrays = (type_name(kind::ARRAY), type_name(kind::ARRAY));
    let (Some(left), Some(right)) = (fields(left), fields(right)) else { return Some(arrays) };
    for pair in left.iter().zip(&right) {
        if let Some(types) = unequal_values(pair.0, pair.1, path) {
            return Some(types);
        }
        if pair.0.name != pair.1.name {
            // No driver writes an array like that.
            return Some(arrays);
        }
    }
    let (more, types): (_, fn(u8) -> Types) = match left.len().cmp(&right.len()) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => (left.get(right.len())?, |kind| (type_name(kind), NOTHING)),
        std::cmp::Ordering::Less => (right.get(left.len())?, |kind| (NOTHING, type_name(kind))),
    };
    path.push(more.name);
    Some(types(more.kind))
}

/// Leads `path` to the first field that stands elsewhere on the right, of two values that are equal but for that.
fn order<'a>(left: &'a [u8], right: &'a [u8], path: &mut Vec<&'a [u8]>) {
    let pairs = document::elements(left).zip(document::elements(right));
    for (one, other) in pairs.map_while(|pair| Some((pair.0.ok()?, pair.1.ok()?))) {
        if one.whole == other.whole {
            continue;
        }
        path.push(one.name);
        if one.name == other.name && path.len() < DEEPEST {
            order(one.value, other.value, path);
        }
        return;
    }
}

fn dotted(path: &[&[u8]]) -> String {
    path.iter().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use bson::{Binary, RawDocumentBuf, rawdoc, spec::BinarySubtype};

    use super::*;

    fn found(left: &RawDocumentBuf, right: &RawDocumentBuf) -> Option<Finding> {
        Finding::of(left.as_bytes(), right.as_bytes())
    }

    fn different(path: &str, left: &'static str, right: &'static str) -> Option<Finding> {
        Some(Finding::Different { path: path.to_owned(), left, right })
    }

    #[test]
    fn types_and_values_are_differences_and_so_are_fields_on_one_side() {
        let table = [
            (rawdoc! { "a": 1 }, rawdoc! { "a": 1 }, None),
            (rawdoc! { "a": 1 }, rawdoc! { "a": 1_i64 }, different("a", "int32", "int64")),
            (rawdoc! { "a": 1 }, rawdoc! { "a": 1.0 }, different("a", "int32", "double")),
            (rawdoc! { "a": 0.0 }, rawdoc! { "a": -0.0 }, different("a", "double", "double")),
            (rawdoc! { "a": 1 }, rawdoc! { "a": 2 }, different("a", "int32", "int32")),
            (rawdoc! { "a": 1, "b": 2 }, rawdoc! { "b": 2 }, different("a", "int32", "nothing")),
            (rawdoc! { "b": 2 }, rawdoc! { "b": 2, "c": 1, "d": 1 }, different("c", "nothing", "int32")),
            (
                rawdoc! { "a": { "b": [1, { "c": 1 }] } },
                rawdoc! { "a": { "b": [1, { "c": "x" }] } },
                different("a.b.1.c", "int32", "string"),
            ),
            (rawdoc! { "a": [1] }, rawdoc! { "a": [1, 2] }, different("a.1", "nothing", "int32")),
            (rawdoc! { "a": [1, 2] }, rawdoc! { "a": [2, 1] }, different("a.0", "int32", "int32")),
            (
                rawdoc! { "b": { "c": 1, "d": 1 }, "z": 1 },
                rawdoc! { "z": 2, "b": { "d": 1, "c": 1 } },
                different("z", "int32", "int32"),
            ),
        ];
        for (left, right, expected) in table {
            assert_eq!(found(&left, &right), expected, "{left:?} {right:?}");
        }
        let binary = |subtype| rawdoc! { "a": Binary { subtype, bytes: vec![1] } };
        let (generic, user) = (binary(BinarySubtype::Generic), binary(BinarySubtype::UserDefined(0x80)));
        assert_eq!(found(&generic, &user), different("a", "binary", "binary"));
    }

    #[test]
    fn another_order_of_fields_is_a_class_of_its_own() {
        let order = |path: &str| Some(Finding::FieldOrder { path: path.to_owned() });
        assert_eq!(found(&rawdoc! { "a": 1, "b": 2 }, &rawdoc! { "b": 2, "a": 1 }), order("a"));
        let (left, right) =
            (rawdoc! { "n": 1, "a": [{ "x": 1, "y": 2 }] }, rawdoc! { "n": 1, "a": [{ "y": 2, "x": 1 }] });
        assert_eq!(found(&left, &right), order("a.0.x"));
    }

    #[test]
    fn of_fields_with_one_name_each_counts() {
        let mut twice = RawDocumentBuf::new();
        for value in [1, 2] {
            twice.append(bson::cstr!("a"), value);
        }
        assert_eq!(found(&twice, &rawdoc! { "a": 1 }), different("a", "int32", "nothing"));
        assert_eq!(found(&rawdoc! { "a": 2 }, &twice), different("a", "int32", "int32"));
    }

    #[test]
    fn what_is_nested_deeper_than_servers_nest_does_not_overflow() {
        let nested = |value: i32| {
            (0..20_000).fold(rawdoc! { "a": value }, |inner, _| {
                let mut outer = RawDocumentBuf::new();
                outer.append(bson::cstr!("a"), inner);
                outer
            })
        };
        assert!(matches!(found(&nested(1), &nested(2)), Some(Finding::Different { .. })));
    }
}
