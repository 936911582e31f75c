//! The comparison at the end of a cutover: which of its differences count, and against what.

use std::time::{Duration, Instant};

use bson::rawdoc;
use transload_format::CollectionType;

use super::{
    Migration, MigrationReport,
    collections::Now,
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
    verify::{Discrepancy, Sampled, Side, VerifyOptions, verify},
};

/// Documents of each collection that a sample compares.
const SAMPLE: u64 = 1000;
/// How long differences are looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// The same where documents expire: servers look for such once a minute.
const RECHECK_EXPIRING: Duration = Duration::from_secs(70);
/// The pause between two counts.
const AGAIN: Duration = Duration::from_millis(500);
/// Differences that a report names.
const NAMED: usize = 20;
/// The seed of a sample: the same documents each time.
const SEED: u64 = 1;

impl Migration {
    /// Compares the target with the source as the request wants it, and notes what differs. Gives back how many changes an
    /// application has made meanwhile.
    pub(super) async fn compare(&self, request: &CutoverRequest, report: &mut MigrationReport) -> Result<u64> {
        let begun = Instant::now();
        let catalog = self.selected_on_source().await?;
        report.failed.extend(catalog.missing.iter().map(|missing| format!("not compared: {missing}")));
        let entries = catalog.entries;
        if entries.is_empty() {
            report.failed.push("nothing that is selected is on the source any more".to_owned());
            return Ok(0);
        }
        let sample = Sampled { documents: SAMPLE, seed: SEED };
        let names: Vec<Namespace> = entries.iter().map(|entry| entry.namespace.clone()).collect();
        if request.verify != Verify::None {
            self.board.step("comparing");
            self.board.now(&names, || Now::Comparing);
        }
        let writes = match request.verify {
            Verify::None => 0,
            Verify::Counts => self.while_following(self.compare_counts(&entries, report)).await?.1,
            Verify::Full => self.compare_documents(&entries, None, report).await?,
            Verify::Sample => self.compare_documents(&entries, Some(sample), report).await?,
        };
        self.board.now(&names, Now::default);
        report.verify_seconds = begun.elapsed().as_secs_f64();
        Ok(writes)
    }

    async fn compare_documents(
        &self,
        entries: &[Entry],
        sample: Option<Sampled>,
        report: &mut MigrationReport,
    ) -> Result<u64> {
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
            recheck: Some(patience(entries)),
            findings,
            parallel: self.options.parallel,
            part_bytes: PART_BYTES,
        };
        let (left, right) = (Side::Server(self.source.reading_primary()), Side::Server(self.target.clone()));
        let compared = self.while_following(async {
            verify(left, right, options, self.board.of_cutover(), self.cancel.clone()).await?.finish()
        });
        let (compared, writes) = compared.await?;
        report.compared = compared.documents.left.max(compared.documents.right);
        report.documents_different = compared.documents.differences();
        for one in &compared.namespaces {
            self.has_compared(&Namespace::parse(&one.namespace)?, one.documents.left, one.documents.differences());
        }
        let discrepancies = compared.discrepancies.iter().filter(|one| !self.is_of_a_shard_key(one));
        report.differences.extend(discrepancies.take(NAMED).map(ToString::to_string));
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
        Ok(writes)
    }

    /// Whether what differs is the index that the server has made for the shard key of a collection.
    fn is_of_a_shard_key(&self, discrepancy: &Discrepancy) -> bool {
        let Some(sharding) = &self.sharding else { return false };
        let Ok(namespace) = Namespace::parse(&discrepancy.namespace) else { return false };
        let target = Selection::new(&self.selection).and_then(|selection| selection.target(&namespace));
        let key = target.ok().flatten().and_then(|target| sharding.key(&target).cloned());
        let name = key.map(|key| format!("index {}", key.index_name()));
        discrepancy.left.is_none() && name.as_ref() == Some(&discrepancy.what)
    }

    /// Goes on following the source meanwhile: a server deletes what expires, whatever writes it refuses. Gives back how many
    /// other changes there were.
    async fn while_following<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, u64)> {
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
        let followed = following.await?;
        let done = done?;
        Ok((done, self.writes_in(&followed).await?))
    }

    fn has_compared(&self, namespace: &Namespace, documents: u64, different: u64) {
        self.board.log(Some(namespace), &format!("compared, {documents} documents, {different} differ"));
    }

    async fn compare_counts(&self, entries: &[Entry], report: &mut MigrationReport) -> Result<()> {
        let selection = Selection::new(&self.selection)?;
        for entry in entries.iter().filter(|entry| entry.collection.kind != CollectionType::View) {
            let Some(target) = selection.target(&entry.namespace)? else { continue };
            let (begun, patience) = (Instant::now(), patience(std::slice::from_ref(entry)));
            let (left, right) = loop {
                let (left, right) =
                    futures_util::try_join!(count(&self.source, &entry.namespace), count(&self.target, &target))?;
                // What expires, each server deletes when it looks.
                if left == right || begun.elapsed() > patience {
                    break (left, right);
                }
                tokio::time::sleep(AGAIN).await;
            };
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

/// How long differences of some collections are looked at again.
fn patience(entries: &[Entry]) -> Duration {
    if entries.iter().any(expires) { RECHECK_EXPIRING } else { RECHECK }
}

/// Whether documents of a collection may expire.
pub(super) fn expires(entry: &Entry) -> bool {
    let is_told = |options: &[u8]| document::find(options, b"expireAfterSeconds").is_some();
    is_told(&entry.collection.options) || entry.collection.indexes.iter().any(|spec| is_told(spec))
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
