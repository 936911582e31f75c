//! The form of a sidecar: JSON, an index on each line, its numbers as people write them.

use serde_json::{Map, Value, json};

use super::{CleanIndex, CollectionIndexes, NotBuilt, Sidecar, VERSION};
use crate::{
    document,
    error::{Error, ErrorKind, Result},
    extjson,
};

impl Sidecar {
    /// The sidecar as JSON. Specs are extended JSON, relaxed for whole numbers and doubles; what comes twice in a
    /// document comes once here.
    ///
    /// # Errors
    /// When a spec is malformed.
    pub fn to_json(&self) -> Result<String> {
        let mut text = format!("{{\n  \"sidecar\": {VERSION},\n");
        if let Some(archive) = &self.archive {
            text.push_str(&format!("  \"archive\": \"{archive}\",\n"));
        }
        if let Some(server) = &self.server {
            text.push_str(&format!("  \"server\": {},\n", Value::from(server.as_str())));
        }
        if !self.scratch.is_empty() {
            text.push_str(&format!("  \"scratch\": {},\n", json!(self.scratch)));
        }
        text.push_str("  \"collections\": [");
        for (number, collection) in self.collections.iter().enumerate() {
            text.push_str(if number == 0 { "\n" } else { ",\n" });
            collection.push_to(&mut text)?;
        }
        text.push_str(if self.collections.is_empty() { "]\n}\n" } else { "\n  ]\n}\n" });
        Ok(text)
    }
}

impl CollectionIndexes {
    fn push_to(&self, text: &mut String) -> Result<()> {
        let indexes = self.indexes.iter().map(CleanIndex::to_value).collect::<Result<Vec<_>>>()?;
        let not_built = self.not_built.iter().map(NotBuilt::to_value).collect::<Result<Vec<_>>>()?;
        text.push_str(&format!("    {{ \"namespace\": {},\n", Value::from(self.namespace.as_str())));
        if let Some(uuid) = &self.uuid {
            text.push_str(&format!("      \"uuid\": {},\n", Value::from(uuid.as_str())));
        }
        if self.options != document::EMPTY {
            text.push_str(&format!("      \"options\": {},\n", spec_value(&self.options)?));
        }
        text.push_str("      \"indexes\": [");
        push_lines(text, &indexes);
        if !not_built.is_empty() {
            text.push_str(",\n      \"not_built\": [");
            push_lines(text, &not_built);
        }
        text.push_str(" }");
        Ok(())
    }
}

fn push_lines(text: &mut String, values: &[Value]) {
    for (number, value) in values.iter().enumerate() {
        text.push_str(if number == 0 { "\n        " } else { ",\n        " });
        text.push_str(&value.to_string());
    }
    text.push_str(if values.is_empty() { "]" } else { "\n      ]" });
}

impl CleanIndex {
    fn to_value(&self) -> Result<Value> {
        let mut index = Map::from_iter([("spec".to_owned(), spec_value(&self.spec)?)]);
        if let Some(original) = &self.original {
            index.insert("original".to_owned(), spec_value(original)?);
        }
        if !self.repairs.is_empty() {
            index.insert("repairs".to_owned(), json!(self.repairs));
        }
        Ok(index.into())
    }
}

impl NotBuilt {
    fn to_value(&self) -> Result<Value> {
        let mut index = Map::from_iter([("name".to_owned(), self.name.as_str().into())]);
        index.insert("reason".to_owned(), self.reason.as_str().into());
        if let Some(other) = &self.served_by {
            index.insert("served_by".to_owned(), other.as_str().into());
        }
        index.insert("original".to_owned(), spec_value(&self.original)?);
        if !self.repairs.is_empty() {
            index.insert("repairs".to_owned(), json!(self.repairs));
        }
        Ok(index.into())
    }
}

/// A spec as extended JSON: whole numbers and doubles as such, everything else in its canonical form.
///
/// # Errors
/// When it is malformed.
pub fn spec_value(spec: &[u8]) -> Result<Value> {
    let canonical = extjson::to_string(spec)?;
    let value = serde_json::from_str(&canonical)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("a spec gave no JSON: {error}")))?;
    Ok(relaxed(value))
}

fn relaxed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            if let Some(number) = plain_number(&fields) {
                return number;
            }
            fields.into_iter().map(|(name, value)| (name, relaxed(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.into_iter().map(relaxed).collect(),
        other => other,
    }
}

/// What `{"$numberInt": "1"}` is without its wrapping, if reading it again gives the same.
fn plain_number(fields: &Map<String, Value>) -> Option<Value> {
    let mut entries = fields.iter();
    let (Some((name, Value::String(text))), None) = (entries.next(), entries.next()) else {
        return None;
    };
    match name.as_str() {
        "$numberInt" => Some(Value::from(text.parse::<i32>().ok()?)),
        // NaN and infinities have no form as a plain number.
        "$numberDouble" => serde_json::Number::from_f64(text.parse().ok()?).map(Value::Number),
        _ => None,
    }
}
