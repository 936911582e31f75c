//! A collection that executes operations as a server does, and tells of them as its change stream would.
//!
//! Documents are decoded values here, so that nothing is shared with the code that is under test.

use std::collections::BTreeMap;

use super::super::*;
use crate::{
    changes::delta::{Nested, Paths},
    document::{RawBuilder, kind},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(i32),
    Text(String),
    Null,
    Doc(Vec<(String, Value)>),
    Array(Vec<Value>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Field(String),
    Index(usize),
}

/// One step of an update; `picks` choose a path in the document as it is.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) picks: Vec<u8>,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Set(Value),
    Unset,
    Push(Value),
    Cut(u8),
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Put { id: u8, twin: u8, value: Value },
    Delete { id: u8 },
    Update { id: u8, steps: Vec<Step> },
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// The raw element `_id`, as a document of its own.
    pub(super) key: Vec<u8>,
    value: Value,
}

impl Stored {
    pub(super) fn raw(&self) -> Vec<u8> {
        let mut doc = RawBuilder::new();
        doc.append(&document::id(&self.key).unwrap());
        let Value::Doc(fields) = &self.value else { unreachable!() };
        fields.iter().for_each(|(name, value)| value.append_to(&mut doc, name));
        doc.finish()
    }
}

pub(super) struct Server {
    pub(super) paths: Paths,
    pub(super) documents: BTreeMap<u8, Stored>,
}

/// Names that an update or an insert may choose, by what the server lets it.
const NAMES: [&str; 9] = ["a", "b", "c", "0", "1", "$p", "a.b", "b.0", ""];

impl Server {
    fn names(&self, by_update: bool) -> &'static [&'static str] {
        match self.paths {
            Paths::Plain if by_update => &NAMES[..5],
            Paths::Maybe(Nested::Trust) => &NAMES[..6],
            _ => &NAMES,
        }
    }

    /// Executes an operation; the event is what the stream tells of it, if it changed anything.
    pub(super) fn execute(&mut self, operation: &Operation) -> Option<Vec<u8>> {
        match operation {
            Operation::Put { id, twin, value } => {
                let there = self.documents.get(id).map(|stored| stored.key.clone());
                let name = if there.is_some() { "replace" } else { "insert" };
                let stored = Stored { key: there.unwrap_or_else(|| id_of(*id, *twin)), value: self.allowed(value) };
                let event = event(name, &stored.key, |event| {
                    event.document("fullDocument", &stored.raw());
                });
                self.documents.insert(*id, stored);
                Some(event)
            }
            Operation::Delete { id } => {
                let stored = self.documents.remove(id)?;
                Some(event("delete", &stored.key, |_| {}))
            }
            Operation::Update { id, steps } => {
                let mut stored = self.documents.remove(id)?;
                let description = self.update(&mut stored.value, steps);
                let event = event("update", &stored.key, |event| {
                    event.document("updateDescription", &description);
                });
                self.documents.insert(*id, stored);
                Some(event)
            }
        }
    }

    /// Maps names to those that the server would take in an insert.
    fn allowed(&self, value: &Value) -> Value {
        match value {
            Value::Doc(fields) => {
                let mut allowed: Vec<(String, Value)> = Vec::new();
                for (name, value) in fields {
                    let names = self.names(false);
                    let name = names[NAMES.iter().position(|n| n == name).unwrap() % names.len()];
                    if allowed.iter().all(|(other, _)| other != name) {
                        allowed.push((name.to_owned(), self.allowed(value)));
                    }
                }
                Value::Doc(allowed)
            }
            Value::Array(values) => Value::Array(values.iter().map(|value| self.allowed(value)).collect()),
            other => other.clone(),
        }
    }

    fn update(&self, doc: &mut Value, steps: &[Step]) -> Vec<u8> {
        let mut told = Told::default();
        let rank = |step: &&Step| match step.what {
            What::Unset => 0,
            What::Cut(_) => 1,
            What::Set(_) | What::Push(_) => 2,
        };
        let mut steps: Vec<&Step> = steps.iter().collect();
        steps.sort_by_key(rank);
        for step in steps {
            let mut path = self.choose(doc, &step.picks);
            let at = doc.get(&path);
            match &step.what {
                _ if path.is_empty() => {}
                What::Unset if at.is_none() || told.conflicts(&path, false) => {}
                What::Unset => match path.last() {
                    Some(Part::Index(_)) if self.paths != Paths::Plain => {
                        doc.set(&path, Value::Null);
                        told.sets.push((path, Value::Null));
                    }
                    Some(Part::Index(_)) => {
                        doc.set(&path, Value::Null);
                        told.removed.push(path);
                    }
                    _ => {
                        doc.remove(&path);
                        told.removed.push(path);
                    }
                },
                What::Cut(size) => {
                    let Some(Value::Array(values)) = at else { continue };
                    let size = usize::from(*size) % (values.len() + 1);
                    if told.conflicts(&path, false) {
                        continue;
                    }
                    let short = Value::Array(values[..size].to_vec());
                    doc.set(&path, short.clone());
                    // Before 5.0 there are no truncations: the array is set.
                    match self.paths {
                        Paths::Plain => told.sets.push((path, short)),
                        _ => told.cuts.push((path, size)),
                    }
                }
                What::Push(value) | What::Set(value) => {
                    let mut value = self.allowed(value);
                    if let (What::Push(_), Some(Value::Array(values))) = (&step.what, at) {
                        path.push(Part::Index(values.len()));
                    }
                    if told.conflicts(&path, true) {
                        continue;
                    }
                    // From 5.0 on, a field that is new with its parent is told as a new parent.
                    if self.paths != Paths::Plain {
                        while path.len() > 1 && doc.get(&path[..path.len() - 1]).is_none() {
                            let Some(Part::Field(name)) = path.pop() else { unreachable!() };
                            value = Value::Doc(vec![(name, value)]);
                        }
                        if told.conflicts(&path, true) {
                            continue;
                        }
                    }
                    doc.set(&path, value.clone());
                    told.sets.push((path, value));
                }
            }
        }
        told.description(self.paths)
    }

    /// A path that an update can take in `doc`.
    fn choose(&self, doc: &Value, picks: &[u8]) -> Vec<Part> {
        let mut path = Vec::new();
        let mut at = Some(doc);
        for pick in picks {
            let pick = usize::from(*pick);
            let names = self.names(true);
            at = match at {
                Some(Value::Doc(fields)) => {
                    let there = fields.iter().map(|(name, _)| name.as_str()).filter(|name| names.contains(name));
                    let names: Vec<&str> = there.clone().chain(there).chain(names.iter().copied()).collect();
                    path.push(Part::Field(names[pick % names.len()].to_owned()));
                    doc.get(&path)
                }
                Some(Value::Array(values)) => {
                    path.push(Part::Index(pick % (values.len() + 2)));
                    doc.get(&path)
                }
                Some(_) => return path,
                None => {
                    path.push(Part::Field(names[pick % names.len()].to_owned()));
                    None
                }
            };
        }
        path
    }
}

