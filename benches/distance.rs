//! A dump of a source that is far away, by the number of cursors: what finding out how many are best comes to.
//!
//! `cargo bench --bench distance -- [--scale 1] [--runs 3] [--round-trip 0,50,200]`. The orders of the shop, read through
//! connections on which whatever is said to the server arrives so many milliseconds late, and thrown away. A, B, B, A.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use transload::{
    archive::Destination,
    bench::Spread,
    connect::{Uri, connect},
    dump::{Cursors, DumpOptions, dump},
    progress::Silent,
    report::DumpReport,
    sandbox::{Distance, ReplicaSet, ReplicaSetOptions, ServerBinary},
    scan::{PART_BYTES, ReadOrder},
    selection::{Selection, SelectionOptions},
    shop::{self, Shop},
};

use arguments::Arguments;

const CURSORS: [Cursors; 5] =
    [Cursors::Fixed(1), Cursors::Fixed(4), Cursors::Fixed(8), Cursors::Fixed(16), Cursors::Adapting];

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 3));
    let round_trips = arguments.value("--round-trip", "0,50,200".to_owned());
    let server = ServerBinary::find(&|message| println!("{message}")).await.expect("a server");
    let mut options = ReplicaSetOptions::new(server);
    options.cache_gb = 2.0;
    let set = ReplicaSet::start(&options).await.expect("a source");
    let source = connect(&Uri::read(&set.uri()).expect("a connection string").0, 4).await.expect("connected");
    shop::load(&source, "shop", &Shop { seed: 1, scale }).await.expect("loaded");
    println!("orders at scale {scale}; medians of {runs} runs\n");
    for round_trip in round_trips.split(',') {
        let round_trip = Duration::from_millis(round_trip.parse().expect("milliseconds"));
        let distance = Distance::to(&set, round_trip).await.expect("a way");
        let mut reports: [Vec<DumpReport>; CURSORS.len()] = Default::default();
        for round in 0..=runs {
            let mut turns: Vec<usize> = (0..CURSORS.len()).collect();
            if round % 2 == 1 {
                turns.reverse();
            }
            for turn in turns {
                let report = read(distance.uri(), CURSORS[turn]).await;
                // The first round warms the server.
                if round > 0 {
                    reports[turn].push(report);
                }
            }
        }
        println!("{} ms there and back", round_trip.as_millis());
        for (cursors, reports) in CURSORS.iter().zip(&reports) {
            let median = |of: fn(&DumpReport) -> f64| Spread::of(reports.iter().map(of)).median;
            let seconds: Vec<String> = reports.iter().map(|report| format!("{:.3}", report.seconds)).collect();
            println!(
                "  {:<10} {:>7.2} s {:>6.0} MB/s, {} cursors at most",
                format!("{cursors:?}"),
                median(|report| report.seconds),
                median(|report| report.bytes as f64 / 1e6 / report.seconds),
                median(|report| report.cursors as f64),
            );
            println!("    {}", seconds.join(" "));
        }
    }
}

async fn read(uri: &str, cursors: Cursors) -> DumpReport {
    let server = connect(&Uri::read(uri).expect("a connection string").0, cursors.most()).await.expect("connected");
    let include = vec!["shop.orders".to_owned()];
    let selection = SelectionOptions { include, ..SelectionOptions::default() };
    let options = DumpOptions {
        selection: Selection::new(&selection).expect("a selection"),
        destination: Destination::Nothing,
        codec: "none".parse().expect("a codec"),
        cursors,
        part_bytes: PART_BYTES,
        parts: None,
        read_order: ReadOrder::default(),
        max_rate: None,
        users_and_roles: false,
        consistent: false,
    };
    dump(&server, options, Arc::new(Silent), CancellationToken::new()).await.expect("dumped")
}
