//! Two streams of documents that are sorted by `_id`, as the server's index is: merged, and nothing is kept.

use super::{ledger::Ledger, stream::Stream};
use crate::{changes::key::compare, document, error::Result};

/// Compares two streams.
///
/// # Errors
/// When a side cannot be read.
pub(super) async fn merge(left: &mut Stream, right: &mut Stream, ledger: &mut Ledger<'_>) -> Result<()> {
    loop {
        let (more_left, more_right) = futures_util::try_join!(left.fill(), right.fill())?;
        if !more_left && !more_right {
            return Ok(());
        }
        loop {
            let (one, other) = (left.current(), right.current());
            // Where nothing is in memory, more may be to come.
            let waits = one.is_none() && more_left || other.is_none() && more_right;
            if waits || one.is_none() && other.is_none() {
                break;
            }
            let (takes_left, takes_right) = match (one, other) {
                (Some(one), Some(other)) => first(one, other),
                _ => (true, true),
            };
            ledger.compare(one.filter(|_| takes_left), other.filter(|_| takes_right))?;
            if takes_left {
                left.advance();
            }
            if takes_right {
                right.advance();
            }
        }
    }
}

/// Which of two documents comes first: one of them, or both where they have one `_id`.
fn first(left: &[u8], right: &[u8]) -> (bool, bool) {
    match (document::id(left), document::id(right)) {
        (Some(one), Some(other)) if one.whole == other.whole => (true, true),
        (Some(one), Some(other)) => {
            let order = compare(&one, &other);
            (order.is_le(), order.is_ge())
        }
        (None, None) => (true, true),
        (one, _) => (one.is_none(), one.is_some()),
    }
}
