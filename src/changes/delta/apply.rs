//! Rewrites a raw document with a tree of changes: one walk, no value decoded.
//!
//! It does what the server does: fields that exist keep their place, new ones go to the end of what they are in, in the
//! order in which they came into being; an element set beyond an array's end is padded up to with nulls; an element that is
//! removed from an array becomes null.

use super::{
    path::{Within, index},
    tree::{Action, Children, Node, Tree},
};
use crate::document::{self, Element, kind};

/// How many nulls the server pads an array with at the most (`kMaxPaddingAllowed`).
const MOST_PADDING: usize = 1_500_000;
/// Above the largest document by far, and the end of what a hostile event can make of a small one.
const LARGEST: usize = 64 << 20;

/// Why a change cannot be made in this document.
pub(super) type Reason = &'static str;

const IN_THE_WAY: Reason = "a value that holds no fields stands in the way of a path";
const NO_PARENT: Reason = "what a changed field is in is not there";

/// What to do for a field that is set in a document that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parents {
    /// Make the document, as `$set` does. Events before 5.0 tell of a new nested field by its whole path.
    Made,
    /// Later events set the whole new document, so the parents were there.
    Required,
}

/// `doc` with all changes of `tree` made.
pub(super) fn apply(tree: &Tree<'_>, doc: &[u8], parents: Parents) -> Result<Vec<u8>, Reason> {
    let mut out = Writer { bytes: Vec::with_capacity(doc.len() + doc.len() / 8 + 128), parents };
    out.document(doc, &tree.root)?;
    Ok(out.bytes)
}

struct Writer {
    bytes: Vec<u8>,
    parents: Parents,
}

impl Writer {
    fn document(&mut self, doc: &[u8], children: &Children<'_>) -> Result<(), Reason> {
        let start = self.open();
        let mut fields = document::elements(doc);
        let mut met = vec![false; children.nodes().len()];
        let mut unmet = met.len();
        // Everything before this is copied, or left out.
        let mut done = start_of_fields(doc)?;
        while unmet > 0 {
            let at = fields.offset();
            let Some(element) = fields.next() else { break };
            let element = element.map_err(|malformed| malformed.reason)?;
            let Some(position) = children.position(element.name) else { continue };
            let (Some(met), Some(node)) = (met.get_mut(position), children.nodes().get(position)) else { continue };
            // Of two fields of one name, the server finds the first.
            if std::mem::replace(met, true) {
                continue;
            }
            unmet -= 1;
            if node.part.within == Within::Array {
                return Err("a document stands where an array was");
            }
            self.copy(doc.get(done..at));
            done = at + element.whole.len();
            match &node.action {
                Action::Remove => {}
                Action::Set { moved: true, .. } => *met = false,
                Action::Set { element: value, moved: false } => self.element(value.kind, element.name, value.value),
                Action::Within { truncate, children } => self.within(&element, *truncate, children)?,
            }
        }
        self.copy(doc.get(done..doc.len() - 1));
        let mut new: Vec<&Node<'_>> =
            children.nodes().iter().zip(&met).filter_map(|(node, met)| (!met).then_some(node)).collect();
        new.sort_by_key(|node| node.first_set());
        for node in new {
            if node.part.within == Within::Array && (node.first_set().is_some() || node.truncates()) {
                return Err("a document stands where an array was");
            }
            self.new_field(node, node.part.name)?;
        }
        self.close(start)
    }

    fn array(&mut self, array: &[u8], truncate: Option<u32>, children: &Children<'_>) -> Result<(), Reason> {
        let mut nodes = children.nodes().iter().map(by_index).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_by_key(|(index, _)| *index);
        let mut nodes = nodes.into_iter().peekable();
        let size = truncate.map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let start = self.open();
        let mut fields = document::elements(array);
        let mut done = start_of_fields(array)?;
        let mut len = 0;
        while len < size && (truncate.is_some() || nodes.peek().is_some()) {
            let at = fields.offset();
            let Some(element) = fields.next() else { break };
            let element = element.map_err(|malformed| malformed.reason)?;
            if let Some((_, node)) = nodes.next_if(|(index, _)| *index == len) {
                self.copy(array.get(done..at));
                done = at + element.whole.len();
                match &node.action {
                    Action::Remove => self.element(kind::NULL, element.name, &[]),
                    Action::Set { element: value, .. } => self.element(value.kind, element.name, value.value),
                    Action::Within { truncate, children } => self.within(&element, *truncate, children)?,
                }
            }
            len += 1;
        }
        if truncate.is_some() {
            if len < size {
                return Err("an array is shorter than what it was cut to");
            }
            self.copy(array.get(done..fields.offset().max(done)));
        } else {
            self.copy(array.get(done..array.len() - 1));
        }
        self.beyond(nodes, len)?;
        self.close(start)
    }

