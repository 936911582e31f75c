//! Which namespaces a command is about, and under which names they arrive: one matcher for every command.
//!
//! A selection never shrinks in silence: a pattern, a line or a rename that meets nothing is an error that says what
//! there is instead. Tools that let a mistyped name select nothing have reported success over it.

mod collections_file;
mod nearest;
mod pattern;
mod rename;

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use self::{collections_file::CollectionsFile, nearest::nearest, pattern::Pattern, rename::Rename};
use crate::{
    error::{Error, ErrorKind, Result},
    namespace::{Namespace, printable},
};

/// What to select, as the user wrote it.
///
/// In globs `*` is any run of characters, dots too, `?` is one character, `\` takes the next as it is. A glob is
/// matched against `database.collection`; in the default database it is also matched against the collection alone,
/// and only against that when it has no dot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelectionOptions {
    /// Globs of what to take. With neither these nor a file, everything is taken.
    pub include: Vec<String>,
    /// Globs of what to leave out, whatever took it in.
    pub exclude: Vec<String>,
    /// A file of literal names, one a line, to take besides the included.
    pub collections_file: Option<PathBuf>,
    /// `FROM=TO`: globs without `?` and with equally many `*`; the first that matches wins.
    pub rename: Vec<String>,
    /// The database that the connection string names. Nothing outside of it is selected.
    pub default_database: Option<String>,
}

impl SelectionOptions {
    /// The same of these namespaces alone, under the names that they get.
    ///
    /// # Errors
    /// When a rename leads to a name that no server takes.
    pub(crate) fn only(&self, namespaces: &[Namespace]) -> Result<Self> {
        let selection = Selection::new(self)?;
        let literal = |namespace: &Namespace| pattern::literal(&namespace.to_string());
        let mut rename = Vec::new();
        for namespace in namespaces {
            if let Some(target) = selection.target(namespace)?.filter(|target| target != namespace) {
                let escaped = |namespace: &Namespace| literal(namespace).replace('=', "\\=");
                rename.push(format!("{}={}", escaped(namespace), escaped(&target)));
            }
        }
        Ok(SelectionOptions {
            include: namespaces.iter().map(literal).collect(),
            exclude: Vec::new(),
            collections_file: None,
            rename,
            default_database: self.default_database.clone(),
        })
    }

    /// The same without the file: its names stand among the includes, so that it can be kept when the file is gone.
    ///
    /// # Errors
    /// When the file cannot be read, or names nothing.
    pub fn with_file_read(mut self) -> Result<Self> {
        if let Some(path) = self.collections_file.take() {
            let file = CollectionsFile::read(&path, self.default_database.as_deref())?;
            self.include.extend(file.lines().iter().map(|line| pattern::literal(&line.name)));
        }
        Ok(self)
    }
}

/// A selection that has been understood, to be resolved against what there is.
#[derive(Clone, Debug)]
pub struct Selection {
    default_database: Option<String>,
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    file: Option<CollectionsFile>,
    renames: Vec<Rename>,
}

/// One namespace to read, and the name it gets where it arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// Its name where it is read.
    pub source: Namespace,
    /// Its name where it is written.
    pub target: Namespace,
}

/// A selection applied to what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What is selected, in the order in which it was found.
    pub selected: Vec<Selected>,
    /// What the user wrote to no effect, without being an error.
    pub warnings: Vec<String>,
}

impl Selection {
    /// Reads the patterns, and the collections file if there is one.
    ///
    /// [`ErrorKind::Usage`] when one cannot be understood, an operating-system error when the file cannot be read.
    pub fn new(options: &SelectionOptions) -> Result<Self> {
        let default = options.default_database.as_deref();
        let patterns = |texts: &[String], flag: &str| {
            let parse = |text: &String| Pattern::parse(text, default).map_err(|error| error.at(place(flag, text)));
            texts.iter().map(parse).collect::<Result<Vec<_>>>()
        };
        Ok(Selection {
            include: patterns(&options.include, "include")?,
            exclude: patterns(&options.exclude, "exclude")?,
            file: options.collections_file.as_ref().map(|path| CollectionsFile::read(path, default)).transpose()?,
            renames: options.rename.iter().map(|text| Rename::parse(text, default)).collect::<Result<_>>()?,
            default_database: options.default_database.clone(),
        })
    }

