//! Updates of one document in a row, as few changes as they come to.

use std::borrow::Cow;

use super::{
    Applied, Delta, Paths,
    apply::{self, Parents},
    path::Part,
    tree::{Fit, Tree},
};
use crate::document::{Element, RawBuilder};

/// The changes of some updates of one document, in their order.
///
/// What of them can be made at once is merged as they come in, in time that does not grow with their number: the last
/// value of a field is the one that counts.
#[derive(Clone, Debug, Default)]
pub struct Chain<'a> {
    segments: Vec<Segment<'a>>,
    ambiguous: bool,
    parts: Vec<Part<'a>>,
}

/// Changes that can be made in one walk.
#[derive(Clone, Debug)]
struct Segment<'a> {
    tree: Tree<'a>,
    parents: Parents,
    /// Whether a path in it can be trusted only if no name in the document can be mistaken.
    trusting: bool,
}

impl<'a> Chain<'a> {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The change of one more event, made after all that were pushed before.
    pub fn push(&mut self, delta: &Delta<'a>) {
        if self.try_push(delta).is_none() {
            self.ambiguous = true;
            self.segments.clear();
        }
    }

    /// None when the change cannot be known.
    fn try_push(&mut self, delta: &Delta<'a>) -> Option<()> {
        if self.ambiguous {
            return None;
        }
        let trusting = matches!(delta.paths, Paths::Maybe(_))
            && delta.changes().map_while(Result::ok).any(|(path, _)| path.contains(&b'.'));
        let parents = if delta.paths == Paths::Plain { Parents::Made } else { Parents::Required };
        let fits = match self.segments.last() {
            Some(last) => !trusting && !last.trusting && last.parents == parents && self.fits(&last.tree, delta)?,
            None => false,
        };
        if !fits {
            self.segments.push(Segment { tree: Tree::default(), parents, trusting });
        }
        let Segment { tree, .. } = self.segments.last_mut()?;
        tree.next_event();
        for change in delta.changes() {
            let (path, change) = change.ok()?;
            delta.resolve(path, &mut self.parts).ok()?;
            tree.add(&self.parts, &change).ok()?;
        }
        Some(())
    }

    fn fits(&self, tree: &Tree<'a>, delta: &Delta<'a>) -> Option<bool> {
        let mut parts = Vec::new();
        for change in delta.changes() {
            let (path, change) = change.ok()?;
            delta.resolve(path, &mut parts).ok()?;
            if tree.fit(&parts, &change) == Fit::Later {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether the events do not tell what changed, whatever the document.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && !self.ambiguous
    }

    /// Makes all changes in `doc`, in time that grows with it and with the number of fields that change.
    pub fn apply(&self, doc: &[u8]) -> Applied {
        if self.ambiguous {
            return Applied::Ambiguous;
        }
        let mut doc = Cow::Borrowed(doc);
        for segment in &self.segments {
            if segment.trusting && apply::has_dotted_name(&doc) {
                return Applied::Ambiguous;
            }
            doc = match apply::apply(&segment.tree, &doc, segment.parents) {
                Ok(changed) => Cow::Owned(changed),
                Err(_) if segment.trusting => return Applied::Ambiguous,
                Err(reason) => return Applied::Inapplicable(reason),
            };
        }
        Applied::Document(doc.into_owned())
    }

    /// The same change as plain modifiers, if it is known to leave the same document without knowing what it is made to.
    ///
    /// Servers set new fields in the byte order of their names (numeric ones by value from 5.0 on), and leave a field in
    /// its place that is there. So all names must be plain top-level ones, what is set must have come into being in that
    /// order, and nothing may have moved to the end.
    pub fn simple(&self) -> Option<Simple<'a>> {
        let mut simple = Simple { sets: Vec::new(), unsets: Vec::new() };
        let segment = match self.segments.as_slice() {
            [] if !self.ambiguous => return Some(simple),
            [segment] => segment,
            _ => return None,
        };
        let mut sets = Vec::new();
        for node in segment.tree.root.nodes() {
            if !is_plain(node.part.name) {
                return None;
            }
            match node.flat()? {
                Some(element) => sets.push((node.order, node.part.name, element)),
                None => simple.unsets.push(node.part.name),
            }
        }
        sets.sort_unstable_by_key(|(order, ..)| *order);
        if !sets.is_sorted_by(|(_, a, _), (_, b, _)| a < b) {
            return None;
        }
        simple.sets = sets.into_iter().map(|(_, name, element)| (name, element)).collect();
        Some(simple)
    }
}

/// A change of top-level fields that `$set` and `$unset` make exactly, order of fields included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simple<'a> {
    /// Names and values; a value's own name is the path that its event has for it.
    pub sets: Vec<(&'a [u8], Element<'a>)>,
    /// The fields to be removed.
    pub unsets: Vec<&'a [u8]>,
}

impl Simple<'_> {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.unsets.is_empty()
    }

    /// The modifiers as a document, without those that would be empty: servers before 5.0 refuse them.
    pub fn modifiers(&self) -> Vec<u8> {
        let mut modifiers = RawBuilder::new();
        if !self.sets.is_empty() {
            modifiers.embed("$set", |set| {
                for (name, element) in &self.sets {
                    set.append_renamed(element, name);
                }
            });
        }
        if !self.unsets.is_empty() {
            modifiers.embed("$unset", |unset| {
                for name in &self.unsets {
                    unset.bool(name, true);
                }
            });
        }
        modifiers.finish()
    }
}

/// Whether modifiers take a name for just that name, and sort it by its bytes. `_id` is never changed by an update.
fn is_plain(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"_id"
        && !name.starts_with(b"$")
        && !name.contains(&b'.')
        && !name.iter().all(u8::is_ascii_digit)
}
