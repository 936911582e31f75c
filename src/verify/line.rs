//! The lines of a file of findings: what is compared, what differs, and how far it has come.

use serde::{Deserialize, Serialize};

use super::{counts::Counts, finding::Finding};
use crate::{
    error::{Error, ErrorKind, Result},
    extjson,
    hex::{from_hex, hex},
    namespace::Namespace,
    scan::{Bounds, between},
};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    /// The first one: what is compared with what.
    Verify(Comparison),
    /// The parts in which a namespace is compared.
    Parts(Parts),
    /// A document that differs.
    Difference(Difference),
    /// A part that was compared to its end.
    Part {
        namespace: String,
        part: usize,
        counts: Counts,
        /// Whether its documents stand in another order on the right.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        crossed: bool,
    },
    /// The end: all parts were.
    Finished,
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub(super) version: u32,
    pub(super) left: String,
    pub(super) right: String,
    /// What was selected, and how it was compared.
    pub(super) settings: String,
}

/// The parts in which a namespace is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) namespace: String,
    /// What both sides are recognised by: what is made anew under the same name is compared anew.
    pub(super) left: String,
    pub(super) right: String,
    /// Whether both come in the order of their keys.
    pub(super) sorted: bool,
    /// The bound before each part but the first, in hexadecimal digits of `{_id: …}`.
    pub(super) bounds: Vec<String>,
}

impl Parts {
    /// The parts, which cover everything.
    pub(super) fn parts(&self) -> Vec<Bounds> {
        between(self.bounds.iter().map(|bound| from_hex(bound)).collect())
    }
}

/// A document that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Difference {
    /// The collection on the left.
    pub(super) namespace: String,
    pub(super) part: usize,
    /// In which way.
    pub(super) difference: String,
    /// Where, first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// The type of what stands there on the left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left: Option<String>,
    /// The type of what stands there on the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) right: Option<String>,
    /// Its key, as canonical extended JSON.
    pub(super) document: serde_json::Value,
    /// Its key `{_id: …}`, in hexadecimal digits; empty where several documents may have it.
    pub(super) key: String,
}

impl Difference {
    /// What was found about the document of `key`, which is one alone or not.
    ///
    /// # Errors
    /// When the key is malformed.
    pub(super) fn new(
        (namespace, part): (&Namespace, usize),
        (key, is_one): (&[u8], bool),
        finding: &Finding,
    ) -> Result<Self> {
        let (path, left, right) = match finding {
            Finding::OnlyLeft | Finding::OnlyRight => (None, None, None),
            Finding::FieldOrder { path } => (Some(path.clone()), None, None),
            Finding::Different { path, left, right } => (Some(path.clone()), Some(*left), Some(*right)),
        };
        let shown = if key.is_empty() { "null".to_owned() } else { extjson::to_string(key)? };
        Ok(Difference {
            namespace: namespace.to_string(),
            part,
            difference: finding.class().to_owned(),
            path,
            left: left.map(str::to_owned),
            right: right.map(str::to_owned),
            // Too deep for the library that reads JSON, it is shown as text.
            document: serde_json::from_str(&shown).unwrap_or(serde_json::Value::String(shown)),
            key: if is_one { hex(key) } else { String::new() },
        })
    }
}

impl Line {
    /// Appends the line.
    ///
    /// # Errors
    /// When it is no JSON, which nothing in it makes it.
    pub(super) fn write(&self, lines: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(&mut *lines, self).map_err(|error| internal(&error))?;
        lines.push(b'\n');
        Ok(())
    }
}

fn internal(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}
