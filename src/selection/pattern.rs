//! The glob language of selections: `*` is any run of characters, `?` is one, `\` takes the next as it is.
//!
//! Translated to an anchored regular expression. `*` takes as little as it can, so that in `*.*` the first one is the
//! database however many dots the collection's name holds.

use regex::{Captures, Regex};

use crate::{
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// One unit of a glob. A dot that is not escaped is a unit of its own: it tells a namespace from a bare collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Char(char),
    Dot,
    AnyRun,
    AnyOne,
}

/// A glob, ready to be matched against namespaces.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    units: Vec<Unit>,
    regex: Regex,
    default_database: Option<String>,
}

/// What of a namespace a pattern matched, and what its stars took.
pub(super) enum Match<'h> {
    Namespace(Captures<'h>),
    Collection(Captures<'h>),
}

impl Pattern {
    /// Errors are [`ErrorKind::Usage`], and do not say yet where the pattern came from.
    pub(super) fn parse(text: &str, default_database: Option<&str>) -> Result<Self> {
        let units = units(text)?;
        if default_database.is_none() && !units.contains(&Unit::Dot) {
            return Err(Error::new(ErrorKind::Usage, "names no database, and neither does the connection string")
                .with_hint(format!("write \"{text}.*\" for a database, \"*.{text}\" for a collection of any")));
        }
        let mut regex = String::from(r"(?s)\A");
        for unit in &units {
            match unit {
                Unit::Char(char) => regex.push_str(&regex::escape(char.encode_utf8(&mut [0; 4]))),
                Unit::Dot => regex.push_str(r"\."),
                Unit::AnyRun => regex.push_str("(.*?)"),
                Unit::AnyOne => regex.push('.'),
            }
        }
        regex.push_str(r"\z");
        let regex = Regex::new(&regex)
            .map_err(|error| Error::new(ErrorKind::Usage, "is too long for a pattern").with_source(error))?;
        Ok(Pattern { text: text.to_owned(), units, regex, default_database: default_database.map(str::to_owned) })
    }

    /// Whether it matches the whole of `db.coll`, or the collection alone in the default database.
    pub(super) fn matches(&self, namespace: &Namespace) -> bool {
        self.may_be_namespace() && self.regex.is_match(&namespace.to_string())
            || self.may_be_collection(namespace) && self.regex.is_match(namespace.collection())
    }

    /// The same with what the stars took; `full` is `namespace` as text.
    pub(super) fn captures<'h>(&self, namespace: &'h Namespace, full: &'h str) -> Option<Match<'h>> {
        let whole = || self.may_be_namespace().then(|| self.regex.captures(full))?.map(Match::Namespace);
        let bare = || {
            let bare = self.may_be_collection(namespace).then(|| self.regex.captures(namespace.collection()))?;
            bare.map(Match::Collection)
        };
        whole().or_else(bare)
    }

    /// Without a dot it can only mean a collection. Else, with the default database `shop`, `s*` would match all of
    /// `shop.orders`, `shop.events`, …, and as an exclude leave nothing.
    fn may_be_namespace(&self) -> bool {
        self.units.contains(&Unit::Dot)
    }

    fn may_be_collection(&self, namespace: &Namespace) -> bool {
        self.default_database.as_deref() == Some(namespace.database())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Its literal characters: what to look for when asking which names are close.
    pub(super) fn literals(&self) -> String {
        let literal = |unit: &Unit| match unit {
            Unit::Char(char) => Some(*char),
            Unit::Dot => Some('.'),
            Unit::AnyRun | Unit::AnyOne => None,
        };
        self.units.iter().filter_map(literal).collect()
    }
}

/// The glob that matches `name` alone.
pub(super) fn literal(name: &str) -> String {
    let escape = |char: char| if matches!(char, '*' | '?' | '\\') { format!("\\{char}") } else { char.to_string() };
    name.chars().map(escape).collect()
}

/// Splits a glob into its units.
pub(super) fn units(text: &str) -> Result<Vec<Unit>> {
    let mut chars = text.chars();
    let mut units = Vec::new();
    while let Some(char) = chars.next() {
        units.push(match char {
            '*' => Unit::AnyRun,
            '?' => Unit::AnyOne,
            '.' => Unit::Dot,
            '\\' => Unit::Char(chars.next().ok_or_else(|| {
                Error::new(ErrorKind::Usage, "ends in a \\ that escapes nothing")
                    .with_hint("write \\\\ for a backslash")
            })?),
            char => Unit::Char(char),
        });
    }
    if units.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "is empty"));
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, default_database: Option<&str>, namespace: &str) -> bool {
        Pattern::parse(pattern, default_database).unwrap().matches(&Namespace::parse(namespace).unwrap())
    }

    #[test]
    fn a_star_takes_any_run_dots_and_newlines_too() {
        assert!(matches("shop.*", None, "shop.fs.files"));
        assert!(matches("*.files", None, "shop.fs.files"));
        assert!(matches("shop.a*b", None, "shop.a\n\u{85}b"));
        assert!(matches("shop.orders*", None, "shop.orders"));
        assert!(!matches("shop.*", None, "shops.orders"));
    }

    #[test]
    fn a_question_mark_takes_exactly_one_character() {
        assert!(matches("shop.?", None, "shop.ü"));
        assert!(matches("shop.?", None, "shop.\n"));
        assert!(!matches("shop.?", None, "shop.ab"));
    }

    #[test]
    fn everything_else_is_literal_and_case_counts() {
        assert!(matches("shop.a+(b)[c]{1}^$|", None, "shop.a+(b)[c]{1}^$|"));
        assert!(!matches("shop.order", None, "shop.orders"));
        assert!(!matches("shop.Orders", None, "shop.orders"));
        assert!(!matches("shopxorders.a", None, "shop.orders.a"));
    }

    #[test]
    fn a_backslash_makes_the_next_character_literal() {
        assert!(matches(r"shop.a\*", None, "shop.a*"));
        assert!(!matches(r"shop.a\*", None, "shop.ab"));
        assert!(matches(r"shop.a\\b", None, r"shop.a\b"));
        let error = Pattern::parse(r"shop.a\", None).unwrap_err();
        assert_eq!(error.to_string(), r"ends in a \ that escapes nothing");
    }

    #[test]
    fn a_collection_alone_matches_in_the_default_database_only() {
        assert!(matches("orders", Some("shop"), "shop.orders"));
        assert!(!matches("orders", Some("shop"), "live.orders"));
        assert!(matches("shop.orders", Some("shop"), "shop.orders"));
        assert!(matches("fs.*", Some("shop"), "shop.fs.files"));
    }

    #[test]
    fn a_pattern_without_a_dot_does_not_match_the_database_of_the_connection_string() {
        assert!(!matches("s*", Some("shop"), "shop.orders"));
        assert!(!matches("shop?orders", Some("shop"), "shop.orders"));
        assert!(matches("s*", Some("shop"), "shop.skus"));
        assert!(matches(r"fs\.files", Some("shop"), "shop.fs.files"));
    }

    #[test]
    fn without_a_database_anywhere_a_pattern_needs_a_dot() {
        let error = Pattern::parse("c1", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.to_string(), "names no database, and neither does the connection string");
        assert_eq!(error.hint(), Some("write \"c1.*\" for a database, \"*.c1\" for a collection of any"));
        assert!(Pattern::parse(r"a\.b", None).is_err(), "an escaped dot belongs to a name");
        assert_eq!(Pattern::parse("", None).unwrap_err().to_string(), "is empty");
    }
}
