//! Where in the file of a sidecar something stands, for whoever is to mend it there.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The text of a sidecar, and the file that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct SidecarText {
    path: PathBuf,
    text: String,
}

impl SidecarText {
    pub(super) fn new(path: &Path, text: String) -> Self {
        SidecarText { path: path.to_owned(), text }
    }

    /// The file.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The line of an option of an index: that of the option, as far as it can be found, else that of the index, else
    /// that of its collection.
    pub fn line(&self, namespace: &str, index: &str, option: &str) -> usize {
        let quoted = |name: &str| Value::from(name).to_string();
        let find = |from: usize, name: &str| {
            let rest = self.text.get(from..)?;
            rest.find(&quoted(name)).map(|at| from.saturating_add(at))
        };
        let collection = find(0, namespace).unwrap_or(0);
        let Some(name) = find(collection, index) else {
            // A name that was left out is made of the key.
            return self.line_at(find(collection, option).unwrap_or(collection));
        };
        let before = self.text.get(..name).unwrap_or_default();
        let spec = before.rfind("\"spec\"").unwrap_or(name);
        let rest = self.text.get(name..).unwrap_or_default();
        let end = rest.find("\"spec\"").map_or(self.text.len(), |next| name.saturating_add(next));
        self.line_at(find(spec, option).filter(|at| *at < end).unwrap_or(name))
    }

    fn line_at(&self, at: usize) -> usize {
        self.text.get(..at).map_or(0, |before| before.matches('\n').count()).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_in_its_own_index() {
        let text = r#"{ "collections": [
            { "namespace": "shop.others", "indexes": [
                { "spec": { "name": "a_1", "uniqe": 1 } } ] },
            { "namespace": "shop.orders", "indexes": [
                { "spec": {
                    "uniqe": 1,
                    "name": "a_1"
                } },
                { "spec": { "name": "b_1",
                    "key": { "uniqe": 1 } } },
                { "spec": { "key": { "c": 1 },
                    "sparce": 1 } }
            ] } ] }"#;
        let text = SidecarText::new(Path::new("a.indexes.json"), text.to_owned());
        for (namespace, index, option, line) in [
            ("shop.others", "a_1", "uniqe", 3),
            ("shop.orders", "a_1", "uniqe", 6),
            ("shop.orders", "a_1", "safe", 7),
            ("shop.orders", "b_1", "key", 10),
            ("shop.orders", "c_1", "sparce", 12),
            ("shop.orders", "d_1", "nowhere", 4),
        ] {
            assert_eq!(text.line(namespace, index, option), line, "{namespace} {index} {option}");
        }
        assert_eq!(text.path(), "a.indexes.json");
    }
}
