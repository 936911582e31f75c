//! The name of a collection together with its database, and the one rule by which the two are told apart.
//!
//! Database names hold no dot and collection names may, so the first dot parts them. Everything that names a
//! collection (selections, archives, change logs, reports) goes through this type, so none can part them elsewhere.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A collection of a database. Ordered by database, then by collection.
///
/// Serialized as the string `database.collection`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace {
    database: String,
    collection: String,
}

impl Namespace {
    /// A namespace of these two names.
    ///
    /// [`ErrorKind::Usage`] when one is empty, or when the database holds a dot: it would come back as another
    /// namespace. What else a server refuses in names is the server's to say.
    pub fn new(database: impl Into<String>, collection: impl Into<String>) -> Result<Self> {
        let namespace = Namespace { database: database.into(), collection: collection.into() };
        let trouble = if namespace.database.is_empty() {
            "the database is empty"
        } else if namespace.collection.is_empty() {
            "the collection is empty"
        } else if namespace.database.contains('.') {
            "the database holds a dot"
        } else {
            return Ok(namespace);
        };
        Err(no_namespace(&namespace.to_string(), trouble))
    }

    /// Reads `database.collection`, parted at the first dot.
    pub fn parse(text: &str) -> Result<Self> {
        let (database, collection) = text.split_once('.').ok_or_else(|| no_namespace(text, "there is no dot"))?;
        Namespace::new(database, collection)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The collection's name, which may hold dots.
    pub fn collection(&self) -> &str {
        &self.collection
    }
}

/// A name on one line. Control characters are legal in names, but a terminal could take them for commands.
pub(crate) fn printable(name: &str) -> String {
    let escape = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    name.chars().map(escape).collect()
}

fn no_namespace(text: &str, trouble: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("\"{text}\" is no namespace: {trouble}"))
        .with_hint("a namespace is DATABASE.COLLECTION, as in shop.orders")
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Namespace::parse(text)
    }
}

impl TryFrom<String> for Namespace {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Namespace::parse(&text)
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dot_parts_database_and_collection() {
        let namespace = Namespace::parse("shop.fs.files").unwrap();
        assert_eq!((namespace.database(), namespace.collection()), ("shop", "fs.files"));
        assert_eq!(namespace.to_string(), "shop.fs.files");
        assert_eq!(Namespace::parse("shop..x").unwrap().collection(), ".x");
    }

    #[test]
    fn an_empty_part_and_a_dotted_database_are_refused() {
        for (text, message) in [
            ("orders", "\"orders\" is no namespace: there is no dot"),
            (".orders", "\".orders\" is no namespace: the database is empty"),
            ("shop.", "\"shop.\" is no namespace: the collection is empty"),
            ("", "\"\" is no namespace: there is no dot"),
        ] {
            let error = Namespace::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.hint(), Some("a namespace is DATABASE.COLLECTION, as in shop.orders"));
        }
        let error = Namespace::new("a.b", "c").unwrap_err();
        assert_eq!(error.to_string(), "\"a.b.c\" is no namespace: the database holds a dot");
    }

    #[test]
    fn it_is_a_string_in_json_and_checked_on_the_way_in() {
        let namespace = Namespace::parse("shop.a \"b\"").unwrap();
        let json = serde_json::to_string(&namespace).unwrap();
        assert_eq!(json, r#""shop.a \"b\"""#);
        assert_eq!(serde_json::from_str::<Namespace>(&json).unwrap(), namespace);
        assert!(serde_json::from_str::<Namespace>("\"shop\"").is_err());
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
