//! The lanes of a log that is written: the events of each that wait for their block.

use std::{collections::HashMap, mem, sync::Arc};

use transload_format::{Documents, limits::MAX_BLOCK_LEN, limits::MAX_NAMESPACE_LEN};

use crate::error::{Error, ErrorKind, Result};

/// The lanes, in the order of their first events.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    by_name: HashMap<Arc<str>, usize>,
    /// Those that hold events, in the order in which they began to.
    waiting: Vec<usize>,
    held: usize,
}

#[derive(Debug)]
struct Lane {
    namespace: Arc<str>,
    events: Vec<u8>,
}

/// Events of one lane, to be written as one block.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) namespace: Arc<str>,
    pub(super) events: Vec<u8>,
}

impl Lanes {
    /// The bytes of all events that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Holds an event. What must be written first, so that its block does not become too large, comes out.
    pub(super) fn hold(&mut self, namespace: &str, event: &[u8], block_bytes: usize) -> Option<Run> {
        let index = match self.by_name.get(namespace) {
            Some(index) => *index,
            None => self.add(namespace),
        };
        let lane = self.lanes.get_mut(index)?;
        let largest = block_bytes.min(MAX_BLOCK_LEN as usize);
        let is_full = !lane.events.is_empty() && lane.events.len() + event.len() > largest;
        let full = is_full.then(|| mem::take(&mut lane.events));
        if lane.events.is_empty() && !is_full {
            self.waiting.push(index);
        }
        lane.events.extend_from_slice(event);
        self.held += event.len();
        let run = full.map(|events| Run { namespace: Arc::clone(&lane.namespace), events });
        self.held -= run.as_ref().map_or(0, |run| run.events.len());
        run
    }

    /// Everything that waits, lane by lane.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Run> {
        self.held = 0;
        let waiting = mem::take(&mut self.waiting);
        waiting.into_iter().filter_map(|index| {
            let lane = self.lanes.get_mut(index)?;
            Some(Run { namespace: Arc::clone(&lane.namespace), events: mem::take(&mut lane.events) })
        })
    }

    /// The same name, held once.
    pub(super) fn name(&mut self, namespace: &str) -> Arc<str> {
        match self.by_name.get_key_value(namespace) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(namespace),
        }
    }

    /// Forgets lanes that hold nothing: those of a segment that is finished may never come again.
    pub(super) fn forget(&mut self) {
        if self.waiting.is_empty() {
            *self = Lanes::default();
        }
    }

    fn add(&mut self, namespace: &str) -> usize {
        let namespace: Arc<str> = Arc::from(namespace);
        self.by_name.insert(Arc::clone(&namespace), self.lanes.len());
        self.lanes.push(Lane { namespace, events: Vec::new() });
        self.lanes.len() - 1
    }
}

/// Fails unless a segment can hold this event in a lane of this name: to be asked before anything is changed.
pub(super) fn check(namespace: &str, event: &[u8]) -> Result<()> {
    let halves = namespace.split_once('.');
    let is_name = halves.is_some_and(|(database, name)| !database.is_empty() && !name.is_empty());
    if !is_name || namespace.len() > MAX_NAMESPACE_LEN || namespace.contains('\0') {
        return Err(Error::new(ErrorKind::Server, format!("an event is of '{namespace}', which is no namespace")));
    }
    document("a change event", event).map_err(|error| error.at(namespace))
}

/// Fails unless these bytes are one document.
pub(super) fn document(what: &str, bytes: &[u8]) -> Result<()> {
    let refused = |why: String| Error::new(ErrorKind::Server, format!("{what} cannot be kept: {why}"));
    let mut documents = Documents::new(bytes);
    match (documents.next(), documents.next()) {
        (Some(Ok(_)), None) => Ok(()),
        (Some(Err(problem)), _) => Err(refused(problem.to_string())),
        _ => Err(refused("it is not exactly one document".to_owned())),
    }
}
