//! Which indexes a restore will build: what the sidecar says, fit for the target, and proven on it.

use std::{collections::HashMap, path::PathBuf};

use transload_format::{Collection, Contents};

use super::{Plan, Planned, RestoreOptions};
use crate::{
    archive::ArchiveFile,
    catalog::{
        self, Claim, Scratches,
        index_spec::{Author, Context, NEWEST, Repair, RepairKind, Sanitized, Verdict, sanitize, sanitize_beside},
        sidecar::{CleanIndex, CollectionIndexes, Sidecar, SidecarText, sidecar_path},
    },
    connect::{Server, Version},
    document,
    error::{Error, ErrorKind, Result},
};

/// Where the index specs come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IndexSource {
    /// The sidecar beside the archive; without one, the specs inside the archive.
    #[default]
    Beside,
    /// This sidecar.
    File(PathBuf),
    /// None are built but those that come with the collections.
    None,
}

/// What is done about a spec that is not as servers take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IndexPolicy {
    /// It is repaired, and the repair reported.
    #[default]
    Repair,
    /// The restore is refused, before a document is written.
    Strict,
    /// The index is left out, and reported as missing.
    Skip,
}

/// The indexes of one collection.
#[derive(Clone, Debug, Default)]
pub struct IndexPlan {
    /// What will be built, in this order.
    pub build: Vec<CleanIndex>,
    /// What will not.
    pub left: Vec<LeftIndex>,
}

/// An index that will not be built.
#[derive(Clone, Debug)]
pub struct LeftIndex {
    /// Its name.
    pub name: String,
    /// Its spec, as it came.
    pub spec: Vec<u8>,
    /// The index that serves for it; none if something is missing without it.
    pub served_by: Option<String>,
    /// Why.
    pub reason: String,
    /// What was changed, or would have been.
    pub repairs: Vec<Repair>,
}

/// The sidecar that counts for an archive.
pub(super) fn sidecar(source: &IndexSource, archive: Option<&ArchiveFile>, contents: &Contents) -> Result<Sidecar> {
    let id = contents.header().id.to_string();
    let collections = || contents.namespaces().iter().map(|namespace| &namespace.collection);
    let names: Vec<_> = collections().map(|collection| (collection.namespace.as_str(), collection.kind)).collect();
    let beside = archive.map(|archive| sidecar_path(archive.name().as_ref())).filter(|path| path.exists());
    match (source, beside) {
        (IndexSource::None, _) => Ok(Sidecar::default()),
        (IndexSource::File(path), _) if path.is_dir() => {
            Err(Error::new(ErrorKind::Usage, "is a directory: name the sidecar in it").at(path.display().to_string()))
        }
        (IndexSource::File(path), _) => Sidecar::read_for(path, &id, &names),
        (IndexSource::Beside, Some(path)) => Sidecar::read_for(&path, &id, &names),
        (IndexSource::Beside, None) => Ok(Sidecar::derive(Some(id), collections())),
    }
}

impl IndexPlan {
    /// The plan for a collection whose indexes are these.
    ///
    /// # Errors
    /// When a spec has an option that no server knows: the sidecar is clean when it is written, so that is a slip of
    /// whoever edited it, and leaving it out would make another index than was meant.
    pub(super) fn new(
        indexes: Option<(&CollectionIndexes, Option<&SidecarText>)>,
        collection: &Collection,
        target: Version,
        policy: IndexPolicy,
    ) -> Result<Self> {
        let mut plan = IndexPlan::default();
        let Some((indexes, text)) = indexes else {
            return Ok(plan);
        };
        let specs: Vec<Vec<u8>> = indexes.indexes.iter().map(|index| index.spec.clone()).collect();
        let context = Context { options: &collection.options, target, author: Author::Person };
        for (index, sanitized) in indexes.indexes.iter().zip(sanitize(&specs, &context)) {
            if let Some(slip) = sanitized.repairs.iter().find(|repair| repair.kind == RepairKind::UnknownOption) {
                let message = format!("the sidecar gives it the option '{}': {}", slip.field, slip.reason);
                let error = Error::new(ErrorKind::Usage, message)
                    .with_hint("mend it there")
                    .at(format!("{} of {}", sanitized.name, collection.namespace));
                let place =
                    |text: &SidecarText| (text.path(), text.line(&collection.namespace, &sanitized.name, &slip.field));
                return Err(match text.map(place) {
                    Some((path, line)) => error.at(format!("line {line}")).at(path),
                    None => error,
                });
            }
            let sanitized = placed(sanitized, index, &collection.namespace, text);
            let original = index.original.as_ref().unwrap_or(&index.spec).clone();
            let repairs: Vec<Repair> = index.repairs.iter().cloned().chain(sanitized.repairs).collect();
            let is_bad = repairs.iter().any(|repair| !repair.kind.is_routine());
            let (served_by, reason) = match sanitized.verdict {
                Verdict::Inherent => continue,
                Verdict::Build(_) if is_bad && policy == IndexPolicy::Skip => {
                    (None, "it would have to be repaired, and bad indexes are to be left out".to_owned())
                }
                Verdict::Build(spec) => {
                    let original = (spec != original).then_some(original);
                    plan.build.push(CleanIndex { spec, original, repairs });
                    continue;
                }
                Verdict::Merged(other) => {
                    let reason = format!("{other} serves for it");
                    (Some(other), reason)
                }
                Verdict::Refused(reason) => (None, reason),
            };
            plan.left.push(LeftIndex { name: sanitized.name, spec: original, served_by, reason, repairs });
        }
        for left in indexes.not_built.iter().cloned() {
            // What no new server builds, as geoHaystack, an old one may.
            let context = Context { author: Author::Server, ..context };
            let built: Vec<Vec<u8>> = plan.build.iter().map(|index| index.spec.clone()).collect();
            let again = sanitize_beside(&built, &left.original, &context);
            if let Some((Verdict::Build(spec), repairs)) = again.map(|again| (again.verdict, again.repairs))
                && left.served_by.is_none()
            {
                let original = (spec != left.original).then_some(left.original);
                plan.build.push(CleanIndex { spec, original, repairs });
                continue;
            }
            let (name, spec, served_by, reason) = (left.name, left.original, left.served_by, left.reason);
            plan.left.push(LeftIndex { name, spec, served_by, reason, repairs: left.repairs });
        }
        Ok(plan)
    }

