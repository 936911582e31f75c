//! A target that is as it was before, for the next turn.

use std::time::Duration;

use bson::doc;
use mongodb::Client;

/// Drops a database, and waits until its files are gone: a server keeps them for five minutes, for whoever reads what was, until
/// after many small collections it may open no more, and ends; and it is busy removing them meanwhile.
pub(crate) async fn drop_whole(client: &Client, database: &str) {
    let admin = client.database("admin");
    admin.run_command(doc! { "setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0 }).await.expect("set");
    client.database(database).drop().await.expect("dropped");
    loop {
        admin.run_command(doc! { "fsync": 1 }).await.expect("synced");
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.expect("told");
        let engine = status.get_document("storageEngine").expect("an engine");
        if engine.get_i64("dropPendingIdents").expect("a number") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
