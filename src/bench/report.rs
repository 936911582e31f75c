//! What a bench has measured, as data: for the table, for JSON, and for the page.

use serde::Serialize;

use super::{Machine, Spread, Stages};

/// Everything that was measured, and on what.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// The command, without the connection string.
    pub command: String,
    /// When it began, in UTC.
    pub begun: String,
    /// The version of this program.
    pub version: &'static str,
    /// How it was built: figures of a debug build are no measure.
    pub build: &'static str,
    /// The machine.
    pub machine: Machine,
    /// The version of the server that was read.
    pub server: String,
    /// What was read: the server's hosts, or that it is a throwaway server.
    pub source: String,
    /// The version of the throwaway server that was restored to; none if there was none.
    pub target: Option<String>,
    /// The mongo-tools on `PATH`.
    pub tools: Vec<Tool>,
    /// The documents.
    pub data: Data,
    /// Measured runs of each row. One before them warms the server and the caches.
    pub runs: usize,
    /// Cursors, and insert commands, at once.
    pub parallel: usize,
    /// How blocks were compressed.
    pub codec: String,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What holds a dump to the disk back, in a sentence.
    pub bottleneck: String,
    /// Dumps to nothing with other numbers of cursors and other codecs, if they were asked for.
    pub sweep: Option<Sweep>,
    /// What should have been measured and was not, with the reason.
    pub left_out: Vec<LeftOutRow>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// How long it all took.
    pub seconds: f64,
}

/// A program that this one is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it says that its version is.
    pub version: String,
}

/// What is dumped and restored.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Data {
    /// What it is, in a few words.
    pub what: String,
    /// All documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Each collection.
    pub collections: Vec<DataOf>,
}

/// The documents of one collection.
#[derive(Clone, Debug, Serialize)]
pub struct DataOf {
    /// Its name.
    pub namespace: String,
    /// Its documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Which way documents go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Out of a server.
    Dump,
    /// Into one.
    Restore,
}

/// One thing that was measured several times.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What: `dump to disk`.
    pub name: String,
    /// Which way documents go.
    pub way: Way,
    /// Whether it is a process of its own, which makes it comparable with other programs.
    pub is_process: bool,
    /// The command, or what of it is done within this process.
    pub command: String,
    /// How long it took.
    pub seconds: Spread,
    /// Bytes of documents a second, by the median.
    pub bytes_per_second: f64,
    /// Processor time of the client: the median.
    pub cpu_seconds: Option<f64>,
    /// The most memory that any run took; of processes alone.
    pub peak_bytes: Option<u64>,
    /// Bytes written: the median.
    pub written_bytes: Option<u64>,
    /// Where the time went, of dumps within this process.
    pub stages: Option<Stages>,
    /// Each run.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// How long it took.
    pub seconds: f64,
    /// Processor time of the client.
    pub cpu_seconds: Option<f64>,
    /// Its peak of memory.
    pub peak_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
    /// How far it was, several times a second.
    pub samples: Vec<Sample>,
}

/// How far a run was at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since it began.
    pub seconds: f64,
    /// Bytes of documents until then.
    pub bytes: u64,
}

/// What was left out.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOutRow {
    /// What.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Dumps to nothing with each number of cursors and each codec.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// The numbers of cursors.
    pub cursors: Vec<usize>,
    /// The codecs.
    pub codecs: Vec<String>,
    /// One cell for each of both.
    pub cells: Vec<Cell>,
}

/// One number of cursors with one codec.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Cursors at once.
    pub cursors: usize,
    /// The codec.
    pub codec: String,
    /// How long it took.
    pub seconds: Spread,
    /// Bytes of documents a second, by the median.
    pub bytes_per_second: f64,
    /// Bytes of the archive.
    pub written_bytes: u64,
}

impl Row {
    /// What these runs of `bytes` of documents come to.
    pub(super) fn new(name: &str, way: Way, is_process: bool, command: &str, bytes: u64, runs: Vec<Run>) -> Self {
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        let cpu: Vec<f64> = runs.iter().filter_map(|run| run.cpu_seconds).collect();
        let written: Vec<f64> = runs.iter().filter_map(|run| run.written_bytes).map(|bytes| bytes as f64).collect();
        Row {
            name: name.to_owned(),
            way,
            is_process,
            command: command.to_owned(),
            seconds,
            bytes_per_second: rate(bytes, seconds.median),
            cpu_seconds: (!cpu.is_empty()).then(|| Spread::of(cpu).median),
            peak_bytes: runs.iter().filter_map(|run| run.peak_bytes).max(),
            written_bytes: (!written.is_empty()).then(|| Spread::of(written).median as u64),
            stages: None,
            runs,
        }
    }
}

/// Bytes a second.
pub(super) fn rate(bytes: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 }
}

impl BenchReport {
    /// A row by its name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_middle_of_its_runs_and_their_highest_memory() {
        let run = |seconds, peak| Run { seconds, peak_bytes: Some(peak), ..Run::default() };
        let runs = vec![run(2.0, 5), run(1.0, 9), run(4.0, 7)];
        let row = Row::new("dump", Way::Dump, true, "dump", 100, runs);
        assert_eq!((row.seconds.median, row.bytes_per_second, row.peak_bytes), (2.0, 50.0, Some(9)));
        assert_eq!((row.cpu_seconds, row.written_bytes), (None, None));
        assert_eq!(Row::new("none", Way::Dump, true, "", 100, Vec::new()).bytes_per_second, 0.0);
    }
}
