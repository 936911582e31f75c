//! A plan: everything read, nothing changed.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    archive::{ArchivePlan, Beside},
    collection::{Collection, describe},
    files::FilesPlan,
    place::PlaceKind,
    report::{Action, CheckReport, CheckedIndex, RepairReport, RepairResult, RepairedIndex},
    server::{self, ServerPlan},
    sidecar::SidecarPlan,
};
use crate::{
    catalog::index_spec::{NEWEST, Sanitized},
    connect::{Server, Version},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::Progress,
    selection::Selection,
};

/// What is to be looked at, and for whom.
#[derive(Clone, Debug)]
pub struct IndexesOptions {
    /// Which collections.
    pub selection: Selection,
    /// The version of the server that the specs must suit; [`NEWEST`] for all of them.
    pub target: Version,
    /// Where the journal of a repair on a server stands; empty for the directory that the process runs in.
    pub directory: PathBuf,
}

/// What is wrong in a place, and what would be done about it.
#[derive(Debug)]
pub struct Plan {
    report: CheckReport,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Server(Box<ServerPlan>),
    Archive(ArchivePlan),
    Sidecar(SidecarPlan),
    Files(FilesPlan),
}

/// Looks at the indexes of a server.
///
/// # Errors
/// When the server refuses, or the selection matches nothing.
pub async fn plan_server(server: &Server, options: &IndexesOptions, progress: &dyn Progress) -> Result<Plan> {
    let (plan, warnings, missing) = ServerPlan::read(server, options, progress).await?;
    let how = |collection: &Collection, index: &Sanitized| server::how(collection, index);
    let mut report = report(server.place(), PlaceKind::Server, options, &plan.collections, how)?;
    (report.warnings, report.missing) = (warnings, missing);
    report.journal = plan.journal.is_left().then(|| plan.journal.path.display().to_string());
    report.left_over = plan.unfinished.left().collect();
    for collection in &plan.unfinished.lost {
        for index in &collection.indexes {
            let lost = describe(&collection.namespace, index, PlaceKind::Server, None)?;
            let reason = plan.unfinished.blocked(&collection.namespace, &index.name).map(str::to_owned);
            report.lost.push(CheckedIndex { action: Action::Rebuild, reason, ..lost });
        }
    }
    Ok(Plan { report, work: Work::Server(Box::new(plan)) })
}

/// Looks at the indexes in a file or directory of this kind.
///
/// # Errors
/// When it cannot be read, is not of that kind, or the selection matches nothing.
pub fn plan_file(kind: PlaceKind, path: &Path, options: &IndexesOptions) -> Result<Plan> {
    let mut warnings = Vec::new();
    let (work, collections) = match kind {
        PlaceKind::Sidecar => {
            let (plan, collections) = SidecarPlan::read(path, options, &mut warnings)?;
            (Work::Sidecar(plan), collections)
        }
        PlaceKind::Mongodump => {
            let plan = FilesPlan::read(path, options, &mut warnings)?;
            let collections = plan.collections().cloned().collect();
            (Work::Files(plan), collections)
        }
        PlaceKind::Server => {
            return Err(Error::new(ErrorKind::Usage, "is a server, and no file").at(path.display().to_string()));
        }
        PlaceKind::Archive => {
            let (plan, collections) = ArchivePlan::read(path, options, &mut warnings)?;
            (Work::Archive(plan), collections)
        }
    };
    let mut report = report(path.display().to_string(), kind, options, &collections, |_, _| None)?;
    report.warnings = warnings;
    Ok(Plan { report, work })
}

/// The same for one that is not going to be repaired: of an archive, what a restore would build from counts, and that is
/// the sidecar beside it if there is one.
///
/// # Errors
/// As [`plan_file`], and when a restore would refuse the sidecar.
pub fn check_file(kind: PlaceKind, path: &Path, options: &IndexesOptions) -> Result<CheckReport> {
    let mut warnings = Vec::new();
    if kind == PlaceKind::Archive
        && let Some(beside) = Beside::read(path, options, &mut warnings)?
    {
        let mut report = report(path.display().to_string(), kind, options, &beside.collections, |_, _| None)?;
        report.sidecar = Some(beside.path.display().to_string());
        (report.bad_in_archive, report.warnings) = (Some(beside.bad_in_archive), warnings);
        return Ok(report);
    }
    Ok(plan_file(kind, path, options)?.report)
}

