//! A shard key: as a server keeps it, and as a user names one for a collection.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    catalog::meaning::number,
    connect::Version,
    document::{self, RawBuilder},
    error::{Error, ErrorKind, Result},
    hex::{from_hex, hex},
    namespace::{Namespace, printable},
};

/// What the value of a field in a key says where its hash decides.
const HASHED: &str = "hashed";
const UNIQUE: &str = "unique";
/// The first release that takes a key of several fields of which one is hashed.
const COMPOUND_HASHED: Version = Version::new(4, 4, 0);

/// By what the documents of a collection are spread over shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Kept", into = "Kept")]
pub struct ShardKey {
    fields: Vec<Field>,
    /// Whether no two documents may have the same key.
    unique: bool,
}

/// A field, which may have dots in its name. Not always UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: Vec<u8>,
    hashed: bool,
}

/// As it is kept in a file: names may hold anything.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    unique: bool,
}

impl From<ShardKey> for Kept {
    fn from(key: ShardKey) -> Self {
        Kept { key: hex(&key.document()), unique: key.unique }
    }
}

impl TryFrom<Kept> for ShardKey {
    type Error = &'static str;

    fn try_from(kept: Kept) -> std::result::Result<Self, Self::Error> {
        ShardKey::read(&from_hex(&kept.key), kept.unique).ok_or("is no shard key")
    }
}

impl ShardKey {
    /// Reads `{field: 1, other: "hashed"}`.
    pub(crate) fn read(key: &[u8], unique: bool) -> Option<Self> {
        let mut fields = Vec::new();
        for element in document::elements(key) {
            let element = element.ok()?;
            let hashed = element.string() == Some(HASHED.as_bytes());
            (hashed || number(&element).is_some()).then_some(())?;
            fields.push(Field { name: element.name.to_vec(), hashed });
        }
        (!fields.is_empty()).then_some(ShardKey { fields, unique })
    }

    /// The key as a command has it.
    pub(crate) fn document(&self) -> Vec<u8> {
        let mut key = RawBuilder::new();
        for field in &self.fields {
            match field.hashed {
                true => key.string(&field.name, HASHED),
                false => key.int32(&field.name, 1),
            };
        }
        key.finish()
    }

    pub(crate) fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether the first field decides by its hash: then a server spreads an empty collection by itself.
    pub(crate) fn begins_hashed(&self) -> bool {
        self.fields.first().is_some_and(|field| field.hashed)
    }

    /// Whether any field does.
    pub(crate) fn is_hashed(&self) -> bool {
        self.fields.iter().any(|field| field.hashed)
    }

    /// Whether servers of a release take it: one hashed field among others they do since 4.4.
    pub(crate) fn is_taken_by(&self, version: Version) -> bool {
        version >= COMPOUND_HASHED || self.fields.len() < 2 || !self.is_hashed()
    }

    /// The names of its fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|field| field.name.as_slice())
    }

    /// Whether a document's `_id` alone tells where it is.
    pub(crate) fn is_by_id(&self) -> bool {
        self.names().eq([b"_id"])
    }

    /// Whether a collection with this key is spread as one with the other is, and refuses no less.
    pub(crate) fn serves_for(&self, other: &ShardKey) -> bool {
        self.fields == other.fields && (self.unique || !other.unique || self.is_by_id())
    }

    /// The name that a server gives to the index that it makes for this key.
    pub(crate) fn index_name(&self) -> String {
        let sign = |field: &Field| if field.hashed { HASHED } else { "1" };
        let of = |field: &Field| format!("{}_{}", String::from_utf8_lossy(&field.name), sign(field));
        self.fields.iter().map(of).collect::<Vec<_>>().join("_")
    }

    /// Whether an index has just this key.
    pub(crate) fn is_of(&self, spec: &[u8]) -> bool {
        document::find(spec, b"key")
            .and_then(|key| ShardKey::read(key.value, false))
            .is_some_and(|key| key.fields == self.fields)
    }

    /// Whether it can be the index that a server wants for this key: it has every document, and sorts as the key does.
    pub(crate) fn is_supported_by(&self, spec: &[u8]) -> bool {
        let has = |option: &[u8]| document::find(spec, option).is_some();
        let is_simple = document::find(spec, b"collation").is_none_or(|collation| {
            document::find(collation.value, b"locale").and_then(|locale| locale.string()) == Some(b"simple")
        });
        self.is_of(spec) && !has(b"sparse") && !has(b"partialFilterExpression") && is_simple
    }
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |field: &Field| {
            let name = printable(&String::from_utf8_lossy(&field.name));
            if field.hashed { format!("{name}: \"{HASHED}\"") } else { format!("{name}: 1") }
        };
        let fields: Vec<String> = self.fields.iter().map(one).collect();
        let unique = if self.unique { ", unique" } else { "" };
        write!(f, "{{{}}}{unique}", fields.join(", "))
    }
}

/// The shard key of a collection, as `NS=FIELD[:1|:hashed][,FIELD…][,unique][,hashed]`.
///
/// The last `=` parts the two. A field without a sign is ascending. The words stand behind the fields, and `hashed` is of the
/// only one; a field of such a name is written `hashed:1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardKeyOf {
    /// The collection's name on the source.
    pub namespace: Namespace,
    /// Its key.
    pub key: ShardKey,
}

impl fmt::Display for ShardKeyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", printable(&self.namespace.to_string()), self.key)
    }
}

