//! What ends a stream, whether it can go on, and what the operator can do when it cannot.

use mongodb::error::{Error as DriverError, ErrorKind as DriverErrorKind};

use super::Watch;
use crate::{
    connect::{Retry, Version, retry},
    error::{Error, ErrorKind},
};

/// Why a cursor of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFailure {
    /// The server, its primary, the connection or the cursor is gone: it goes on behind the last token.
    Passing(Retry),
    /// The oplog does not reach back to the position any more (286).
    HistoryLost,
    /// The server gives the stream up (280).
    Fatal,
    /// The oplog has rolled over the place that the cursor was at (136).
    PositionLost,
    /// The token is of a stream that has ended, or of another one (260).
    TokenRefused,
    /// The token stands between the fragments of a large event, and the stream must ask for fragments.
    InsideFragments,
    /// An event is over 16 MB (10334).
    EventTooLarge,
    /// The UUID of a collection on a shard is not what the router knows (SERVER-36154).
    IdentityDiffers,
    /// The user may not watch it (13).
    NotAuthorized,
    /// There is no oplog, and so no streams (40573).
    Standalone,
    /// The server does not serve majority reads (148).
    NoMajorityReads,
    /// Anything else.
    Refused,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Open it again behind the last token.
    Reopen(Retry),
    /// Open a new one behind the token of the one that ended.
    StartAfter,
    /// Ask for fragments, or else for less of the event.
    AskForLess,
    /// It would fail again.
    Stop,
}

/// What a server says that lacks the code of its own for it: SERVER-36154.
const UUID_DIFFERS: &str = "UUID differs from UUID on change stream operations";
/// In the message of a server that refuses a fragment's token.
const SPLIT: &str = "$changeStreamSplitLargeEvent";

impl StreamFailure {
    /// What a driver's error is to a stream.
    pub fn of(error: &DriverError) -> Self {
        let DriverErrorKind::Command(command) = error.kind.as_ref() else {
            return match retry(error) {
                Retry::Stop => StreamFailure::Refused,
                again => StreamFailure::Passing(again),
            };
        };
        if command.message.contains(UUID_DIFFERS) {
            return StreamFailure::IdentityDiffers;
        }
        match command.code {
            286 => StreamFailure::HistoryLost,
            280 if command.message.contains(SPLIT) => StreamFailure::InsideFragments,
            280 => StreamFailure::Fatal,
            136 => StreamFailure::PositionLost,
            260 => StreamFailure::TokenRefused,
            10334 => StreamFailure::EventTooLarge,
            13 => StreamFailure::NotAuthorized,
            40573 => StreamFailure::Standalone,
            148 => StreamFailure::NoMajorityReads,
            // MaxTimeMSExpired: the server was too slow to look through its oplog, and has come further.
            50 => StreamFailure::Passing(Retry::Now),
            code => match crate::connect::retry_code(code) {
                // What a server adds to this list in later releases it marks with a label.
                Retry::Stop if error.contains_label("ResumableChangeStreamError") => {
                    StreamFailure::Passing(Retry::BackOff)
                }
                // StaleEpoch.
                Retry::Stop if code == 150 => StreamFailure::Passing(Retry::BackOff),
                Retry::Stop => StreamFailure::Refused,
                again => StreamFailure::Passing(again),
            },
        }
    }

    pub(super) fn step(self) -> Step {
        match self {
            StreamFailure::Passing(retry) => Step::Reopen(retry),
            StreamFailure::TokenRefused => Step::StartAfter,
            StreamFailure::EventTooLarge | StreamFailure::InsideFragments => Step::AskForLess,
            StreamFailure::HistoryLost
            | StreamFailure::Fatal
            | StreamFailure::PositionLost
            | StreamFailure::IdentityDiffers
            | StreamFailure::NotAuthorized
            | StreamFailure::Standalone
            | StreamFailure::NoMajorityReads
            | StreamFailure::Refused => Step::Stop,
        }
    }

