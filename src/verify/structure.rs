//! What namespaces are besides their documents, held against each other: type, options, views, indexes.

use std::collections::HashSet;

use serde::Serialize;

use super::{finding::Finding, item::Item};
use crate::{
    catalog::{self, MeantIndex},
    connect::Version,
    document::{self, Element, RawBuilder, kind},
    extjson, report,
};

/// What differs in a namespace, besides its documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// The namespace on the left; on the right where the left has none.
    pub namespace: String,
    /// What differs: `namespace`, `type`, `option NAME`, `index NAME`, `order of documents`.
    pub what: String,
    /// What it is on the left; none if it is not there.
    pub left: Option<String>,
    /// What it is on the right.
    pub right: Option<String>,
}

impl std::fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.left, &self.right) {
            (Some(left), None) => write!(f, "{}: {}: missing on the right ({left})", self.namespace, self.what),
            (None, Some(right)) => write!(f, "{}: {}: missing on the left ({right})", self.namespace, self.what),
            (left, right) => {
                let shown = |side: &Option<String>| side.clone().unwrap_or_default();
                write!(
                    f,
                    "{}: {}: {} on the left, {} on the right",
                    self.namespace,
                    self.what,
                    shown(left),
                    shown(right)
                )
            }
        }
    }
}

/// What differs, and what is only worth a word.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) discrepancies: Vec<Discrepancy>,
    pub(super) notes: Vec<String>,
}

/// Compares two namespaces; index specs as the server of the right side would take them.
pub(super) fn compare(left: &Item, right: &Item, version: Version) -> Compared {
    let mut compared = Compared::default();
    let namespace = left.namespace.to_string();
    if left.kind != right.kind {
        let name = |item: &Item| Some(report::kind_name(item.kind).to_owned());
        let what = "type".to_owned();
        compared.discrepancies.push(Discrepancy { namespace, what, left: name(left), right: name(right) });
        return compared;
    }
    options(&namespace, &left.options, &right.options, &mut compared);
    indexes(&namespace, left, right, version, &mut compared);
    compared
}

/// What is on one side alone.
pub(super) fn alone(item: &Item, is_left: bool) -> Discrepancy {
    let documents = item.documents.map_or(String::new(), |documents| format!(", {documents} documents"));
    let what = Some(format!("{}{documents}", report::kind_name(item.kind)));
    let (left, right) = if is_left { (what, None) } else { (None, what) };
    Discrepancy { namespace: item.namespace.to_string(), what: "namespace".to_owned(), left, right }
}

/// A collection whose order of documents is data, and another one on the right.
pub(super) fn crossed(left: &Item) -> Discrepancy {
    let (of_left, of_right) = ("as they were inserted".to_owned(), "in another order".to_owned());
    let (namespace, what) = (left.namespace.to_string(), "order of documents".to_owned());
    Discrepancy { namespace, what, left: Some(of_left), right: Some(of_right) }
}

/// The order of options is the server's; what is in one is the user's, and its order is kept.
fn options(namespace: &str, left: &[u8], right: &[u8], compared: &mut Compared) {
    let (left, right) = (catalog::meant_options(left, right), catalog::meant_options(right, left));
    fields(namespace, "option", &left, &right, &mut compared.discrepancies);
}

/// Compares the fields of two documents by their names.
fn fields(namespace: &str, what: &str, left: &[u8], right: &[u8], found: &mut Vec<Discrepancy>) {
    let mut find = |name: &[u8], left: Option<String>, right: Option<String>| {
        let what = format!("{what} {}", String::from_utf8_lossy(name));
        found.push(Discrepancy { namespace: namespace.to_owned(), what, left, right });
    };
    for element in document::elements(left).map_while(Result::ok) {
        match document::find(right, element.name) {
            None => find(element.name, Some(shown(&element)), None),
            Some(other) if catalog::is_same(&element, &other) => {}
            Some(other) => {
                let (left, right) = unlike(&element, &other);
                find(element.name, Some(left), Some(right));
            }
        }
    }
    for element in document::elements(right).map_while(Result::ok) {
        if document::find(left, element.name).is_none() {
            find(element.name, None, Some(shown(&element)));
        }
    }
}

/// What two values are that are not the same; of large ones, where they differ.
fn unlike(left: &Element<'_>, right: &Element<'_>) -> (String, String) {
    let of = |element: &Element<'_>| RawBuilder::new().append_renamed(element, "").finish();
    let is_large = |element: &Element<'_>| matches!(element.kind, kind::DOCUMENT | kind::ARRAY);
    if !is_large(left) || !is_large(right) {
        return (shown(left), shown(right));
    }
    match Finding::of(&of(left), &of(right)) {
        Some(Finding::FieldOrder { path }) => {
            let path = path.trim_start_matches('.').to_owned();
            (format!("{path} in its place"), "in another place".to_owned())
        }
        Some(Finding::Different { path, left, right }) => {
            let path = path.trim_start_matches('.');
            let right = if left == right { format!("another {right}") } else { right.to_owned() };
            (format!("{left} at {path}"), right)
        }
        _ => (shown(left), shown(right)),
    }
}

fn shown(element: &Element<'_>) -> String {
    extjson::value(element)
}

fn indexes(namespace: &str, left: &Item, right: &Item, version: Version, compared: &mut Compared) {
    let of = |item: &Item| catalog::meant_indexes(&item.options, &item.indexes, version);
    let (left, right) = (of(left), of(right));
    for index in &left {
        let what = format!("index {}", index.name);
        match right.iter().find(|other| other.name == index.name) {
            None => compared.discrepancies.push(Discrepancy {
                namespace: namespace.to_owned(),
                what,
                left: Some(key(index)),
                right: None,
            }),
            Some(other) => {
                fields(namespace, &format!("{what}:"), &index.spec, &other.spec, &mut compared.discrepancies)
            }
        }
    }
    let names: HashSet<&str> = left.iter().map(|index| index.name.as_str()).collect();
    for index in right.iter().filter(|index| !names.contains(index.name.as_str())) {
        compared.discrepancies.push(Discrepancy {
            namespace: namespace.to_owned(),
            what: format!("index {}", index.name),
            left: None,
            right: Some(key(index)),
        });
    }
    let order = |one: &[MeantIndex], other: &[MeantIndex]| -> Vec<String> {
        let both = one.iter().filter(|index| other.iter().any(|other| other.name == index.name));
        both.map(|index| index.name.clone()).collect()
    };
    if order(&left, &right) != order(&right, &left) {
        compared.notes.push(format!("{namespace}: the indexes were made in another order on the right"));
    }
}

/// The key of an index, for people.
fn key(index: &MeantIndex) -> String {
    document::find(&index.spec, b"key").map_or_else(String::new, |key| shown(&key))
}