impl FromStr for ShardKeyOf {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: String| {
            Error::new(ErrorKind::Usage, why)
                .with_hint("it is NS=FIELD, as shop.orders=customer:1,_id:hashed or shop.events=device,hashed")
        };
        let (namespace, key) =
            text.rsplit_once('=').ok_or_else(|| refused("is no shard key: there is no '='".into()))?;
        let namespace = Namespace::parse(namespace)?;
        let mut parts: Vec<&str> = key.split(',').collect();
        let (mut unique, mut hashed) = (false, false);
        // The first is a field, whatever it is called.
        while let Some(word) = parts.last().filter(|word| parts.len() > 1 && [UNIQUE, HASHED].contains(word)) {
            if *word == UNIQUE {
                unique = true
            } else {
                hashed = true
            }
            parts.pop();
        }
        if hashed && parts.len() > 1 {
            return Err(refused("does not say which of its fields is hashed: write FIELD:hashed".into()));
        }
        let mut fields: Vec<Field> = Vec::new();
        for part in parts {
            let (name, hashed) = match part.rsplit_once(':') {
                None | Some((_, "1")) => (part.strip_suffix(":1").unwrap_or(part), hashed),
                Some((name, HASHED)) => (name, true),
                Some(_) => {
                    return Err(refused(format!(
                        "'{part}' is no field of a shard key: FIELD, FIELD:1 or FIELD:hashed"
                    )));
                }
            };
            let is_path = name.split('.').all(|step| !step.is_empty() && !step.starts_with('$'));
            if !is_path {
                return Err(refused(format!("'{name}' is no name of a field")));
            }
            let name = name.as_bytes().to_vec();
            if fields.iter().any(|field| field.name == name) {
                return Err(refused(format!("'{part}' is there twice")));
            }
            fields.push(Field { name, hashed });
        }
        match fields.iter().filter(|field| field.hashed).count() {
            0 | 1 if !unique => {}
            0 => {}
            1 => return Err(refused("cannot be unique and hashed: a hash is not the value".into())),
            _ => return Err(refused("has several hashed fields, and servers take one".into())),
        }
        Ok(ShardKeyOf { namespace, key: ShardKey { fields, unique } })
    }
}

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    fn read(text: &str) -> std::result::Result<String, String> {
        text.parse::<ShardKeyOf>().map(|of| of.to_string()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn keys_are_written_in_the_ways_that_people_write_them() {
        for (text, shown) in [
            ("shop.orders=customer", "shop.orders by {customer: 1}"),
            ("shop.orders=customer,hashed", "shop.orders by {customer: \"hashed\"}"),
            ("shop.orders=customer:hashed", "shop.orders by {customer: \"hashed\"}"),
            ("shop.orders=customer:1,_id:hashed", "shop.orders by {customer: 1, _id: \"hashed\"}"),
            ("shop.orders=customer,number,unique", "shop.orders by {customer: 1, number: 1}, unique"),
            ("shop.a=b=_id", "shop.a=b by {_id: 1}"),
            ("shop.a.b=address.zip", "shop.a.b by {address.zip: 1}"),
            ("shop.words=unique", "shop.words by {unique: 1}"),
            ("shop.words=a,hashed:1", "shop.words by {a: 1, hashed: 1}"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_says_why() {
        for (text, why) in [
            ("shop.orders", "there is no '='"),
            ("orders=a", "is no namespace"),
            ("shop.orders=", "'' is no name of a field"),
            ("shop.orders=a,,b", "'' is no name of a field"),
            ("shop.orders=a.$b", "'a.$b' is no name of a field"),
            ("shop.orders=a:-1", "'a:-1' is no field of a shard key"),
            ("shop.orders=a,b,hashed", "which of its fields is hashed"),
            ("shop.orders=a:hashed,b:hashed", "several hashed fields"),
            ("shop.orders=a,hashed,unique", "cannot be unique and hashed"),
            ("shop.orders=a,b:1,a:hashed", "'a:hashed' is there twice"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn a_key_is_kept_and_read_whatever_type_its_numbers_have() {
        let key = ShardKey::read(rawdoc! { "a,b": 1.0, "c": "hashed" }.as_bytes(), false).unwrap();
        assert_eq!(key.document(), rawdoc! { "a,b": 1, "c": "hashed" }.as_bytes());
        let of = ShardKeyOf { namespace: Namespace::parse("shop.orders").unwrap(), key };
        let text = serde_json::to_string(&of).unwrap();
        assert_eq!(serde_json::from_str::<ShardKeyOf>(&text).unwrap(), of);
        assert!(!of.key.is_taken_by(Version::new(4, 2, 6)) && of.key.is_taken_by(Version::new(4, 4, 0)));
        assert!(ShardKey::read(rawdoc! { "a": "2dsphere" }.as_bytes(), false).is_none());
        assert!(ShardKey::read(rawdoc! {}.as_bytes(), false).is_none());
    }

    #[test]
    fn an_index_serves_a_key_if_it_has_every_document_in_its_order() {
        let key = "shop.orders=customer".parse::<ShardKeyOf>().unwrap().key;
        let serves = |spec: bson::Document| key.is_supported_by(&bson::serialize_to_vec(&spec).unwrap());
        assert!(serves(doc! { "key": { "customer": 1.0 }, "name": "by", "unique": true }));
        assert!(serves(doc! { "key": { "customer": 1 }, "collation": { "locale": "simple" } }));
        assert!(!serves(doc! { "key": { "customer": 1 }, "collation": { "locale": "de" } }));
        assert!(!serves(doc! { "key": { "customer": 1 }, "sparse": true }));
        assert!(!serves(doc! { "key": { "customer": "hashed" } }));
        assert!(!serves(doc! { "key": { "other": 1 } }));
    }
}