    /// It in words, with what the operator can do; `None` for what the driver's own error says as well.
    pub(super) fn explained(self, watch: &Watch) -> Option<Error> {
        let server = |message: &str, hint: &str| Some(Error::new(ErrorKind::Server, message).with_hint(hint));
        match self {
            StreamFailure::Passing(_) | StreamFailure::Refused => None,
            StreamFailure::HistoryLost => server(
                "the source's oplog does not reach back to the position any more: events are lost (286)",
                "only a new copy helps, captured into a new directory; let the capture run without long pauses, or have the \
                 source keep more of its oplog (replSetResizeOplog)",
            ),
            StreamFailure::PositionLost => server(
                "the source's oplog has rolled over what the stream was reading: events are lost (136)",
                "only a new copy helps, captured into a new directory; the stream was slower than the source's writes: have \
                 the source keep more of its oplog (replSetResizeOplog)",
            ),
            StreamFailure::Fatal => server(
                "the server has given the stream up for good (280)",
                "only a new copy helps, captured into a new directory; the server's log tells why it gave the stream up",
            ),
            StreamFailure::TokenRefused | StreamFailure::InsideFragments => server(
                "the server does not know the position of the stream (260)",
                "the position is of another deployment, or of a stream of something else: capture into a new directory, \
                 and copy anew",
            ),
            StreamFailure::EventTooLarge => server(
                "an event is larger than the server can send, even without its documents (10334)",
                "only a new copy helps, captured into a new directory",
            ),
            StreamFailure::IdentityDiffers => server(
                match watch {
                    Watch::Collection(_) => {
                        "a shard and the router know the collection by different UUIDs (SERVER-36154)"
                    }
                    _ => "a shard and the router know a collection by different UUIDs (SERVER-36154)",
                },
                "run { _flushRoutingTableCacheUpdates: 'DATABASE.COLLECTION' } on the primary of each shard, and start \
                 again; if that does not help, leave the collection out here and copy it while nobody writes to it",
            ),
            StreamFailure::NotAuthorized => Some(
                Error::new(ErrorKind::Authorization, format!("not authorized to watch {watch}"))
                    .with_hint(watch.privilege()),
            ),
            StreamFailure::Standalone => Some(standalone()),
            StreamFailure::NoMajorityReads => server(
                "the server does not serve majority reads, which change streams are made of (148)",
                "restart its members without enableMajorityReadConcern: false",
            ),
        }
    }
}

/// The error for a server that is no member of a replica set: it keeps no oplog.
pub fn standalone() -> Error {
    Error::new(ErrorKind::Server, "the server is not a member of a replica set, and keeps no record of changes").with_hint(
        "restart it with --replSet NAME and run rs.initiate(), which makes a replica set of this one member; or copy it while \
         nobody writes to it",
    )
}

/// Whether a server can send events over 16 MB in fragments.
pub(super) fn splits_events(version: Version) -> bool {
    match (version.major, version.minor) {
        (6, 0) => version.patch >= 9,
        (major, _) => major >= 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_stream_has_a_remedy() {
        use StreamFailure::*;
        for failure in [
            HistoryLost,
            Fatal,
            PositionLost,
            TokenRefused,
            InsideFragments,
            EventTooLarge,
            IdentityDiffers,
            NotAuthorized,
            Standalone,
            NoMajorityReads,
        ] {
            let error = failure.explained(&Watch::Database("shop".to_owned())).unwrap();
            assert!(error.hint().is_some(), "{failure:?}");
        }
        let error = NotAuthorized.explained(&Watch::Database("shop".to_owned())).unwrap();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Authorization, "not authorized to watch the database shop")
        );
    }

    #[test]
    fn releases_that_split_large_events_are_known() {
        for (version, splits) in [((5, 0, 30), false), ((6, 0, 8), false), ((6, 0, 9), true), ((7, 0, 0), true)] {
            assert_eq!(splits_events(Version::new(version.0, version.1, version.2)), splits, "{version:?}");
        }
    }
}