    /// Sets elements beyond the end of an array of `len` elements.
    fn beyond<'n>(&mut self, nodes: impl Iterator<Item = (usize, &'n Node<'n>)>, mut len: usize) -> Result<(), Reason> {
        for (index, node) in nodes {
            if node.first_set().is_none() {
                self.new_field(node, node.part.name)?;
                continue;
            }
            if index.saturating_sub(len) > MOST_PADDING || self.bytes.len() > LARGEST {
                return Err("an array would be padded with more nulls than a server allows");
            }
            for missing in len..index {
                self.element(kind::NULL, missing.to_string().as_bytes(), &[]);
            }
            self.new_field(node, node.part.name)?;
            len = index + 1;
        }
        Ok(())
    }

    fn within(&mut self, element: &Element<'_>, truncate: Option<u32>, children: &Children<'_>) -> Result<(), Reason> {
        match (element.kind, truncate) {
            (kind::DOCUMENT, None) => {
                self.element(element.kind, element.name, &[]);
                self.document(element.value, children)
            }
            (kind::ARRAY, _) => {
                self.element(element.kind, element.name, &[]);
                self.array(element.value, truncate, children)
            }
            (kind::DOCUMENT, Some(_)) => Err("a document stands where an array was cut"),
            _ => Err(IN_THE_WAY),
        }
    }

    /// Writes what is not there yet; a removal of it, or of something in it, is none.
    fn new_field(&mut self, node: &Node<'_>, name: &[u8]) -> Result<(), Reason> {
        if node.truncates() {
            return Err(NO_PARENT);
        }
        match &node.action {
            Action::Set { element, .. } => self.element(element.kind, name, element.value),
            Action::Within { children, .. } if node.first_set().is_some() => {
                if self.parents == Parents::Required {
                    return Err(NO_PARENT);
                }
                self.element(kind::DOCUMENT, name, &[]);
                self.document(&document::EMPTY, children)?;
            }
            Action::Remove | Action::Within { .. } => {}
        }
        Ok(())
    }

    fn element(&mut self, kind: u8, name: &[u8], value: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
    }

    fn copy(&mut self, bytes: Option<&[u8]>) {
        self.bytes.extend_from_slice(bytes.unwrap_or_default());
    }

    fn open(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        start
    }

    fn close(&mut self, start: usize) -> Result<(), Reason> {
        self.bytes.push(0);
        let length = i32::try_from(self.bytes.len() - start).map_err(|_| "a document would be too large")?;
        let place = self.bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut);
        *place.ok_or("a document without a length")? = length.to_le_bytes();
        Ok(())
    }
}

/// Where the fields of a document begin, which has its length before them and a NUL behind.
fn start_of_fields(doc: &[u8]) -> Result<usize, Reason> {
    if doc.len() < document::EMPTY.len() { Err("shorter than an empty document") } else { Ok(4) }
}

fn by_index<'n, 'a>(node: &'n Node<'a>) -> Result<(usize, &'n Node<'a>), Reason> {
    let index = index(node.part.name).filter(|_| node.part.within != Within::Document);
    let index = index.and_then(|index| usize::try_from(index).ok());
    Ok((index.ok_or("an array stands where a document was")?, node))
}

/// Whether a name anywhere in `doc` is empty or has a dot in it, so that a dotted path could mean it.
pub(super) fn has_dotted_name(doc: &[u8]) -> bool {
    let mut open = vec![document::elements(doc)];
    while let Some(fields) = open.last_mut() {
        match fields.next() {
            Some(Ok(element)) => {
                if element.name.is_empty() || element.name.contains(&b'.') {
                    return true;
                }
                if matches!(element.kind, kind::DOCUMENT | kind::ARRAY) {
                    open.push(document::elements(element.value));
                }
            }
            Some(Err(_)) => return true,
            None => {
                open.pop();
            }
        }
    }
    false
}
