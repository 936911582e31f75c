//! A rename `FROM=TO`: what FROM matches goes to TO, where what the stars of FROM took stands for those of TO.
//!
//! A rename that can be read in two ways is refused: people have lost data to a restore into the wrong namespace.

use super::pattern::{Match, Pattern, Unit, units};
use crate::{
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// A rename, ready to be applied.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    text: String,
    from: Pattern,
    to: Vec<Unit>,
    default_database: Option<String>,
}

impl Rename {
    pub(super) fn parse(text: &str, default_database: Option<&str>) -> Result<Self> {
        Self::parse_unplaced(text, default_database).map_err(|error| error.at(place(text)))
    }

    fn parse_unplaced(text: &str, default_database: Option<&str>) -> Result<Self> {
        let (from, to) = split(text)?;
        let from = Pattern::parse(from, default_database).map_err(|error| error.at("FROM"))?;
        let to = units(to).map_err(|error| error.at("TO"))?;
        if from.units().iter().chain(&to).any(|unit| *unit == Unit::AnyOne) {
            return Err(usage("? is not allowed in a rename, because TO could not say what it stands for")
                .with_hint("use *, or write \\? for a question mark in a name"));
        }
        let stars = |units: &[Unit]| units.iter().filter(|unit| **unit == Unit::AnyRun).count();
        let (in_from, in_to) = (stars(from.units()), stars(&to));
        if in_from != in_to {
            return Err(usage(format!("FROM has {in_from} *, TO has {in_to}"))
                .with_hint("what the first * of FROM takes goes to the first of TO, and so on: both need as many"));
        }
        if default_database.is_none() && !to.contains(&Unit::Dot) {
            return Err(usage("TO names no database, and neither does the connection string")
                .with_hint("write DATABASE.COLLECTION on both sides"));
        }
        Ok(Rename { text: text.to_owned(), from, to, default_database: default_database.map(str::to_owned) })
    }

    pub(super) fn place(&self) -> String {
        place(&self.text)
    }

    /// What to look for when asking which names are close to FROM.
    pub(super) fn literals(&self) -> String {
        self.from.literals()
    }

    pub(super) fn matches(&self, source: &Namespace) -> bool {
        self.from.matches(source)
    }

    /// What goes to `target`, if TO, read as a pattern, matches it, and says what that was.
    pub(super) fn origin(&self, target: &Namespace) -> Option<Namespace> {
        let (from, to) = split(&self.text).ok()?;
        let back = Self::parse_unplaced(&format!("{to}={from}"), self.default_database.as_deref());
        back.ok()?.target(target).ok()?
    }

    /// Where `source` goes, or `None` when FROM does not match it.
    pub(super) fn target(&self, source: &Namespace) -> Result<Option<Namespace>> {
        let full = source.to_string();
        let Some(matched) = self.from.captures(source, &full) else { return Ok(None) };
        let to_is_namespace = self.to.contains(&Unit::Dot);
        if to_is_namespace && matches!(matched, Match::Collection(_)) {
            let database = source.database();
            return Err(usage("FROM matches the name of a collection, but TO has a dot, as a namespace has")
                .with_hint(format!(
                    "write \"{database}.\" in front of FROM, and a database on both sides; or \\. for a dot in a \
                     collection's name"
                ))
                .at(self.place()));
        }
        let (Match::Namespace(captures) | Match::Collection(captures)) = matched;
        let mut taken = captures.iter().skip(1).map(|group| group.map_or("", |group| group.as_str()));
        let mut target = String::new();
        for unit in &self.to {
            match unit {
                Unit::Char(char) => target.push(*char),
                Unit::Dot => target.push('.'),
                Unit::AnyRun => target.push_str(taken.next().unwrap_or("")),
                Unit::AnyOne => {}
            }
        }
        let (database, collection) = match &self.default_database {
            Some(database) if !to_is_namespace => (database.as_str(), target.as_str()),
            _ => target.split_once('.').unwrap_or((&target, "")),
        };
        checked(database, collection).map(Some).map_err(|trouble| {
            usage(format!("{source} would become \"{database}.{collection}\": {trouble}")).at(self.place())
        })
    }
}

fn place(text: &str) -> String {
    format!("rename \"{text}\"")
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}

/// Parts `FROM=TO` at its only `=` that is not escaped.
fn split(text: &str) -> Result<(&str, &str)> {
    let mut escaped = false;
    let is_sign = |(_, char): &(usize, char)| {
        let sign = *char == '=' && !escaped;
        escaped = *char == '\\' && !escaped;
        sign
    };
    let signs: Vec<usize> = text.char_indices().filter(is_sign).map(|(at, _)| at).collect();
    match signs[..] {
        [at] => Ok((text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default())),
        [] => Err(usage("there is no =").with_hint("write FROM=TO, as in \"shop.*=live.*\"")),
        _ => Err(usage("there is more than one =").with_hint("write \\= for one that is part of a name")),
    }
}

