//! Changes of paths as one tree, so that a document is rewritten once, whatever the number of changes.
//!
//! A tree takes more than one event as long as making all its changes at once is the same as making one after the other.
//! The hot document of a hundred thousand updates is thus a tree with its few fields, not a list of events.

use std::collections::HashMap;

use super::{Change, path::Part};
use crate::document::Element;

/// Above this number of children they are found by hash.
const FEW: usize = 12;

/// What is to be done below one document or array.
#[derive(Clone, Debug, Default)]
pub(super) struct Children<'a> {
    nodes: Vec<Node<'a>>,
    by_name: HashMap<&'a [u8], usize>,
}

/// What is to be done at one path.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) part: Part<'a>,
    pub(super) action: Action<'a>,
    /// When it was set first: fields that are not there yet come into being in this order.
    pub(super) order: u64,
    /// The event that made this node, and the last one that touched it.
    made: u64,
    touched: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Action<'a> {
    /// Go on below, after cutting it if it is an array to be cut.
    Within {
        truncate: Option<u32>,
        children: Children<'a>,
    },
    Remove,
    /// Set; after a removal, at the end and not in place.
    Set {
        element: Element<'a>,
        moved: bool,
    },
}

/// Whether one more change can be made part of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    /// It must be made after all changes of the tree.
    Later,
}

/// The changes of some events in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree<'a> {
    pub(super) root: Children<'a>,
    events: u64,
    changes: u64,
}

/// The changes of one event contradict each other, which none of a server does unless two paths of it look alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contradiction;

impl<'a> Tree<'a> {
    /// Whether `change` gives the same result as part of the tree and behind it.
    pub(super) fn fit(&self, parts: &[Part<'a>], change: &Change<'a>) -> Fit {
        let mut level = &self.root;
        for (i, part) in parts.iter().enumerate() {
            let Some(node) = level.find(part.name) else { return Fit::Fits };
            if node.part != *part {
                return Fit::Later;
            }
            let last = i + 1 == parts.len();
            match (&node.action, change) {
                (Action::Within { children, .. }, _) if !last => level = children,
                (Action::Set { .. }, Change::Set(_)) | (Action::Remove, Change::Remove) if last => return Fit::Fits,
                // The top level is a document for certain; in an array a removal leaves a null in its place.
                (Action::Set { .. }, Change::Remove) | (Action::Remove, Change::Set(_)) if last && i == 0 => {
                    return Fit::Fits;
                }
                _ => return Fit::Later,
            }
        }
        Fit::Later
    }

    /// Begins the changes of another event.
    pub(super) fn next_event(&mut self) {
        self.events += 1;
    }

    /// Makes a change part of the tree. It must [fit](Self::fit) what was there before its event began.
    pub(super) fn add(&mut self, parts: &[Part<'a>], change: &Change<'a>) -> Result<(), Contradiction> {
        let (event, order) = (self.events, self.changes);
        self.changes += 1;
        let (last, parents) = parts.split_last().ok_or(Contradiction)?;
        let mut level = &mut self.root;
        for part in parents {
            let made = || Action::Within { truncate: None, children: Children::default() };
            match level.find_or_insert(*part, made, order, event) {
                Some(Node { part: found, action: Action::Within { children, .. }, .. }) if found == part => {
                    level = children
                }
                _ => return Err(Contradiction),
            }
        }
        match level.find_mut(last.name) {
            None => {
                level.insert(*last, Action::of(change, false), order, event);
                Ok(())
            }
            Some(node) => node.add(*last, change, order, event),
        }
    }
}

impl<'a> Node<'a> {
    fn add(&mut self, part: Part<'a>, change: &Change<'a>, order: u64, event: u64) -> Result<(), Contradiction> {
        if self.part != part {
            return Err(Contradiction);
        }
        if let (Action::Within { truncate: truncate @ None, .. }, Change::Truncate(size)) = (&mut self.action, change) {
            // Removals in an array that the same event cuts: what is cut off is gone either way.
            *truncate = Some(*size);
            return if self.made == event { Ok(()) } else { Err(Contradiction) };
        }
        if self.touched == event {
            return Err(Contradiction);
        }
        self.touched = event;
        match (&mut self.action, change) {
            (Action::Set { element, .. }, Change::Set(newer)) => *element = *newer,
            (Action::Remove, Change::Remove) => {}
            (Action::Remove, Change::Set(_)) => {
                self.action = Action::of(change, true);
                self.order = order;
            }
            (Action::Set { .. }, Change::Remove) => self.action = Action::Remove,
            _ => return Err(Contradiction),
        }
        Ok(())
    }

    /// The value that it is set to, or None for a removal; None of that if it is nested, or moves to the end.
    #[allow(clippy::option_option, reason = "no, remove, set: each needed once")]
    pub(super) fn flat(&self) -> Option<Option<Element<'a>>> {
        match &self.action {
            Action::Set { element, moved: false } => Some(Some(*element)),
            Action::Remove => Some(None),
            Action::Set { moved: true, .. } | Action::Within { .. } => None,
        }
    }

    /// When it, or the first thing below it, was set: only that makes a field come into being.
    pub(super) fn first_set(&self) -> Option<u64> {
        match &self.action {
            Action::Set { .. } => Some(self.order),
            Action::Remove => None,
            Action::Within { children, .. } => children.nodes.iter().filter_map(Node::first_set).min(),
        }
    }

    /// Whether an array below it, or itself, is cut: it must be there.
    pub(super) fn truncates(&self) -> bool {
        match &self.action {
            Action::Within { truncate, children } => truncate.is_some() || children.nodes.iter().any(Node::truncates),
            Action::Set { .. } | Action::Remove => false,
        }
    }
}

impl<'a> Action<'a> {
    fn of(change: &Change<'a>, moved: bool) -> Self {
        match change {
            Change::Remove => Action::Remove,
            Change::Truncate(size) => Action::Within { truncate: Some(*size), children: Children::default() },
            Change::Set(element) => Action::Set { element: *element, moved },
        }
    }
}

impl<'a> Children<'a> {
    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The place of a child among [`nodes`](Self::nodes).
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        if self.by_name.is_empty() {
            self.nodes.iter().position(|node| node.part.name == name)
        } else {
            self.by_name.get(name).copied()
        }
    }

    fn find(&self, name: &[u8]) -> Option<&Node<'a>> {
        self.nodes.get(self.position(name)?)
    }

    fn find_mut(&mut self, name: &[u8]) -> Option<&mut Node<'a>> {
        let position = self.position(name)?;
        self.nodes.get_mut(position)
    }

    fn find_or_insert(
        &mut self,
        part: Part<'a>,
        action: impl FnOnce() -> Action<'a>,
        order: u64,
        event: u64,
    ) -> Option<&mut Node<'a>> {
        let position = match self.position(part.name) {
            Some(position) => position,
            None => {
                self.insert(part, action(), order, event);
                self.nodes.len() - 1
            }
        };
        self.nodes.get_mut(position)
    }

    fn insert(&mut self, part: Part<'a>, action: Action<'a>, order: u64, event: u64) {
        self.nodes.push(Node { part, action, order, made: event, touched: event });
        if self.nodes.len() == FEW {
            self.by_name.extend(self.nodes.iter().enumerate().map(|(i, node)| (node.part.name, i)));
        } else if self.nodes.len() > FEW {
            self.by_name.insert(part.name, self.nodes.len() - 1);
        }
    }
}
