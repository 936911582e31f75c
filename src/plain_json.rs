//! JSON as people write it: what is read only if it can mean one thing, and what is said where it makes no sense.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// An object in which no object has a key twice. Of two, a reader would take the last, and nobody would know.
#[derive(Debug)]
pub(crate) struct Once(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Objects).map(Once)
    }
}

/// A value in which no object has a key twice.
struct Any(Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Any)
    }
}

struct Objects;

impl<'de> Visitor<'de> for Objects {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate field `{key}`")));
            }
            let Any(value) = access.next_value()?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Any(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        Objects.visit_map(access).map(Value::Object)
    }
}

/// What the reader of JSON has to say, in words that need no knowledge of it; the line is said elsewhere.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The library puts the place at the end.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(front, _)| front);
    let quoted = |text: &str| text.replace('`', "\"");
    if let Some(rest) = text.strip_prefix("EOF while parsing ") {
        let within = match rest {
            "an object" => "an object, before its }",
            "a list" => "a list, before its ]",
            "a string" => "a text, before its \"",
            _ => "a value",
        };
        return format!("the file ends in {within}");
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("{} is missing in this object, which ends here", quoted(name));
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        return format!("{} comes twice in one object", quoted(name));
    }
    for unknown in ["unknown field ", "unknown variant "] {
        if let Some((name, known)) = text.strip_prefix(unknown).and_then(|rest| rest.split_once(", expected ")) {
            let known = quoted(known.trim_start_matches("one of "));
            return format!("{} is nothing that a sidecar has here; it may be {known}", quoted(name));
        }
    }
    if let Some(mismatch) = mismatch(text) {
        return mismatch;
    }
    match text {
        "expected value" => "a value was expected, as \"text\", 1, true, {…} or […]".to_owned(),
        "key must be a string" => "a name in quotation marks was expected".to_owned(),
        "trailing comma" => "a comma stands after the last one".to_owned(),
        "trailing characters" => "something stands behind the end, the last }".to_owned(),
        other => quoted(other),
    }
}

/// What is wrong with a value that stands for one of the types that JSON has not, as `{"$numberLong": "5"}`.
pub(crate) fn plain_value(error: &bson::error::Error) -> String {
    let why = error.message.as_deref().unwrap_or("it has not the form of its type");
    let why = mismatch(why).unwrap_or_else(|| why.replace('`', "\""));
    let place = error.key.as_ref().map_or_else(String::new, |key| format!(" at \"{key}\""));
    format!("a value of extended JSON makes no sense{place}: {why}")
}

fn mismatch(text: &str) -> Option<String> {
    let rest = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("{} was expected, and {} was found", kind(expected), kind(found)))
}

/// A kind of value, as people call it. The value itself is not repeated where it is long.
fn kind(name: &str) -> String {
    let (word, rest) = name.split_once(' ').unwrap_or((name, ""));
    match (word, name) {
        ("map", _) | (_, "a map") => "an object {…}".to_owned(),
        ("sequence", _) | (_, "a sequence") => "a list […]".to_owned(),
        ("struct", _) => "an object {…}".to_owned(),
        (_, "i32 as a string" | "i64 as a string") => "a whole number in quotation marks".to_owned(),
        (_, "rfc3339 formatted utc datetime") => "a date as 2026-01-31T12:00:00Z".to_owned(),
        ("string", _) | (_, "a string") => match rest.len() {
            1..=40 if word == "string" => format!("the text {rest}"),
            _ => "a text".to_owned(),
        },
        ("null", _) => "null".to_owned(),
        ("integer" | "boolean" | "floating", _) => match name.split(['`', '"']).nth(1) {
            Some(value) => value.to_owned(),
            None => "a number".to_owned(),
        },
        (_, "u64") => "a whole number".to_owned(),
        _ => name.to_owned(),
    }
}
