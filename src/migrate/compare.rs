//! The comparison at the end of a cutover: which of its differences count, and against what.

use std::time::{Duration, Instant};

use bson::rawdoc;
use transload_format::CollectionType;

use super::{
    Migration, MigrationReport,
    control::{CutoverRequest, Verify},
};
use crate::{
    catalog::Entry,
    connect::{Doing, Server},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    scan::PART_BYTES,
    selection::Selection,
    verify::{Sampled, Side, VerifyOptions, verify},
};

/// Documents of each collection that a sample compares.
const SAMPLE: u64 = 1000;
/// How long differences are looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// The same where documents expire: servers look for such once a minute.
const RECHECK_EXPIRING: Duration = Duration::from_secs(70);
/// Differences that a report names.
const NAMED: usize = 20;
/// The seed of a sample: the same documents each time.
const SEED: u64 = 1;

impl Migration {
    /// Compares the target with the source as the request wants it, and notes what differs.
    pub(super) async fn compare(&self, request: &CutoverRequest, report: &mut MigrationReport) -> Result<()> {
        let begun = Instant::now();
        let entries = self.selected_on_source().await?;
        match request.verify {
            _ if entries.is_empty() => {}
            Verify::None => {}
            Verify::Counts => self.compare_counts(&entries, report).await?,
            Verify::Full => self.compare_documents(&entries, None, report).await?,
            Verify::Sample => {
                let sample = Sampled { documents: SAMPLE, seed: SEED };
                self.compare_documents(&entries, Some(sample), report).await?;
            }
        }
        report.verify_seconds = begun.elapsed().as_secs_f64();
        Ok(())
    }

    async fn compare_documents(
        &self,
        entries: &[Entry],
        sample: Option<Sampled>,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let names: Vec<Namespace> = entries.iter().map(|entry| entry.namespace.clone()).collect();
        // An interrupted comparison was of another time.
        let findings = self.paths.findings();
        match std::fs::remove_file(&findings) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&findings, error)),
            _ => {}
        }
        let options = VerifyOptions {
            // What else the target has is no matter of this migration.
            selection: self.selection.only(&names)?,
            ignore_field_order: false,
            sample,
            recheck: Some(self.recheck_for(report)),
            findings,
            parallel: self.options.parallel,
            part_bytes: PART_BYTES,
        };
        let (left, right) = (Side::Server(self.source.reading_primary()), Side::Server(self.target.clone()));
        let compared = self.while_following(async {
            verify(left, right, options, self.board.of_cutover(), self.cancel.clone()).await?.finish()
        });
        let compared = compared.await?;
        report.compared = compared.documents.left.max(compared.documents.right);
        report.documents_different = compared.documents.differences();
        report.differences.extend(compared.discrepancies.iter().take(NAMED).map(ToString::to_string));
        let differing = compared.namespaces.iter().filter(|one| one.documents.differences() > 0);
        report.differences.extend(differing.take(NAMED).map(|one| {
            format!(
                "{}: {} documents differ, {} compared",
                one.namespace,
                one.documents.differences(),
                one.documents.left
            )
        }));
        report.failed.extend(compared.missing.iter().map(|missing| format!("not compared: {missing}")));
        report.warnings.extend(compared.warnings);
        Ok(())
    }

    /// How long differences are looked at again: where documents expire, each side deletes them when it gets around to it.
    fn recheck_for(&self, report: &MigrationReport) -> Duration {
        let expires = report.mended.iter().any(|what| what.contains("expireAfterSeconds"));
        if expires { RECHECK_EXPIRING } else { RECHECK }
    }

    /// Goes on following the source meanwhile: a server deletes what expires, whatever writes it refuses.
    async fn while_following<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let stop = self.cancel.child_token();
        let mut following = std::pin::pin!(self.replay(None, &stop));
        let mut work = std::pin::pin!(work);
        let done = tokio::select! {
            done = &mut work => done,
            followed = &mut following => {
                followed?;
                return Err(Error::interrupted());
            }
        };
        stop.cancel();
        following.await?;
        done
    }

    async fn compare_counts(&self, entries: &[Entry], report: &mut MigrationReport) -> Result<()> {
        let selection = Selection::new(&self.selection)?;
        for entry in entries.iter().filter(|entry| entry.collection.kind != CollectionType::View) {
            let Some(target) = selection.target(&entry.namespace)? else { continue };
            let (left, right) =
                futures_util::try_join!(count(&self.source, &entry.namespace), count(&self.target, &target))?;
            report.compared += left.max(right);
            if left != right {
                report.documents_different += left.abs_diff(right);
                report
                    .differences
                    .push(format!("{}: {left} documents on the source, {right} on the target", entry.namespace));
            }
        }
        Ok(())
    }
}

/// How many documents a collection has, counted.
async fn count(server: &Server, namespace: &Namespace) -> Result<u64> {
    let doing = Doing::new(format!("count {namespace}"), "find", namespace.database());
    let group = rawdoc! { "$group": { "_id": null, "n": { "$sum": 1_i64 } } };
    let command = rawdoc! { "aggregate": namespace.collection(), "pipeline": [group], "cursor": {} };
    let found = server.reading_primary().documents(namespace.database(), command, &doing).await?;
    let Some(first) = found.first() else { return Ok(0) };
    let number = document::find(first, b"n").and_then(|n| n.value.try_into().ok().map(u64::from_le_bytes));
    number.ok_or_else(|| Error::new(ErrorKind::Server, format!("the server does not count {namespace}")))
}
