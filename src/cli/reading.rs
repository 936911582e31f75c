//! Arguments of how a source is read, for who knows it better than the defaults.

use clap::Args;

use crate::{connect::Reads, dump::Cursors, scan::MOST_PARTS};

/// The cursors of a `--parallel`.
pub(super) fn cursors(parallel: Option<u16>) -> Cursors {
    parallel.map_or(Cursors::Adapting, |parallel| Cursors::Fixed(usize::from(parallel)))
}

/// How a source is read.
#[derive(Args, Clone, Debug)]
pub(super) struct ReadingArguments {
    /// Cut each collection into so many parts, each for one cursor, or fewer if it is small [default: by its size]
    #[arg(long, value_name = "N", help_heading = "Reading", value_parser = clap::value_parser!(u16).range(1..=MOST_PARTS as i64), env = "TRANSLOAD_PARTS", hide_env_values = true)]
    pub(super) parts: Option<u16>,
    /// Read documents from these members of the replica set, whatever the connection string says
    ///
    /// MODE is primary, primaryPreferred, secondary, secondaryPreferred or nearest. Behind it, the tags that members must
    /// have, all of them, and how far they may be behind: `secondary,dc:east,use:reports,maxStalenessSeconds=120`. The catalog, and what a migration copies anew at its cutover, are
    /// read from the primary all the same.
    #[arg(
        long,
        value_name = "MODE[,TAG:VALUE...][,maxStalenessSeconds=N]",
        help_heading = "Reading",
        env = "TRANSLOAD_READ_PREFERENCE",
        hide_env_values = true
    )]
    pub(super) read_preference: Option<Reads>,
}