/// A namespace that a server takes; of databases every server refuses the same, of collections only an empty name is
/// certain.
fn checked(database: &str, collection: &str) -> Result<Namespace, String> {
    const ILLEGAL: [char; 7] = ['/', '\\', '.', '"', '$', ' ', '\0'];
    const LONGEST: usize = 63;
    if let Some(char) = database.chars().find(|char| ILLEGAL.contains(char)) {
        return Err(format!("{char:?} is not allowed in the name of a database"));
    }
    if database.len() > LONGEST {
        return Err(format!("the database's name has {} bytes, {LONGEST} are allowed", database.len()));
    }
    if database.is_empty() {
        return Err("the database is empty".to_owned());
    }
    if collection.is_empty() {
        return Err("the collection is empty".to_owned());
    }
    Namespace::new(database, collection).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(rename: &str, default_database: Option<&str>, source: &str) -> String {
        let rename = Rename::parse(rename, default_database).unwrap();
        let target = rename.target(&Namespace::parse(source).unwrap()).unwrap();
        target.map_or("no match".to_owned(), String::from)
    }

    /// The error of a rename, whether it shows at once or when it meets `source`.
    fn error(rename: &str, default_database: Option<&str>, source: &str) -> Error {
        Rename::parse(rename, default_database)
            .and_then(|rename| rename.target(&Namespace::parse(source).unwrap()))
            .unwrap_err()
    }

    #[test]
    fn stars_are_carried_over_in_order() {
        assert_eq!(target("shop.*=live.*", None, "shop.fs.files"), "live.fs.files");
        assert_eq!(target("shop.*_*=live.*.x.*", None, "shop.a_b"), "live.a.x.b");
        assert_eq!(target("shop.*=live.*", None, "other.a"), "no match");
    }

    #[test]
    fn the_star_before_the_dot_takes_the_database_only() {
        assert_eq!(target("*.*=*_copy.*", None, "shop.fs.files"), "shop_copy.fs.files");
    }

    #[test]
    fn with_a_default_database_a_bare_name_goes_to_a_bare_name() {
        assert_eq!(target("orders=old_orders", Some("shop"), "shop.orders"), "shop.old_orders");
        assert_eq!(target("*=old_*", Some("shop"), "shop.fs.files"), "shop.old_fs.files");
        assert_eq!(target("shop.orders=old", Some("shop"), "shop.orders"), "shop.old");
        assert_eq!(target("shop.*=live.*", Some("shop"), "shop.orders"), "live.orders");
        assert_eq!(target(r"orders=a\.b", Some("shop"), "shop.orders"), "shop.a.b");
    }

    #[test]
    fn a_collection_that_would_become_a_namespace_is_refused() {
        let error = error("*=live.*", Some("shop"), "shop.orders");
        assert_eq!(
            error.to_string(),
            "rename \"*=live.*\": FROM matches the name of a collection, but TO has a dot, as a namespace has"
        );
        assert_eq!(
            error.hint(),
            Some(
                "write \"shop.\" in front of FROM, and a database on both sides; or \\. for a dot in a \
                 collection's name"
            )
        );
    }

    #[test]
    fn escaped_characters_are_names() {
        assert_eq!(target(r"shop.a\=b=shop.\*", None, "shop.a=b"), "shop.*");
        assert_eq!(target(r"shop.\?=shop.b", None, "shop.?"), "shop.b");
        assert_eq!(target(r"shop.a\\=shop.b", None, r"shop.a\"), "shop.b");
    }

    #[test]
    fn a_rename_that_cannot_be_understood_says_why() {
        for (rename, message) in [
            ("shop.a", "there is no ="),
            ("shop.a=shop.b=shop.c", "there is more than one ="),
            ("=shop.b", "FROM: is empty"),
            ("shop.a=", "TO: is empty"),
            ("a=shop.b", "FROM: names no database, and neither does the connection string"),
            ("shop.a=b", "TO names no database, and neither does the connection string"),
            ("shop.?=shop.b", "? is not allowed in a rename, because TO could not say what it stands for"),
            ("shop.a=shop.?", "? is not allowed in a rename, because TO could not say what it stands for"),
            ("*.*=live.*", "FROM has 2 *, TO has 1"),
            ("shop.a=live.*", "FROM has 0 *, TO has 1"),
        ] {
            let error = error(rename, None, "shop.a");
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert_eq!(error.to_string(), format!("rename \"{rename}\": {message}"));
        }
    }

    #[test]
    fn a_target_that_no_server_takes_is_refused() {
        let long = "d".repeat(64);
        for (to, message) in [
            ("x/y.b", "\"x/y.b\": '/' is not allowed in the name of a database".to_owned()),
            (r"x\\y.b", r#""x\y.b": '\\' is not allowed in the name of a database"#.to_owned()),
            ("x\"y.b", "\"x\"y.b\": '\"' is not allowed in the name of a database".to_owned()),
            ("x$y.b", "\"x$y.b\": '$' is not allowed in the name of a database".to_owned()),
            ("x y.b", "\"x y.b\": ' ' is not allowed in the name of a database".to_owned()),
            ("x\0y.b", "\"x\0y.b\": '\\0' is not allowed in the name of a database".to_owned()),
            (".b", "\".b\": the database is empty".to_owned()),
            ("b.", "\"b.\": the collection is empty".to_owned()),
            (&format!("{long}.b"), format!("\"{long}.b\": the database's name has 64 bytes, 63 are allowed")),
        ] {
            let rename = format!("shop.a={to}");
            assert_eq!(
                error(&rename, None, "shop.a").to_string(),
                format!("rename \"{rename}\": shop.a would become {message}")
            );
        }
    }
}
