//! What an update event says of the change of a document, and the same change made here, byte for byte as the server
//! made it.
//!
//! The target must end with the source's bytes, its order of fields included; `$set` of what the event lists does not
//! give that. An event tells a change by dotted paths, and what a dot or a number in one means depends on the server
//! that wrote it: [`Paths`]. Where that cannot be known, nothing is guessed: [`Applied::Ambiguous`].
//!
//! What no event tells: from 5.0 on, an aggregation pipeline that moves a field of a large document to its end is
//! logged as an insert of that field (`document_diff`), and reported just like a change in place. A field that exists is
//! changed in place here.

mod apply;
mod chain;
mod path;
mod tree;

pub use chain::{Chain, Simple};

use crate::{
    document::{self, Element, Malformed, kind},
    error::Error,
};

/// What the paths of an update event mean, by the server that the event is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Before 5.0: no update can name a field with a dot in its name, so every dot separates. A number is an index in an
    /// array and a name in a document.
    Plain,
    /// From 5.0 until 6.1: a name may have dots in it (`$setField`, pipelines), and nothing tells these from nested ones.
    Maybe(Nested),
    /// From 6.1, with `showExpandedEvents`: `disambiguatedPaths` lists every path that could be misread. An event without
    /// that field is taken as `Maybe(Nested::Refetch)`.
    Told,
}

/// What to do about a path that has a dot in it and may mean either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nested {
    /// Call it ambiguous: the document is fetched from the source.
    Refetch,
    /// For whoever has no source to fetch from: dots separate, provided that no name in the document has a dot in it or is
    /// empty, and that all parents are there. Else it is ambiguous.
    Trust,
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The document after the change.
    Document(Vec<u8>),
    /// The events do not say what changed. The document is to be fetched from the source.
    Ambiguous,
    /// This document is not the one that the change was made to; why not.
    Inapplicable(&'static str),
}

/// The change of one update event, as slices of it.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    updated: &'a [u8],
    removed: &'a [u8],
    truncated: &'a [u8],
    told: Option<&'a [u8]>,
    paths: Paths,
}

/// The parts of a description that matter here. The last of them is for [`Paths::Told`].
const PARTS: [&[u8]; 4] = [b"updatedFields", b"removedFields", b"truncatedArrays", b"disambiguatedPaths"];

/// One change of one path.
#[derive(Clone, Copy, Debug)]
enum Change<'a> {
    Remove,
    /// Cut an array to so many elements.
    Truncate(u32),
    /// Set to this value; the element's name is the path.
    Set(Element<'a>),
}

impl<'a> Delta<'a> {
    /// Reads `updateDescription` of an event from a server whose paths are as `paths` says.
    ///
    /// # Errors
    /// When it is no such description; its bytes are not repeated.
    pub fn parse(update: &'a [u8], paths: Paths) -> Result<Self, Error> {
        let mut delta = Delta {
            updated: &document::EMPTY,
            removed: &document::EMPTY,
            truncated: &document::EMPTY,
            told: None,
            paths,
        };
        for element in document::elements(update) {
            let element = element?;
            // 5.0 and later leave out what there is none of, some forks say null.
            let part = match element.kind {
                _ if !PARTS.contains(&element.name) => continue,
                kind::DOCUMENT | kind::ARRAY => element.value,
                kind::NULL => continue,
                _ => return Err(malformed("a part of an update's description is no document")),
            };
            match element.name {
                b"updatedFields" => delta.updated = part,
                b"removedFields" => delta.removed = part,
                b"truncatedArrays" => delta.truncated = part,
                _ => delta.told = Some(part),
            }
        }
        if delta.told.is_some() {
            delta.paths = Paths::Told;
        } else if paths == Paths::Told {
            delta.paths = Paths::Maybe(Nested::Refetch);
        }
        Ok(delta)
    }

    /// Makes the change in `doc`.
    pub fn apply(&self, doc: &[u8]) -> Applied {
        let mut chain = Chain::new();
        chain.push(self);
        chain.apply(doc)
    }

    /// The paths that change, and whether each is set or removed, if that is all and a dot in one always separates.
    pub(crate) fn plain(&self) -> Option<Vec<(&'a [u8], bool)>> {
        let plain = |change| match change {
            Ok((path, Change::Set(_))) => Some((path, true)),
            Ok((path, Change::Remove)) => Some((path, false)),
            Ok((_, Change::Truncate(_))) | Err(_) => None,
        };
        self.changes().map(plain).collect::<Option<_>>().filter(|_| self.paths == Paths::Plain)
    }

    /// All changes in the order in which they are made: removals, truncations, then the fields that are set, as listed.
    fn changes(&self) -> impl Iterator<Item = Result<(&'a [u8], Change<'a>), Error>> + use<'a> {
        let removed = document::elements(self.removed).map(|element| {
            let path = element?.string().ok_or_else(|| malformed("a removed field is no name"))?;
            Ok((path, Change::Remove))
        });
        let truncated = document::elements(self.truncated).map(|element| truncation(&element?));
        let updated = document::elements(self.updated).map(|element| {
            let element = element?;
            Ok((element.name, Change::Set(element)))
        });
        removed.chain(truncated).chain(updated)
    }
}

fn truncation<'a>(element: &Element<'a>) -> Result<(&'a [u8], Change<'a>), Error> {
    let broken = || malformed("the truncation of an array is malformed");
    if element.kind != kind::DOCUMENT {
        return Err(broken());
    }
    let path = document::find(element.value, b"field").and_then(|field| field.string()).ok_or_else(broken)?;
    let size = document::find(element.value, b"newSize").and_then(|size| whole_number(&size)).ok_or_else(broken)?;
    Ok((path, Change::Truncate(size)))
}

/// Servers send int32; other number types are let in, as they say the same.
fn whole_number(element: &Element<'_>) -> Option<u32> {
    match element.kind {
        kind::INT32 => u32::try_from(i32::from_le_bytes(element.value.try_into().ok()?)).ok(),
        kind::INT64 => u32::try_from(i64::from_le_bytes(element.value.try_into().ok()?)).ok(),
        _ => None,
    }
}

fn malformed(reason: &'static str) -> Error {
    Malformed { offset: 0, reason }.into()
}

#[cfg(test)]
mod tests;
