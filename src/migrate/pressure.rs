//! Backs off when a server says that it has too much to do, or the disk of the work directory is nearly full: what is under way is
//! held, it is said why, and it goes on by itself.
//!
//! Held are copies, also those that are made anew at the cutover, and the replay while it catches up, by the target. A replay that
//! follows is not: it asks for one command at a time of each lane, and would only fall behind; and at a cutover, which the
//! application waits for, nothing else writes to the target.

use std::{path::Path, time::Duration};

use bson::{Bson, Document, rawdoc};

use super::{
    Migration,
    board::{Board, Waiting},
};
use crate::{
    brake::Brake,
    connect::{Doing, Server},
    error::ErrorKind,
};

/// How often a server, or the disk, is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often in a row a server has to say so.
const IN_A_ROW: usize = 2;
/// Operations that wait in a server, from which on it has too much to do.
const QUEUED: i64 = 100;
/// The share of a disk, one in so many, that is left free.
const SHARE: u64 = 20;
/// No more than this is left free.
const ENOUGH: u64 = 256 << 20;

impl Migration {
    /// Copies, held back as long as a server has too much to do, or the disk is nearly full.
    pub(super) async fn copied_with_care<T>(&self, work: impl Future<Output = T>) -> T {
        let (board, brakes) = (&*self.board, &self.brakes);
        let watching = async {
            tokio::join!(
                watch_server(board, &self.source, Waiting::Source, &brakes.source, "the copy"),
                watch_server(board, &self.target, Waiting::Target, &brakes.target, "the copy"),
                watch_disk(board, self.paths.directory(), &brakes.disk),
            )
        };
        self.watched(watching, work).await
    }

    /// Catches up, held back as long as the target has too much to do.
    pub(super) async fn caught_up_with_care<T>(&self, work: impl Future<Output = T>) -> T {
        let watching = watch_server(&self.board, &self.target, Waiting::Target, &self.brakes.target, "catching up");
        self.watched(watching, work).await
    }

    /// Does some work and watches meanwhile, in one task: what is over is held by nobody who was late.
    async fn watched<T, W>(&self, watching: impl Future<Output = W>, work: impl Future<Output = T>) -> T {
        let watching = async {
            watching.await;
            std::future::pending().await
        };
        let done = tokio::select! {
            done = work => done,
            done = watching => done,
        };
        let brakes = [
            (Waiting::Source, &self.brakes.source),
            (Waiting::Target, &self.brakes.target),
            (Waiting::Disk, &self.brakes.disk),
        ];
        for (who, brake) in brakes {
            brake.hold(false);
            self.board.is_held(who, None);
        }
        done
    }
}

/// Watches a server; `brake` is what it holds, and `what` that is called. Who may not ask it (role `clusterMonitor`) goes on without.
async fn watch_server(board: &Board, server: &Server, who: Waiting, brake: &Brake, what: &str) {
    let server = server.reading_primary().with_patience(Duration::ZERO);
    let doing = Doing::new("ask how busy the server is", "serverStatus", "admin");
    let status = rawdoc! { "serverStatus": 1, "metrics": 0, "locks": 0, "tcmalloc": 0, "transactions": 0 };
    let mut in_a_row = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let busy = match server.run("admin", status.clone(), &doing).await {
            Ok(status) => busy(&status),
            Err(error) if error.kind() == ErrorKind::Authorization => {
                board.log(None, &format!("{error}: its load is not watched"));
                brake.hold(false);
                board.is_held(who, None);
                return;
            }
            // It is not there, which others find out about.
            Err(_) => None,
        };
        in_a_row = if busy.is_some() { in_a_row + 1 } else { 0 };
        let why = busy.filter(|_| in_a_row >= IN_A_ROW);
        brake.hold(why.is_some());
        board.is_held(who, why.map(|why| format!("{}: {why}: {what} is held until that is over", server.place())));
    }
}

/// Watches the disk of a directory.
async fn watch_disk(board: &Board, directory: &Path, brake: &Brake) {
    loop {
        let least = |all: u64| (all / SHARE).min(ENOUGH);
        let why = free(directory).filter(|(free, all)| *free < least(*all));
        brake.hold(why.is_some());
        let why = why.map(|(_, all)| {
            let place = directory.display();
            format!("{place}: less than {} KiB free: reading is held until there is more room", least(all) >> 10)
        });
        board.is_held(Waiting::Disk, why);
        tokio::time::sleep(LOOK).await;
    }
}

/// The bytes of a disk that are free for this user, and all.
fn free(directory: &Path) -> Option<(u64, u64)> {
    let status = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(status.f_frsize);
    Some((bytes(status.f_bavail), bytes(status.f_blocks)))
}

/// Why a server has too much to do, by what it says of itself.
fn busy(status: &Document) -> Option<String> {
    let number = |path: &[&str]| {
        let (last, folders) = path.split_last()?;
        let mut document = status;
        for folder in folders {
            document = document.get_document(folder).ok()?;
        }
        match document.get(last)? {
            Bson::Int32(number) => Some(i64::from(*number)),
            Bson::Int64(number) => Some(*number),
            _ => None,
        }
    };
    if number(&["globalLock", "currentQueue", "total"]).is_some_and(|queued| queued >= QUEUED) {
        return Some(format!("{QUEUED} operations and more are queued"));
    }
    // Where they are called so: from 7.0 on a server adjusts their number itself.
    for kind in ["read", "write"] {
        let tickets = |name| number(&["wiredTiger", "concurrentTransactions", kind, name]);
        if tickets("available") == Some(0) && tickets("out").is_some_and(|out| out > 0) {
            return Some(format!("all tickets for {kind}s are taken"));
        }
    }
    let lags = status.get_document("flowControl").ok().and_then(|flow| flow.get_bool("isLagged").ok());
    (lags == Some(true)).then(|| "its secondaries lag behind".to_owned())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_server_is_busy_when_it_says_so() {
        let with = |queued: i32, available: i32, lags: bool| {
            doc! {
                "globalLock": { "currentQueue": { "total": queued } },
                "wiredTiger": { "concurrentTransactions": { "read": { "out": 3, "available": 125 }, "write": { "out": 4, "available": available } } },
                "flowControl": { "isLagged": lags },
            }
        };
        assert_eq!(busy(&with(3, 124, false)), None);
        assert_eq!(busy(&with(250, 124, false)).unwrap(), "100 operations and more are queued");
        assert_eq!(busy(&with(3, 0, false)).unwrap(), "all tickets for writes are taken");
        assert_eq!(busy(&with(3, 124, true)).unwrap(), "its secondaries lag behind");
        assert_eq!(busy(&doc! {}), None);
    }
}
