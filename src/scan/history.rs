//! Reads as of a past cluster time: what a server has of it still, and the words for when it has it no more.
//!
//! A server keeps the history of its documents for `minSnapshotHistoryWindowInSeconds` (300 by default). As of any time
//! in it, it reads ordinary, clustered and time-series collections, but no capped ones, as 5.0.4, 6.0.5 and 6.0.27 show. A
//! collection that was created, renamed or made anew since cannot be read as of before (246); one that was dropped is
//! read as empty, without an error. Index builds and `collMod` are in nobody's way.

use crate::{
    catalog::{Entry, Order},
    changes::token::{in_words, seconds_behind},
    connect::{AsOf, Doing, Server, command},
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
};

/// The time is out of the window of history.
const SNAPSHOT_TOO_OLD: i32 = 239;
/// The collection cannot be read as of that time: it is capped, or was not there by this name.
const SNAPSHOT_UNAVAILABLE: i32 = 246;

/// Whether a collection can be read as it was at `time`: a document of it is asked for, or the lack of any. A member
/// that is behind waits until it has come that far, and until a majority has.
///
/// # Errors
/// When the time is out of the window of history, and what else the server says.
pub(crate) async fn is_readable_at(server: &Server, entry: &Entry, time: u64) -> Result<bool> {
    let mut find = RawBuilder::new();
    find.string("find", entry.data.collection()).int32("limit", 1).bool("singleBatch", true);
    find.embed("projection", |projection| {
        projection.int32("_id", 1);
    });
    find.embed("hint", |hint| {
        hint.int32(if entry.order == Order::Id { "_id" } else { "$natural" }, 1);
    });
    AsOf::Time(time).append_to(&mut find);
    let doing = Doing::new(format!("read {} as of one time", entry.data), "find", entry.data.database());
    let expected = |code: i32| [SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE].contains(&code).then_some(code);
    match server.documents_or(entry.data.database(), command(find.finish())?, &doing, expected).await? {
        Ok(_) => Ok(true),
        Err(SNAPSHOT_TOO_OLD) => Err(too_old(server, entry, time).await),
        Err(_) => Ok(false),
    }
}

/// What a code means that ended a read as of `time`, if it is about that time.
pub(super) async fn past(server: &Server, entry: &Entry, time: u64, code: i32) -> Option<Error> {
    match code {
        SNAPSHOT_TOO_OLD => Some(too_old(server, entry, time).await),
        SNAPSHOT_UNAVAILABLE => {
            let time = in_words(time);
            let message =
                format!("{} was renamed or made anew since {time}, and cannot be read as of before", entry.data);
            Some(Error::new(ErrorKind::Server, message).with_hint("dump again").at(server.place()))
        }
        _ => None,
    }
}

async fn too_old(server: &Server, entry: &Entry, time: u64) -> Error {
    // How long the window would have had to be. If the server does not tell, the hint holds without it.
    let ago = match server.operation_time().await {
        Ok(now) if now != 0 => format!(", {} s ago", seconds_behind(time, now)),
        _ => String::new(),
    };
    let message =
        format!("the server no longer keeps what {} was at the cluster time {}{ago}", entry.data, in_words(time));
    let hint = "let it keep more, on every member that is read: db.adminCommand({setParameter: 1, \
                minSnapshotHistoryWindowInSeconds: N}), N being more seconds than the dump takes (300 if nobody has \
                changed it), and dump again; or dump less at once, or when less is written; or dump without \
                --consistent, and replay changes onto the copy";
    Error::new(ErrorKind::Server, message).with_hint(hint).at(server.place())
}
