//! Specs in a sidecar, which a person may have edited.

use std::{
    mem,
    path::{Path, PathBuf},
};

use super::{
    collection::Collection,
    plan::{IndexesOptions, selected},
    report::RepairReport,
};
use crate::{
    catalog::{
        index_spec::{Author, Sanitized, Verdict},
        sidecar::{CleanIndex, CollectionIndexes, NotBuilt, Sidecar},
    },
    error::{Error, Result},
    namespace::Namespace,
};

/// A sidecar as it is to be.
#[derive(Debug)]
pub(super) struct SidecarPlan {
    path: PathBuf,
    sidecar: Sidecar,
    has_work: bool,
}

impl SidecarPlan {
    pub(super) fn read(
        path: &Path,
        options: &IndexesOptions,
        warnings: &mut Vec<String>,
    ) -> Result<(Self, Vec<Collection>)> {
        let mut sidecar = Sidecar::read(path)?;
        let at = |error: Error| error.at(path.display().to_string());
        let names = sidecar.collections.iter().map(|collection| Namespace::parse(&collection.namespace));
        let names: Vec<Namespace> = names.collect::<Result<_>>().map_err(at)?;
        let chosen = selected(&names, options, warnings)?;
        let left_out: usize = sidecar.collections.iter().map(missing).sum();
        let mut collections = Vec::new();
        for (name, kept) in names.into_iter().zip(&mut sidecar.collections).filter(|(name, _)| chosen.contains(name)) {
            let specs: Vec<Vec<u8>> = kept.indexes.iter().map(|index| index.spec.clone()).collect();
            let collection = Collection::check(name, &specs, &kept.options, options.target, Author::Person);
            clean(kept, &collection.indexes);
            collections.push(collection);
        }
        if left_out > 0 {
            warnings
                .push(format!("under \"not_built\" it has {left_out} that a target will lack; they are not looked at"));
        }
        let has_work = collections.iter().any(|collection| collection.bad().next().is_some());
        Ok((SidecarPlan { path: path.to_owned(), sidecar, has_work }, collections))
    }

    pub(super) fn carry_out(self, report: &mut RepairReport) -> Result<()> {
        if self.has_work {
            self.sidecar.write(&self.path)?;
            report.files.push(self.path.display().to_string());
        }
        Ok(())
    }
}

/// The indexes of a collection that a target will lack.
fn missing(collection: &CollectionIndexes) -> usize {
    collection.not_built.iter().filter(|index| index.served_by.is_none()).count()
}

/// Makes clean what stands in the sidecar. What was repaired before stays in it, and so does what the source had.
fn clean(kept: &mut CollectionIndexes, indexes: &[Sanitized]) {
    for (mut index, sanitized) in mem::take(&mut kept.indexes).into_iter().zip(indexes) {
        if sanitized.repairs.is_empty() && !sanitized.is_bad() {
            kept.indexes.push(index);
            continue;
        }
        index.repairs.extend(sanitized.repairs.iter().cloned());
        let (reason, served_by) = match &sanitized.verdict {
            Verdict::Build(_) | Verdict::Inherent => {
                let spec = sanitized.to_build().map_or_else(|| sanitized.without_removed(), <[u8]>::to_vec);
                let before = mem::replace(&mut index.spec, spec);
                let original = index.original.take().or_else(|| (before != index.spec).then_some(before));
                kept.indexes.push(CleanIndex { original, ..index });
                continue;
            }
            Verdict::Merged(other) => (format!("{other} serves for it"), Some(other.clone())),
            Verdict::Refused(reason) => (reason.clone(), None),
        };
        let (name, original) = (sanitized.name.clone(), index.original.unwrap_or(index.spec));
        kept.not_built.push(NotBuilt { name, original, served_by, reason, repairs: index.repairs });
    }
}

#[cfg(test)]
mod tests {
    use bson::{raw::RawBsonRef, rawdoc};

    use super::*;
    use crate::catalog::index_spec::RepairKind;

    #[test]
    fn what_is_edited_in_is_cleaned_and_what_was_there_stays() {
        let index =
            |spec: bson::RawDocumentBuf| CleanIndex { spec: spec.into_bytes(), original: None, repairs: Vec::new() };
        let mut repaired = index(rawdoc! { "key": { "a": 1 }, "name": "a_1", "safe": RawBsonRef::Null });
        repaired.original = Some(rawdoc! { "key": { "a": true }, "name": "a_1" }.into_bytes());
        let good = index(rawdoc! { "key": { "b": 1 }, "name": "b_1" });
        let twice = index(rawdoc! { "key": { "b": 1.0 }, "name": "b again" });
        let never = index(rawdoc! { "key": { "c": "nonsense" }, "name": "c" });
        let mut kept = CollectionIndexes {
            indexes: vec![repaired.clone(), good.clone(), twice, never],
            ..CollectionIndexes::new("shop.orders".to_owned())
        };
        let specs: Vec<_> = kept.indexes.iter().map(|index| index.spec.clone()).collect();
        let name = Namespace::parse("shop.orders").unwrap();
        let target = crate::catalog::index_spec::NEWEST;
        clean(&mut kept, &Collection::check(name, &specs, &crate::document::EMPTY, target, Author::Person).indexes);
        assert_eq!(kept.indexes.len(), 2);
        assert_eq!(kept.indexes[0].original, repaired.original);
        assert_eq!(kept.indexes[0].repairs[0].kind, RepairKind::UnknownOption);
        assert_eq!(kept.indexes[1], good);
        assert_eq!(kept.not_built[0].served_by.as_deref(), Some("b_1"));
        assert_eq!(kept.not_built[1].served_by, None);
    }
}