/// `_id`s that the server holds equal for one `id`, and different for two.
fn id_of(id: u8, twin: u8) -> Vec<u8> {
    let mut doc = RawBuilder::new();
    let append = |doc: &mut RawBuilder, name: &str| {
        match twin % 4 {
            0 => doc.int32(name, id.into()),
            1 => doc.int64(name, id.into()),
            2 => doc.double(name, id.into()),
            _ => {
                let bits = (u128::from(id) * 10) | (6175 << 113);
                doc.append_element(kind::DECIMAL128, name, &bits.to_le_bytes())
            }
        };
    };
    match id {
        3 => doc.embed("_id", |doc| append(doc, "k")),
        _ => {
            append(&mut doc, "_id");
            &mut doc
        }
    };
    doc.finish()
}

fn event(name: &str, key: &[u8], fill: impl FnOnce(&mut RawBuilder)) -> Vec<u8> {
    let mut event = RawBuilder::new();
    event.embed("_id", |token| {
        token.string("_data", "82");
    });
    event.string("operationType", name);
    event.embed("ns", |ns| {
        ns.string("db", "shop").string("coll", "orders");
    });
    event.document("documentKey", key);
    fill(&mut event);
    event.finish()
}

/// What an update event will tell.
#[derive(Default)]
struct Told {
    removed: Vec<Vec<Part>>,
    cuts: Vec<(Vec<Part>, usize)>,
    sets: Vec<(Vec<Part>, Value)>,
}

impl Told {
    /// No server lets two paths of one update lie one in the other, but for a set in an array that is cut.
    fn conflicts(&self, path: &[Part], set: bool) -> bool {
        let overlap = |other: &[Part]| path.starts_with(other) || other.starts_with(path);
        self.removed.iter().any(|other| overlap(other))
            || self.sets.iter().any(|(other, _)| overlap(other))
            || self.cuts.iter().any(|(other, _)| if set { other.starts_with(path) } else { overlap(other) })
    }