impl Plan {
    /// What it is about.
    pub fn report(&self) -> &CheckReport {
        &self.report
    }

    /// Where the journal of a repair on a server is going to stand.
    pub fn journal(&self) -> Option<&Path> {
        match &self.work {
            Work::Server(plan) => Some(&plan.journal.path),
            _ => None,
        }
    }

    /// Whether there is anything to do: some bad indexes cannot be helped, and some lost ones not yet.
    pub fn has_work(&self) -> bool {
        let can_be_built = self.report.lost.iter().any(|index| index.reason.is_none());
        let unfinished = can_be_built || !self.report.left_over.is_empty();
        unfinished || self.report.bad.iter().any(|index| index.action != Action::Refuse)
    }

    /// Does what it says. On a server `cancel` stops it between two indexes.
    ///
    /// # Errors
    /// When a file, as the journal of a repair on a server, cannot be written. What fails on a server is in the report.
    pub async fn carry_out(self, progress: Arc<dyn Progress>, cancel: CancellationToken) -> Result<RepairReport> {
        let check = self.report;
        let result = |action| match action {
            Action::Repair | Action::Rebuild => RepairResult::Repaired,
            Action::Merge => RepairResult::Merged,
            Action::Refuse => RepairResult::Left,
        };
        let of_file = check.bad.iter().map(|index| RepairedIndex {
            namespace: index.namespace.clone(),
            index: index.index.clone(),
            result: result(index.action),
            reason: index.reason.clone(),
        });
        let mut report = RepairReport {
            place: check.place,
            kind: check.kind,
            indexes: of_file.collect(),
            files: Vec::new(),
            dropped: Vec::new(),
            journal: None,
            resumed: false,
            retries: 0,
            interrupted: false,
            warnings: check.warnings,
            missing: check.missing,
        };
        match self.work {
            Work::Server(plan) => plan.carry_out(&mut report, progress.as_ref(), &cancel).await?,
            Work::Archive(plan) => plan.carry_out(&mut report, progress.as_ref())?,
            Work::Sidecar(plan) => plan.carry_out(&mut report)?,
            Work::Files(plan) => plan.carry_out(&mut report)?,
        }
        Ok(report)
    }
}

/// Which of these collections are selected; what the user wrote to no effect goes to the warnings.
pub(super) fn selected(
    names: &[Namespace],
    options: &IndexesOptions,
    warnings: &mut Vec<String>,
) -> Result<HashSet<Namespace>> {
    let resolved = options.selection.resolve(names)?;
    warnings.extend(resolved.warnings);
    Ok(resolved.selected.into_iter().map(|selected| selected.source).collect())
}

fn report(
    place: String,
    kind: PlaceKind,
    options: &IndexesOptions,
    collections: &[Collection],
    how: impl Fn(&Collection, &Sanitized) -> Option<String>,
) -> Result<CheckReport> {
    let (mut bad, mut routine) = (Vec::new(), Vec::new());
    for collection in collections {
        for index in &collection.indexes {
            if index.is_bad() {
                bad.push(describe(&collection.namespace, index, kind, how(collection, index))?);
            } else if !index.repairs.is_empty() {
                routine.push(describe(&collection.namespace, index, kind, None)?);
            }
        }
    }
    Ok(CheckReport {
        place,
        kind,
        target_version: (options.target != NEWEST).then(|| options.target.to_string()),
        collections: collections.len(),
        indexes: collections.iter().map(|collection| collection.indexes.len()).sum(),
        bad,
        routine,
        lost: Vec::new(),
        left_over: Vec::new(),
        journal: None,
        sidecar: None,
        bad_in_archive: None,
        warnings: Vec::new(),
        missing: Vec::new(),
    })
}
