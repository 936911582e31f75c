//! Reads bytes both ways, front to back and by the tail, and says what came out.

use serde_json::{Value, json};
use transload_format::{
    CollectionType, Contents, Documents, Error, Event, Found, Kind, Reader, Result, Salvager, Scanner, StoredBlock,
};

/// What comes out of an archive before it ends or breaks; its namespaces only if it is finished.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    /// What the scanner said, if it did not finish.
    pub(crate) refusal: String,
    pub(crate) blocks: Vec<Value>,
    pub(crate) namespaces: Vec<Value>,
}

impl Outcome {
    /// All documents, as hex, in the order of the file.
    pub(crate) fn documents(&self) -> Vec<String> {
        let of = |block: &Value| block["documents"].as_array().unwrap().clone();
        self.blocks.iter().flat_map(of).map(|document| document.as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn name(error: &Error) -> &'static str {
    match error {
        Error::NotAnArchive => "not-an-archive",
        Error::NewerVersion(_) => "newer",
        Error::Unfinished { .. } => "unfinished",
        Error::Damaged { .. } => "damaged",
        other => panic!("no outcome: {other}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn block(contents: &Contents, block: StoredBlock) -> Result<Value, Error> {
    let header = block.header;
    let name = &contents.namespace(header.subject.namespace).expect("announced").collection.namespace;
    let place = transload_format::Place::Tail(block.offset);
    let raw = block.unpack().map_err(|problem| Error::Damaged { place, problem })?;
    let documents: Vec<_> = Documents::new(&raw).map(|document| hex(document.unwrap())).collect();
    Ok(json!({
        "kind": if header.subject.kind == Kind::Events { "events" } else { "documents" },
        "namespace": name,
        "part": header.subject.part,
        "documents": documents,
    }))
}

fn namespaces(contents: &Contents) -> Vec<Value> {
    let one = |namespace: &transload_format::Namespace| {
        let collection = &namespace.collection;
        json!({
            "namespace": collection.namespace,
            "type": match collection.kind {
                CollectionType::Collection => "collection",
                CollectionType::View => "view",
                CollectionType::TimeSeries => "time-series",
            },
            "uuid": collection.uuid.map(|uuid| hex(&uuid)),
            "options": hex(&collection.options),
            "indexes": collection.indexes.iter().map(|spec| hex(spec)).collect::<Vec<_>>(),
            "parts": namespace.parts.len(),
            "finished": namespace.finished,
            "documents": namespace.totals.documents,
            "bytes": namespace.totals.bytes,
            "digest": format!("{:016x}", namespace.totals.digest),
        })
    };
    contents.namespaces().iter().map(one).collect()
}

/// Front to back, in pushes of `step` bytes.
pub(crate) fn scan(bytes: &[u8], step: usize) -> Outcome {
    let mut scanner = Scanner::new();
    let mut outcome = Outcome { name: "finished", refusal: String::new(), blocks: vec![], namespaces: vec![] };
    let mut pushes = bytes.chunks(step);
    let ended = loop {
        match scanner.next() {
            Ok(Some(Event::Block(found))) => match block(scanner.contents().unwrap(), found) {
                Ok(found) => outcome.blocks.push(found),
                Err(error) => break Err(error),
            },
            Ok(Some(_)) => {}
            Ok(None) => match pushes.next() {
                Some(push) => scanner.push(push),
                None => break scanner.end(),
            },
            Err(error) => break Err(error),
        }
    };
    match ended {
        Ok(contents) => outcome.namespaces = namespaces(&contents),
        Err(error) => (outcome.name, outcome.refusal) = (name(&error), error.to_string()),
    }
    outcome
}

/// By the tail, then the file header and every block.
pub(crate) fn open(bytes: &[u8]) -> Outcome {
    let mut outcome = Outcome { name: "finished", refusal: String::new(), blocks: vec![], namespaces: vec![] };
    let reader = match Reader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => {
            outcome.name = name(&error);
            return outcome;
        }
    };
    outcome.namespaces = namespaces(reader.contents());
    if let Err(error) = reader.check_header() {
        outcome.name = name(&error);
        return outcome;
    }
    for (number, entry) in reader.contents().blocks().iter().enumerate() {
        let found = reader.block(number).and_then(|found| match entry.kind {
            Kind::Record => found.unpack().map(|_| None).map_err(|problem| reader.damaged(number, problem)),
            _ => block(reader.contents(), found).map(Some),
        });
        match found {
            Ok(found) => outcome.blocks.extend(found),
            Err(error) => {
                outcome.name = name(&error);
                return outcome;
            }
        }
    }
    outcome
}

/// In spite of damage: the sequence numbers of the blocks that are found, and how many bytes are lost.
pub(crate) fn salvaged(bytes: &[u8], step: usize) -> (Vec<u64>, u64) {
    let (mut salvager, mut blocks, mut lost) = (Salvager::new(), vec![], 0);
    let mut pushes = bytes.chunks(step).map(Some).chain([None]);
    loop {
        match salvager.next().unwrap() {
            Some(Found::Block(block)) => blocks.push(block.header.sequence),
            Some(Found::Lost { len, .. }) => lost += len,
            Some(_) => {}
            None => match pushes.next() {
                Some(Some(push)) => salvager.push(push),
                Some(None) => salvager.end(),
                None => return (blocks, lost),
            },
        }
    }
}