    /// How many indexes the source had that the target will not have.
    pub fn missing(&self) -> usize {
        self.left.iter().filter(|left| left.served_by.is_none()).count()
    }

    /// Takes out what the target has refused, and says why.
    fn refuse(&mut self, reasons: Vec<Option<String>>) {
        let mut kept = Vec::new();
        for (index, reason) in std::mem::take(&mut self.build).into_iter().zip(reasons) {
            match reason {
                None => kept.push(index),
                Some(reason) => {
                    let (name, repairs) = (catalog::sidecar::index_name(&index.spec), index.repairs);
                    self.left.push(LeftIndex { name, spec: index.spec, served_by: None, reason, repairs });
                }
            }
        }
        self.build = kept;
    }

    /// What is wrong with it, a line for each index.
    fn complaints<'a>(&'a self, planned: &'a Planned) -> impl Iterator<Item = String> + 'a {
        let repaired = self.build.iter().flat_map(move |index| {
            let name = catalog::sidecar::index_name(&index.spec);
            let bad = index.repairs.iter().filter(|repair| !repair.kind.is_routine());
            bad.map(move |repair| format!("{} {name}: {repair}", planned.source))
        });
        let left = self.left.iter().map(move |left| format!("{} {}: {}", planned.source, left.name, left.reason));
        repaired.chain(left)
    }
}

/// The same, with the file and the line of what is a slip of whoever edited the sidecar, whatever the target is.
fn placed(mut sanitized: Sanitized, index: &CleanIndex, namespace: &str, text: Option<&SidecarText>) -> Sanitized {
    const SLIPS: [RepairKind; 4] = [RepairKind::Type, RepairKind::Null, RepairKind::KeyValue, RepairKind::Name];
    let Some(text) = text else {
        return sanitized;
    };
    let place = |name: &str, option: &str| format!(" ({}, line {})", text.path(), text.line(namespace, name, option));
    let name = sanitized.name.clone();
    for repair in sanitized.repairs.iter_mut().filter(|repair| SLIPS.contains(&repair.kind)) {
        let (option, _) = repair.field.split_once('.').unwrap_or((&repair.field, ""));
        repair.reason.push_str(&place(&name, option));
    }
    if let Verdict::Refused(reason) = &mut sanitized.verdict {
        let newest = Context { options: &document::EMPTY, target: NEWEST, author: Author::Person };
        let alone = sanitize(std::slice::from_ref(&index.spec), &newest);
        if alone.iter().any(|alone| alone.verdict == Verdict::Refused(reason.clone())) {
            reason.push_str(&place(&name, "key"));
        }
    }
    sanitized
}

/// Proves all specs on the target, and refuses the restore if the policy is strict and any of them is bad. Whether it
/// could be proven.
pub(super) async fn prove(
    server: &Server,
    scratches: &Scratches,
    plan: &mut Plan,
    options: &RestoreOptions,
) -> Result<bool> {
    let proven = {
        let with_indexes = plan.collections().filter(|planned| !planned.indexes.build.is_empty());
        let claim = |planned: &'_ Planned| {
            let specs = planned.indexes.build.iter().map(|index| index.spec.clone()).collect::<Vec<_>>();
            (planned.id, planned.target.database().to_owned(), planned.collection.clone(), specs)
        };
        let owned: Vec<_> = with_indexes.map(claim).collect();
        let claims: Vec<Claim<'_>> = owned
            .iter()
            .map(|(_, database, collection, specs)| Claim {
                database,
                collection,
                specs: specs.iter().map(Vec::as_slice).collect(),
            })
            .collect();
        let Some(reasons) = catalog::prove(server, scratches, &claims, options.parallel).await? else {
            refuse_bad(plan, options.index_policy)?;
            return Ok(false);
        };
        owned.iter().map(|(id, ..)| *id).zip(reasons).collect::<HashMap<_, _>>()
    };
    plan.for_each_index_plan(|id, indexes| {
        if let Some(reasons) = proven.get(&id) {
            indexes.refuse(reasons.clone());
        }
    });
    refuse_bad(plan, options.index_policy)?;
    Ok(true)
}

/// Lists everything that is wrong, if anything is and the policy is strict.
pub(super) fn refuse_bad(plan: &Plan, policy: IndexPolicy) -> Result<()> {
    if policy != IndexPolicy::Strict {
        return Ok(());
    }
    let complaints: Vec<String> = plan.collections().flat_map(|planned| planned.indexes.complaints(planned)).collect();
    if complaints.is_empty() {
        return Ok(());
    }
    let message = format!("bad index specs, and they are to be refused:\n  {}", complaints.join("\n  "));
    Err(Error::new(ErrorKind::BadIndexes, message).with_hint(
        "--index-policy repair builds what can be built; 'transload indexes repair' mends them where they are",
    ))
}
