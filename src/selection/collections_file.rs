//! The list of collections in a plain file, one a line, as people keep it: `db.<db>.collections.txt`.
//!
//! Its lines are names, not globs: such files are written by scripts, and a collection may be called `a*b`.

use std::{fs, path::Path};

use crate::{
    error::{Error, ErrorKind, Result},
    namespace::{Namespace, printable},
};

/// The names in a collections file, with what is needed to point at them.
#[derive(Clone, Debug)]
pub(super) struct CollectionsFile {
    path: String,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    number: usize,
    pub(super) name: String,
}

impl CollectionsFile {
    pub(super) fn read(path: &Path, default_database: Option<&str>) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, error))?;
        let path = path.display().to_string();
        let text = String::from_utf8(bytes)
            .map_err(|error| Error::new(ErrorKind::Usage, "is no UTF-8 text").with_source(error).at(path.as_str()))?;
        Self::parse(path, &text, default_database)
    }

    pub(super) fn parse(path: String, text: &str, default_database: Option<&str>) -> Result<Self> {
        // Editors on Windows put a byte order mark in front, which is no part of the first name.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Only the line's end is cut off: blanks may be part of a name, in the middle and at its ends.
        let lines = text.lines().enumerate().map(|(i, name)| Line { number: i + 1, name: name.to_owned() });
        let is_name = |line: &Line| !matches!(line.name.trim_start().chars().next(), None | Some('#'));
        let file = CollectionsFile { path, lines: lines.filter(is_name).collect() };
        if file.lines.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "names no collection").at(file.path));
        }
        if let (None, Some(line)) = (default_database, file.lines.iter().find(|line| !line.name.contains('.'))) {
            let message =
                format!("\"{}\" names no database, and neither does the connection string", printable(&line.name));
            return Err(file
                .place(line, Error::new(ErrorKind::Usage, message))
                .with_hint(format!("write DATABASE.{}, or name the database in the connection string", line.name)));
        }
        Ok(file)
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Puts the file and the line in front of `error`.
    pub(super) fn place(&self, line: &Line, error: Error) -> Error {
        error.at(format!("line {}", line.number)).at(self.path.as_str())
    }
}

impl Line {
    /// Whether this line names `namespace`, in full or, in the default database, by its collection.
    pub(super) fn names(&self, namespace: &Namespace, default_database: Option<&str>) -> bool {
        let in_full = self.name.split_once('.') == Some((namespace.database(), namespace.collection()));
        in_full || default_database == Some(namespace.database()) && self.name == namespace.collection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(usize, String)> {
        let file = CollectionsFile::parse("list.txt".to_owned(), text, Some("shop")).unwrap();
        file.lines().iter().map(|line| (line.number, line.name.clone())).collect()
    }

    #[test]
    fn comments_blank_lines_and_windows_line_ends_are_no_names() {
        let text = "\u{feff}# chosen by hand\r\norders\r\n\r\n  \nevents\n  # not today\nblobs";
        assert_eq!(names(text), [(2, "orders".to_owned()), (5, "events".to_owned()), (7, "blobs".to_owned())]);
    }

    #[test]
    fn blanks_in_a_name_are_kept() {
        assert_eq!(names("my orders \n lead\n"), [(1, "my orders ".to_owned()), (2, " lead".to_owned())]);
    }

    #[test]
    fn a_file_without_a_name_is_an_error() {
        let error = CollectionsFile::parse("list.txt".to_owned(), "# none\n\n", None).unwrap_err();
        assert_eq!(error.to_string(), "list.txt: names no collection");
    }

    #[test]
    fn a_name_without_a_database_is_told_by_its_line() {
        let error = CollectionsFile::parse("list.txt".to_owned(), "shop.a\n\norders", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "list.txt: line 3: \"orders\" names no database, and neither does the connection string"
        );
        assert_eq!(error.hint(), Some("write DATABASE.orders, or name the database in the connection string"));
    }

    #[test]
    fn a_line_is_a_literal_name() {
        let line = Line { number: 1, name: "a*".to_owned() };
        assert!(line.names(&Namespace::parse("shop.a*").unwrap(), Some("shop")));
        assert!(!line.names(&Namespace::parse("shop.ab").unwrap(), Some("shop")));
        assert!(!line.names(&Namespace::parse("live.a*").unwrap(), Some("shop")));
    }

    #[test]
    fn a_missing_file_is_told_by_its_path() {
        let error = CollectionsFile::read(Path::new("no/such/list.txt"), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().starts_with("no/such/list.txt: "));
    }
}
