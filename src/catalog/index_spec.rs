//! Index specs as servers take them, made of specs as servers, drivers and people have left them.
//!
//! Old servers kept whatever a driver put into a spec: Mongoose's `safe: null`, a key value of `true`, a TTL in a text.
//! Newer ones refuse all of it, and a restore that passes such a spec on loses the index, or every index of the
//! collection. Here each spec is made clean by itself, and each change is named with its reason.
//!
//! Everything is a pure function of the spec, the collection's options and the target's version. What only a server
//! can judge (a filter expression, a projection, a collation) is left to it; it is asked before any document is loaded.

mod geo;
mod key;
mod name;
mod number;
mod option;
mod pair;
mod repair;
mod same;
mod series;
mod text;
mod together;
mod ttl;
mod value;
mod work;

pub use repair::{Repair, RepairKind};
pub(crate) use ttl::longest_expiry;

use crate::{
    connect::Version,
    document::{self, Element, RawBuilder, kind},
    extjson,
};
use work::Work;

/// The newest server: it knows every option.
pub const NEWEST: Version = Version::new(u32::MAX, 0, 0);

/// Whose words a spec is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A server listed it: what it leaves out had the value that it had on that server.
    Server,
    /// A person or a program wrote it for the target: what it leaves out is the target's to choose.
    Person,
}

/// What the meaning of a spec depends on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The options of its collection.
    pub options: &'a [u8],
    /// The server that it is meant for.
    pub target: Version,
    /// Whose words it is in.
    pub author: Author,
}

impl Context<'_> {
    fn is_time_series(&self) -> bool {
        document::find(self.options, b"timeseries").is_some()
    }
}

/// What becomes of a spec.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is built from this clean spec.
    Build(Vec<u8>),
    /// It comes with the collection: the index on `_id`, or what a clustered collection is ordered by.
    Inherent,
    /// The index of this name serves for it.
    Merged(String),
    /// No target could build it, and why.
    Refused(String),
}

/// A spec, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sanitized {
    /// The name, or what stands for it where there is none.
    pub name: String,
    /// As it came.
    pub original: Vec<u8>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What was changed.
    pub repairs: Vec<Repair>,
}

impl Sanitized {
    /// Whether something was wrong with it: more than words that need no saying, or a word that was missing.
    pub fn is_bad(&self) -> bool {
        matches!(self.verdict, Verdict::Refused(_)) || self.repairs.iter().any(|repair| !repair.kind.is_routine())
    }

    /// Its spec without the options that were removed: what is listed of an index that comes with its collection.
    pub fn without_removed(&self) -> Vec<u8> {
        let mut kept = RawBuilder::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        for option in document::elements(&self.original).map_while(Result::ok) {
            let is_of = |repair: &Repair| repair.field.as_bytes() == option.name && repair.after.is_none();
            if !self.repairs.iter().any(is_of) && !seen.contains(&option.name) {
                seen.push(option.name);
                kept.append(&option);
            }
        }
        kept.finish()
    }

    /// The clean spec, if there is one to build.
    pub fn to_build(&self) -> Option<&[u8]> {
        match &self.verdict {
            Verdict::Build(spec) => Some(spec),
            _ => None,
        }
    }
}

/// The specs of one collection, in their order.
///
/// What has come out clean comes out as it is when it goes in again, whoever its author is then.
pub fn sanitize(specs: &[Vec<u8>], context: &Context<'_>) -> Vec<Sanitized> {
    let mut all: Vec<Sanitized> = specs.iter().map(|spec| sanitize_one(spec, context)).collect();
    together::refuse_texts(&mut all);
    let mut merged = same::find(&mut all, context);
    together::refuse_surplus(&mut all, &mut merged, context);
    name::make_unique(&mut all, context.options);
    same::merge(&mut all, &merged);
    all
}

/// What becomes of a spec beside others of its collection that are clean already.
pub fn sanitize_beside(clean: &[Vec<u8>], spec: &[u8], context: &Context<'_>) -> Option<Sanitized> {
    sanitize(&[clean, &[spec.to_vec()]].concat(), context).pop()
}

fn sanitize_one(spec: &[u8], context: &Context<'_>) -> Sanitized {
    let mut work = Work::default();
    let verdict = clean(spec, context, &mut work).unwrap_or_else(Verdict::Refused);
    let clean = if let Verdict::Build(clean) = &verdict { clean } else { spec };
    let name = text_of(clean, b"name").unwrap_or_else(|| "(without a name)".to_owned());
    Sanitized { name, original: spec.to_vec(), verdict, repairs: work.repairs }
}

fn clean(spec: &[u8], context: &Context<'_>, work: &mut Work) -> Result<Verdict, String> {
    // What a clean spec keeps whole, as a filter, is looked into as well: a server hangs up on a malformed one.
    extjson::to_string(spec).map_err(|error| format!("its spec is malformed: {}", error.message()))?;
    let options: Vec<Element<'_>> = document::elements(spec).map_while(Result::ok).collect();
    let clustered = document::find(context.options, b"clusteredIndex").is_some();
    if clustered && options.iter().any(|option| option.name == b"clustered" && value::is_true(option)) {
        return Ok(Verdict::Inherent);
    }
    let pattern = options.iter().find(|option| option.name == b"key").ok_or("it has no key pattern")?;
    if pattern.kind != kind::DOCUMENT {
        return Err("its key pattern is no document".to_owned());
    }
    let key = key::clean(pattern.value, context, work)?;
    // A time-series collection has no index on `_id` of its own: one is like any other there.
    if key::is_of_id(&key) && !context.is_time_series() {
        return Ok(of_id(&options, pattern, context, work));
    }
    let source = value::Source { pattern: pattern.value, key: &key, spec, context };
    let mut clean = RawBuilder::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    for option in &options {
        if seen.contains(&option.name) {
            let field = String::from_utf8_lossy(option.name);
            work.repair(RepairKind::UnknownOption, &field, Some(option), None, "a spec has each option once");
            continue;
        }
        seen.push(option.name);
        match option::find(option.name) {
            _ if option.name == b"key" => {
                clean.document("key", &key);
            }
            Some(known) => value::keep(&mut clean, option, known, &source, work)?,
            None => unknown(option, work),
        }
    }
    let clean = complete(clean.finish(), &key, context, work);
    pair::check(&clean, &key, context)?;
    Ok(Verdict::Build(clean))
}

