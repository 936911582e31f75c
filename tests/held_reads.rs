//! The getMores of one client, held up by a failpoint that counts them: from the server itself a test knows how far a
//! dump is, whatever else that server is asked meanwhile.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::Client;
use transload::sandbox::ReplicaSet;

use crate::copy::Side;

/// For a dump to read something, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What becomes of a getMore that is held.
#[derive(Clone, Copy)]
pub(crate) enum Hold {
    /// It is late.
    For(Duration),
    /// It is late, and fails with this code.
    AndFail(Duration, i32),
}

/// The held reads of clients that call themselves by one name, on the member that was the primary.
pub(crate) struct HeldReads {
    member: Client,
    /// What the failpoint had counted when it was set.
    before: i64,
}

impl HeldReads {
    /// Holds the next `times` getMores of `application` on the primary.
    ///
    /// A server has one `failCommand`: it belongs on a set of the test's own. What holds is not to be exchanged while
    /// reads go on: the server lets them pass until those that it holds have ended.
    pub(crate) async fn new(set: &ReplicaSet, application: &str, times: i32, hold: Hold) -> Self {
        let (Hold::For(pause) | Hold::AndFail(pause, _)) = hold;
        let mut data = doc! {
            "failCommands": ["getMore"], "appName": application,
            "blockConnection": true, "blockTimeMS": i32::try_from(pause.as_millis()).unwrap(),
        };
        if let Hold::AndFail(_, code) = hold {
            data.insert("errorCode", code);
        }
        let member = set.member_client(set.primary().await.unwrap()).await.unwrap();
        let mut held = HeldReads { member, before: 0 };
        let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
        held.before = number(&held.admin(command).await, "count");
        held
    }

    /// Slows a dump by the engine down, so that something can happen in the middle of it.
    pub(crate) async fn of(side: &Side<'_>) -> Self {
        Self::new(side.set, side.database, 1000, Hold::For(Duration::from_millis(150))).await
    }

    /// Waits until this many getMores have begun. All but the last of them, and the find, have been answered, if they
    /// are one cursor's.
    pub(crate) async fn begun(&self, count: i64) {
        let limit = i64::try_from(LIMIT.as_millis()).unwrap();
        let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": self.before + count, "maxTimeMS": limit };
        self.admin(wait).await;
    }

    /// Lets reads go again.
    pub(crate) async fn release(&self) {
        self.admin(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await;
    }

    /// Kills the cursors that are open on a collection, and gives back how many there were.
    pub(crate) async fn kill_cursors(&self, database: &str, collection: &str) -> usize {
        let namespace = format!("{database}.{collection}");
        let stages = vec![
            doc! { "$currentOp": { "allUsers": true, "idleCursors": true } },
            doc! { "$match": { "ns": namespace, "cursor.cursorId": { "$exists": true } } },
        ];
        let found = self.admin(doc! { "aggregate": 1, "pipeline": stages, "cursor": {} }).await;
        let found = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let id =
            |operation: &bson::Bson| operation.as_document()?.get_document("cursor").ok()?.get_i64("cursorId").ok();
        let cursors: Vec<i64> = found.iter().filter_map(id).collect();
        let kill = doc! { "killCursors": collection, "cursors": cursors };
        let killed = self.member.database(database).run_command(kill).await.unwrap();
        killed.get_array("cursorsKilled").unwrap().len()
    }

    async fn admin(&self, command: Document) -> Document {
        self.member.database("admin").run_command(command).await.unwrap()
    }
}

fn number(reply: &Document, name: &str) -> i64 {
    reply.get_i64(name).or_else(|_| reply.get_i32(name).map(i64::from)).unwrap()
}
