//! Where the time of a dump went, and what held it back.
//!
//! The rule for the bottleneck: of cursors that wait for the server, cursors that copy, the cores that compress and sum up,
//! and the one thread that writes, it is the one that was busy for the largest share of the time that it had. Cursors had the
//! time that they waited, copied, or were held back by what comes behind them; the cores and the writer had the whole time. Cursors
//! that wait until others have taken their replies out of memory are more than are needed: that time counts for nothing.
//!
//! Cursors that wait the most need not wait for the server: if they are done much sooner where nothing else is done, as `drain`
//! shows, it is the cores of this machine that they wait for, which a server on it may share.

use std::time::Duration;

use serde::Serialize;

use crate::timing::{Stage, Timing};

/// A share below which nothing was busy enough to be what everything waited for.
const IDLE: f64 = 0.5;
/// The share of a dump's time in which its cursors alone must be done for the server not to be what they waited for.
const MUCH_SOONER: f64 = 0.75;

/// Where the time of a dump went: the mean of its runs.
#[derive(Clone, Debug, Serialize)]
pub struct Stages {
    /// Each stage, in the order in which documents pass it.
    pub stages: Vec<StageTime>,
    /// Seconds in which cursors could not go on, for what comes behind them did not keep up; of all cursors together.
    pub held_seconds: f64,
    /// Seconds in which cursors waited until others had taken their replies, for which together there is so much memory; of all
    /// cursors together.
    pub memory_seconds: f64,
    /// What held the dump back, in a sentence.
    pub bottleneck: String,
}

/// The time of one stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageTime {
    /// Which: `server`, `copy`, `compress`, `checksum`, `write`.
    pub stage: &'static str,
    /// Seconds of all who were at it, together.
    pub seconds: f64,
    /// Its share of the seconds of all stages.
    pub share: f64,
}

/// The seconds of a run, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Busy {
    /// The whole time.
    pub(super) wall: f64,
    pub(super) server: f64,
    pub(super) copy: f64,
    pub(super) held: f64,
    pub(super) memory: f64,
    pub(super) compress: f64,
    pub(super) checksum: f64,
    pub(super) write: f64,
}

impl Busy {
    pub(super) fn of(timing: &Timing, wall: Duration) -> Self {
        let seconds = |stage| timing.time(stage).as_secs_f64();
        Busy {
            wall: wall.as_secs_f64(),
            server: seconds(Stage::Server),
            copy: seconds(Stage::Copy),
            held: seconds(Stage::Held),
            memory: seconds(Stage::Memory),
            compress: seconds(Stage::Compress),
            checksum: seconds(Stage::Checksum),
            write: seconds(Stage::Write),
        }
    }

    /// The mean of several runs.
    pub(super) fn mean(runs: &[Busy]) -> Self {
        let mean = |of: fn(&Busy) -> f64| runs.iter().map(of).sum::<f64>() / (runs.len().max(1) as f64);
        Busy {
            wall: mean(|run| run.wall),
            server: mean(|run| run.server),
            copy: mean(|run| run.copy),
            held: mean(|run| run.held),
            memory: mean(|run| run.memory),
            compress: mean(|run| run.compress),
            checksum: mean(|run| run.checksum),
            write: mean(|run| run.write),
        }
    }