    fn description(&self, paths: Paths) -> Vec<u8> {
        let mut update = RawBuilder::new();
        update.embed("updatedFields", |sets| {
            self.sets.iter().for_each(|(path, value)| value.append_to(sets, &dotted(path)));
        });
        update.embed_array("removedFields", |removed| {
            for (i, path) in self.removed.iter().enumerate() {
                removed.string(i.to_string(), dotted(path));
            }
        });
        if paths == Paths::Plain {
            return update.finish();
        }
        update.embed_array("truncatedArrays", |cuts| {
            for (i, (path, size)) in self.cuts.iter().enumerate() {
                cuts.embed(i.to_string(), |cut| {
                    cut.string("field", dotted(path)).int32("newSize", i32::try_from(*size).unwrap());
                });
            }
        });
        if paths == Paths::Told {
            let all = self.sets.iter().map(|(path, _)| path).chain(&self.removed);
            update.embed("disambiguatedPaths", |told| {
                for path in all.chain(self.cuts.iter().map(|(path, _)| path)).filter(|path| is_listed(path)) {
                    told.embed_array(dotted(path), |parts| {
                        for (i, part) in path.iter().enumerate() {
                            match part {
                                Part::Field(name) => parts.string(i.to_string(), name),
                                Part::Index(index) => parts.int32(i.to_string(), i32::try_from(*index).unwrap()),
                            };
                        }
                    });
                }
            });
        }
        update.finish()
    }
}

/// As the server's change_stream_document_diff_parser has it.
fn is_listed(path: &[Part]) -> bool {
    path.iter().enumerate().any(|(i, part)| match part {
        Part::Index(_) => false,
        Part::Field(name) => name.contains('.') || (i > 0 && ["0", "1"].contains(&name.as_str())),
    })
}

fn dotted(path: &[Part]) -> String {
    let parts = path.iter().map(|part| match part {
        Part::Field(name) => name.clone(),
        Part::Index(index) => index.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

impl Value {
    pub(super) fn append_to(&self, doc: &mut RawBuilder, name: &str) {
        match self {
            Value::Int(value) => doc.int32(name, *value),
            Value::Text(value) => doc.string(name, value),
            Value::Null => doc.append_element(kind::NULL, name, &[]),
            Value::Doc(fields) => {
                doc.embed(name, |doc| fields.iter().for_each(|(name, value)| value.append_to(doc, name)))
            }
            Value::Array(values) => doc.embed_array(name, |array| {
                values.iter().enumerate().for_each(|(i, value)| value.append_to(array, &i.to_string()));
            }),
        };
    }

    fn get(&self, path: &[Part]) -> Option<&Value> {
        path.iter().try_fold(self, |at, part| match (at, part) {
            (Value::Doc(fields), Part::Field(name)) => fields.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            (Value::Array(values), Part::Index(index)) => values.get(*index),
            _ => None,
        })
    }

    /// As `$set` does: in place, or at the end, with parents made and arrays padded.
    fn set(&mut self, path: &[Part], to: Value) {
        let Some((part, rest)) = path.split_first() else {
            *self = to;
            return;
        };
        let empty = || Value::Doc(Vec::new());
        let slot = match (self, part) {
            (Value::Doc(fields), Part::Field(name)) => {
                let at = fields.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                    fields.push((name.clone(), empty()));
                    fields.len() - 1
                });
                &mut fields[at].1
            }
            (Value::Array(values), Part::Index(index)) => {
                while values.len() < *index {
                    values.push(Value::Null);
                }
                if values.len() == *index {
                    values.push(empty());
                }
                &mut values[*index]
            }
            (at, _) => unreachable!("{at:?} {path:?}"),
        };
        slot.set(rest, to);
    }

    fn remove(&mut self, path: &[Part]) {
        match (self, path) {
            (Value::Doc(fields), [Part::Field(name)]) => fields.retain(|(n, _)| n != name),
            (Value::Doc(fields), [Part::Field(name), rest @ ..]) => {
                fields.iter_mut().filter(|(n, _)| n == name).for_each(|(_, value)| value.remove(rest));
            }
            (Value::Array(values), [Part::Index(index), rest @ ..]) => values[*index].remove(rest),
            _ => {}
        }
    }
}