/// What is in the place of the index on `_id`: itself, whatever else its spec says, or one that does no more.
fn of_id(options: &[Element<'_>], pattern: &Element<'_>, context: &Context<'_>, work: &mut Work) -> Verdict {
    // What some servers list of it, and what goes without saying.
    const OWN: [&[u8]; 9] =
        [b"v", b"key", b"name", b"ns", b"collation", b"unique", b"background", b"dropDups", b"storageEngine"];
    for option in options.iter().filter(|option| !OWN.contains(&option.name)) {
        let field = String::from_utf8_lossy(option.name);
        match option::find(option.name) {
            None => unknown(option, work),
            Some(_) if [kind::NULL, kind::UNDEFINED].contains(&option.kind) => {
                work.repair(RepairKind::Null, &field, Some(option), None, "it has no value");
            }
            Some(_) => {
                let reason = "servers make the index on _id themselves, and without it";
                work.repair(RepairKind::Target, &field, Some(option), None, reason);
            }
        }
    }
    let name = options.iter().find(|option| option.name == b"name").and_then(|name| name.string());
    let id = document::find(pattern.value, b"_id").and_then(|id| number::Number::of(&id));
    if id.is_some_and(|number| number.truncated() == 1) && name == Some(b"_id_") {
        return Verdict::Inherent;
    }
    let reason = "the index on _id comes with the collection, and does the same";
    work.repair(RepairKind::Merged, "key", Some(pattern), None, reason);
    Verdict::Merged(name::of_clustered_index(context.options).unwrap_or_else(|| "_id_".to_owned()))
}

fn unknown(option: &Element<'_>, work: &mut Work) {
    const OF_WRITES: [&[u8]; 6] = [b"safe", b"w", b"j", b"wtimeout", b"fsync", b"writeConcern"];
    let reason = match OF_WRITES.contains(&option.name) {
        true => "an option of a driver's writes, which servers refuse in a spec",
        false => "servers know no such option",
    };
    work.repair(RepairKind::UnknownOption, &String::from_utf8_lossy(option.name), Some(option), None, reason);
}

/// What the spec does not say, and must: its name, and what the source meant by leaving a thing out.
fn complete(spec: Vec<u8>, key: &[u8], context: &Context<'_>, work: &mut Work) -> Vec<u8> {
    let has = |name: &[u8]| document::find(&spec, name).is_some();
    let mut added = RawBuilder::new();
    if !has(b"name") {
        let name = key::default_name(key);
        let json = serde_json::Value::from(name.as_str()).to_string();
        work.repair(RepairKind::Name, "name", None, Some(json), "an index must have one; drivers give this one");
        added.string("name", name);
    }
    if context.author == Author::Server {
        // On measurements of a time-series collection it is one of buckets, which servers list without a version.
        if key::has_type(key, b"2dsphere") && !has(b"2dsphereIndexVersion") && !context.is_time_series() {
            let reason = "servers since 2.6 write down the version: without it the index is of the first";
            work.repair(RepairKind::Explicit, "2dsphereIndexVersion", None, Some("1".to_owned()), reason);
            added.int32("2dsphereIndexVersion", 1);
        }
        if key::has_type(key, b"text") && !has(b"textIndexVersion") {
            let reason = "servers since 2.6 write down the version: without it the index is of the first";
            work.repair(RepairKind::Explicit, "textIndexVersion", None, Some("1".to_owned()), reason);
            added.int32("textIndexVersion", 1);
        }
    }
    // An index of version 1 has no collation, and must not name one.
    let first = document::find(&spec, b"v").and_then(|v| number::Number::of(&v));
    let first = first.is_some_and(|version| version.truncated() == 1);
    let simple = match (context.author, pair::is_simple_alone(key)) {
        (Author::Server, _) => Some("the collection has a collation, which the index has not"),
        (Author::Person, true) => Some("the collection has a collation, which servers give to no such index"),
        (Author::Person, false) => None,
    };
    let inherits = document::find(context.options, b"collation").is_some() && !has(b"collation") && !first;
    if let Some(reason) = simple.filter(|_| inherits) {
        work.repair(RepairKind::Explicit, "collation", None, Some(r#"{"locale":"simple"}"#.to_owned()), reason);
        added.embed("collation", |collation| {
            collation.string("locale", "simple");
        });
    }
    let mut all = RawBuilder::new();
    for part in [&spec, &added.finish()] {
        document::elements(part).map_while(Result::ok).for_each(|option| {
            all.append(&option);
        });
    }
    all.finish()
}

/// The text of a string option.
fn text_of(spec: &[u8], name: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(document::find(spec, name)?.string()?).into_owned())
}

#[cfg(test)]
mod tests;