    /// What it comes to, on so many cores, where the archive goes to `output`, and the cursors alone take `drained` seconds.
    pub(super) fn report(&self, cores: usize, output: &str, drained: Option<f64>) -> Stages {
        let all = [
            ("server", self.server),
            ("copy", self.copy),
            ("compress", self.compress),
            ("checksum", self.checksum),
            ("write", self.write),
        ];
        let sum: f64 = all.iter().map(|(_, seconds)| seconds).sum();
        let one = |(stage, seconds): (&'static str, f64)| StageTime { stage, seconds, share: ratio(seconds, sum) };
        Stages {
            stages: all.map(one).into(),
            held_seconds: self.held,
            memory_seconds: self.memory,
            bottleneck: self.bottleneck(cores, output, drained),
        }
    }

    fn bottleneck(&self, cores: usize, output: &str, drained: Option<f64>) -> String {
        let of_cursors = self.server + self.copy + self.held;
        let (server, copy) = (ratio(self.server, of_cursors), ratio(self.copy, of_cursors));
        let pool = ratio(self.compress + self.checksum, self.wall * cores as f64);
        let write = ratio(self.write, self.wall);
        let larger = if self.compress >= self.checksum { "compression" } else { "checksums" };
        let alone = ratio(drained.unwrap_or(self.wall), self.wall);
        let waited = format!("cursors waited {} of their time", percent(server));
        let waited_for = match drained.is_some() && alone < MUCH_SOONER {
            true => format!(
                "the cores of this machine: {waited}, though alone they need {} of the time of the dump",
                percent(alone)
            ),
            false => format!("the server: {waited}"),
        };
        let suspects = [
            (server, waited_for),
            (copy, format!("copying: cursors copied documents {} of their time", percent(copy))),
            (
                pool,
                format!("{larger}: compression and checksums took {} of the time of {}", percent(pool), count(cores)),
            ),
            (write, format!("{output}: the writer wrote {} of the time", percent(write))),
        ];
        let busiest = suspects.into_iter().max_by(|one, other| one.0.total_cmp(&other.0));
        match busiest {
            Some((share, sentence)) if share >= IDLE => sentence,
            Some((share, sentence)) if share > 0.0 => format!("nothing alone; the busiest was {sentence}"),
            _ => "nothing: no document was read".to_owned(),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share.min(1.0) * 100.0)
}

fn count(cores: usize) -> String {
    if cores == 1 { "the one core".to_owned() } else { format!("{cores} cores") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_what_is_busy_for_the_largest_share_of_its_time() {
        let none = Busy { wall: 10.0, ..Busy::default() };
        for (busy, sentence) in [
            (
                Busy { server: 36.8, copy: 2.0, held: 1.2, compress: 5.0, ..none },
                "the server: cursors waited 92 % of their time",
            ),
            (Busy { server: 10.0, copy: 30.0, ..none }, "copying: cursors copied documents 75 % of their time"),
            (
                Busy { server: 5.0, held: 33.0, compress: 17.0, checksum: 2.0, ..none },
                "compression: compression and checksums took 95 % of the time of 2 cores",
            ),
            (
                Busy { server: 5.0, held: 33.0, compress: 1.0, checksum: 17.0, ..none },
                "checksums: compression and checksums took 90 % of the time of 2 cores",
            ),
            (Busy { server: 5.0, held: 33.0, write: 9.7, ..none }, "the disk: the writer wrote 97 % of the time"),
            (
                Busy { server: 3.0, copy: 2.0, held: 5.0, ..none },
                "nothing alone; the busiest was the server: cursors waited 30 % of their time",
            ),
            (Busy { server: 9.0, copy: 1.0, memory: 90.0, ..none }, "the server: cursors waited 90 % of their time"),
            (none, "nothing: no document was read"),
        ] {
            for drained in [None, Some(9.0)] {
                assert_eq!(busy.bottleneck(2, "the disk", drained), sentence);
            }
        }
    }

    #[test]
    fn cursors_that_are_much_faster_alone_do_not_wait_for_the_server() {
        let busy = Busy { wall: 10.0, server: 33.2, copy: 4.0, held: 2.8, compress: 7.0, ..Busy::default() };
        let sentence = "the cores of this machine: cursors waited 83 % of their time, though alone they need 51 % of the time of the dump";
        assert_eq!(busy.bottleneck(2, "the disk", Some(5.1)), sentence);
        assert_eq!(busy.bottleneck(2, "the disk", Some(9.9)), "the server: cursors waited 83 % of their time");
    }

    #[test]
    fn shares_are_of_the_busy_time_of_all_stages() {
        let busy = Busy {
            wall: 9.0,
            server: 6.0,
            copy: 1.0,
            held: 50.0,
            memory: 9.0,
            compress: 2.0,
            checksum: 0.5,
            write: 0.5,
        };
        let report = busy.report(1, "the disk", None);
        assert_eq!((report.held_seconds, report.memory_seconds), (50.0, 9.0));
        assert_eq!(report.stages.iter().map(|stage| stage.share).sum::<f64>(), 1.0);
        assert_eq!((report.stages[0].stage, report.stages[0].share), ("server", 0.6));
        let nothing = Busy::default().report(1, "the disk", None);
        assert!(nothing.stages.iter().all(|stage| stage.share == 0.0));
    }

    #[test]
    fn the_mean_is_of_all_runs() {
        let runs = [Busy { write: 1.0, ..Busy::default() }, Busy { write: 3.0, ..Busy::default() }];
        assert_eq!((Busy::mean(&runs).write, Busy::mean(&[]).write), (2.0, 0.0));
    }
}