    /// The selection among `existing`.
    ///
    /// [`ErrorKind::NotFound`] when an include, a line of the file or a rename meets nothing, when the default
    /// database holds nothing, or when the excludes leave nothing. [`ErrorKind::Usage`] when a rename leads to a name
    /// that no server takes, or two namespaces to one.
    pub fn resolve(&self, existing: &[Namespace]) -> Result<Resolved> {
        let mut seen = HashSet::new();
        let candidates: Vec<&Namespace> =
            existing.iter().filter(|namespace| self.in_scope(namespace) && seen.insert(*namespace)).collect();
        if let (Some(database), true) = (&self.default_database, candidates.is_empty()) {
            let databases: HashSet<&str> = existing.iter().map(Namespace::database).collect();
            return Err(Error::new(ErrorKind::NotFound, "there is no collection in it")
                .with_hint(nearest(database, databases.into_iter().map(str::to_owned)))
                .at(place("database", database)));
        }
        self.require_matches(&candidates, existing)?;
        let chosen: Vec<&Namespace> = candidates.iter().copied().filter(|namespace| self.selects(namespace)).collect();
        if chosen.is_empty() && !candidates.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "the exclude patterns leave nothing to select"));
        }
        let selected = self.with_targets(&chosen)?;
        Ok(Resolved { selected, warnings: self.warnings(&candidates, &chosen) })
    }

    /// Where `source` goes, or `None` when it is not selected: the same rules for one namespace alone, for those that
    /// come into being while a migration runs.
    pub fn target(&self, source: &Namespace) -> Result<Option<Namespace>> {
        if !self.selects(source) {
            return Ok(None);
        }
        for rename in &self.renames {
            if let Some(target) = rename.target(source)? {
                return Ok(Some(target));
            }
        }
        Ok(Some(source.clone()))
    }

    /// Whether it has another name for anything.
    pub(crate) fn renames(&self) -> bool {
        !self.renames.is_empty()
    }

    /// The namespace that goes to `target`, or `None` when nothing that is selected does.
    pub fn origin(&self, target: &Namespace) -> Result<Option<Namespace>> {
        let renamed = self.renames.iter().filter_map(|rename| rename.origin(target));
        for candidate in renamed.chain(std::iter::once(target.clone())) {
            if self.target(&candidate)?.as_ref() == Some(target) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Whether it takes `namespace`, which need not be there, or not yet: the same rules for a collection that is born
    /// while changes are captured.
    pub fn takes(&self, namespace: &Namespace) -> bool {
        self.selects(namespace)
    }

    /// Whether it may take anything of `database`.
    pub fn takes_of(&self, database: &str) -> bool {
        self.default_database.as_deref().is_none_or(|only| only == database)
    }

    fn selects(&self, namespace: &Namespace) -> bool {
        let listed = |file: &CollectionsFile| {
            file.lines().iter().any(|line| line.names(namespace, self.default_database.as_deref()))
        };
        let taken = self.include.is_empty() && self.file.is_none()
            || self.include.iter().any(|pattern| pattern.matches(namespace))
            || self.file.as_ref().is_some_and(listed);
        self.in_scope(namespace) && taken && !self.exclude.iter().any(|pattern| pattern.matches(namespace))
    }

    fn in_scope(&self, namespace: &Namespace) -> bool {
        self.default_database.as_deref().is_none_or(|database| database == namespace.database())
    }

    fn require_matches(&self, candidates: &[&Namespace], existing: &[Namespace]) -> Result<()> {
        for pattern in &self.include {
            if !candidates.iter().any(|namespace| pattern.matches(namespace)) {
                let outside = existing.iter().find(|namespace| pattern.matches(namespace));
                return Err(self
                    .not_found("matches nothing", &pattern.literals(), candidates, outside)
                    .at(place("include", pattern.text())));
            }
        }
        for (file, line) in self.file.iter().flat_map(|file| file.lines().iter().map(move |line| (file, line))) {
            let names = |namespace: &Namespace| line.names(namespace, self.default_database.as_deref());
            if !candidates.iter().any(|namespace| names(namespace)) {
                let message = format!("there is no \"{}\"", printable(&line.name));
                let outside = existing.iter().find(|namespace| names(namespace));
                return Err(file.place(line, self.not_found(&message, &line.name, candidates, outside)));
            }
        }
        Ok(())
    }

    fn not_found(&self, message: &str, wanted: &str, candidates: &[&Namespace], outside: Option<&Namespace>) -> Error {
        let hint = match (outside, &self.default_database) {
            (Some(outside), Some(database)) => {
                format!("{outside} is outside of the database \"{database}\" that the connection string names")
            }
            (_, None) => nearest(wanted, candidates.iter().map(|namespace| namespace.to_string())),
            (None, Some(database)) => {
                let wanted = wanted.strip_prefix(&format!("{database}.")).unwrap_or(wanted);
                nearest(wanted, candidates.iter().map(|namespace| namespace.collection().to_owned()))
            }
        };
        Error::new(ErrorKind::NotFound, message).with_hint(hint)
    }

    fn with_targets(&self, chosen: &[&Namespace]) -> Result<Vec<Selected>> {
        for rename in &self.renames {
            if !chosen.iter().any(|source| rename.matches(source)) {
                return Err(self
                    .not_found("matches nothing that is selected", &rename.literals(), chosen, None)
                    .at(rename.place()));
            }
        }
        let mut selected = Vec::with_capacity(chosen.len());
        let mut taken: BTreeMap<Namespace, &Namespace> = BTreeMap::new();
        for &source in chosen {
            let Some(target) = self.target(source)? else { continue };
            if let Some(other) = taken.insert(target.clone(), source) {
                let message = format!("{other} and {source} would both become {target}");
                return Err(
                    Error::new(ErrorKind::Usage, message).with_hint("change the renames, or exclude one of the two")
                );
            }
            selected.push(Selected { source: source.clone(), target });
        }
        Ok(selected)
    }

    fn warnings(&self, candidates: &[&Namespace], chosen: &[&Namespace]) -> Vec<String> {
        let idle = self.exclude.iter().filter(|pattern| !candidates.iter().any(|namespace| pattern.matches(namespace)));
        let idle = idle.map(|pattern| format!("{}: matches nothing", place("exclude", pattern.text())));
        let wins =
            |i: usize, source: &Namespace| self.renames.iter().position(|rename| rename.matches(source)) == Some(i);
        let shadowed = self.renames.iter().enumerate().filter(|(i, _)| !chosen.iter().any(|source| wins(*i, source)));
        let shadowed =
            shadowed.map(|(_, rename)| format!("{}: an earlier rename takes all it matches", rename.place()));
        idle.chain(shadowed).collect()
    }
}

fn place(what: &str, text: &str) -> String {
    format!("{what} \"{text}\"")
}

#[cfg(test)]
mod tests;
