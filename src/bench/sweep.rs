//! Dumps to nothing with each number of cursors and each codec: which to choose here.

use transload_format::Codec;

use super::{
    BenchOptions, Cell, Spread, Sweep,
    contender::{Contender, Place, What, in_turns},
    report::rate,
};
use crate::{archive::Destination, error::Result};

/// The numbers of cursors that are tried.
pub const CURSORS: [usize; 4] = [1, 2, 4, 8];
/// The codecs that are tried.
pub const CODECS: [Codec; 4] = [Codec::None, Codec::Deflate(1), Codec::Zstd(1), Codec::Zstd(3)];

/// Tries all of them, and what the options say besides.
pub(super) async fn sweep(options: &BenchOptions, place: &Place, bytes: u64) -> Result<Sweep> {
    let mut cursors: Vec<usize> = CURSORS.into_iter().chain([options.parallel]).collect();
    cursors.sort_unstable();
    cursors.dedup();
    let mut codecs = CODECS.to_vec();
    if !codecs.contains(&options.codec) {
        codecs.push(options.codec);
    }
    let each = cursors.iter().flat_map(|cursors| codecs.iter().map(|codec| (*cursors, *codec)));
    let each: Vec<(usize, Codec)> = each.collect();
    let contender = |(cursors, codec): &(usize, Codec)| {
        let name = format!("{cursors} cursors, {codec}");
        Contender::new(name, String::new(), What::Dump(Destination::Nothing, *codec), *cursors)
    };
    let mut contenders: Vec<Contender> = each.iter().map(contender).collect();
    in_turns(&mut contenders, options.runs, place, None, async || Ok(())).await?;
    let cell = |((cursors, codec), contender): (&(usize, Codec), &Contender)| {
        let seconds = contender.seconds();
        let written = Spread::of(contender.runs.iter().filter_map(|run| run.written_bytes).map(|bytes| bytes as f64));
        Cell {
            cursors: *cursors,
            codec: codec.to_string(),
            seconds,
            bytes_per_second: rate(bytes, seconds.median),
            written_bytes: written.median as u64,
        }
    };
    let cells = each.iter().zip(&contenders).map(cell).collect();
    Ok(Sweep { cursors, codecs: codecs.iter().map(Codec::to_string).collect(), cells })
}
