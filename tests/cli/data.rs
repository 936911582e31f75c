//! Small data to copy, each test's in a database of its own on the shared server.

use mongodb::{
    Client, Database, IndexModel,
    bson::{Binary, Document, doc, spec::BinarySubtype},
};
use transload::sandbox::{Release, ReplicaSet};

use super::terminal::Terminal;
use crate::servers::shared;

pub(crate) const ORDERS: u64 = 120;
pub(crate) const EVENTS: u64 = 3;

/// Two collections of small documents, one with an index.
pub(crate) async fn fill(client: &Client, database: &str) {
    let database = client.database(database);
    let orders = database.collection::<Document>("orders");
    let order = |id: u64| doc! { "_id": id as i32, "status": if id.is_multiple_of(2) { "paid" } else { "open" }, "code": id as i64 };
    orders.insert_many((0..ORDERS).map(order)).await.unwrap();
    orders.create_index(IndexModel::builder().keys(doc! { "status": 1 }).build()).await.unwrap();
    let event = |id: u64| doc! { "_id": format!("e{id}"), "what": "came" };
    database.collection::<Document>("events").insert_many((0..EVENTS).map(event)).await.unwrap();
}

/// `count` documents of 128 KiB that do not compress.
pub(crate) async fn fill_large(client: &Client, database: &str, count: u64) {
    let blobs = client.database(database).collection::<Document>("blobs");
    let mut state = 1_u64;
    for id in 0..count {
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let bytes = (0..128 * 1024).map(|_| noise()).collect();
        blobs
            .insert_one(doc! { "_id": id as i32, "bytes": Binary { subtype: BinarySubtype::Generic, bytes } })
            .await
            .unwrap();
    }
}

/// The connection string of a database.
pub(crate) fn uri(set: &ReplicaSet, database: &str) -> String {
    set.uri().replace("/?", &format!("/{database}?"))
}

pub(crate) async fn client() -> Client {
    shared(Release::V6_0_5).await.client().await.unwrap()
}

/// A connection string of the shared server, with nothing in the database.
pub(crate) async fn empty(database: &str) -> String {
    uri(shared(Release::V6_0_5).await, database)
}

/// The same of a filled database.
pub(crate) async fn shop(database: &str) -> String {
    fill(&client().await, database).await;
    empty(database).await
}

/// The same on another server.
pub(crate) async fn shop_on(set: &ReplicaSet, database: &str) -> String {
    fill(&set.client().await.unwrap(), database).await;
    uri(set, database)
}

/// `a.tlz`, an archive of a filled database that is dropped again.
pub(crate) async fn archive(terminal: &Terminal, database: &str) {
    let uri = shop(database).await;
    terminal.run(&["dump", &uri, "a.tlz", "--parallel", "1"]).ends_with(0);
    client().await.database(database).drop().await.unwrap();
}

pub(crate) async fn collections(database: &str) -> Vec<String> {
    let mut names = client().await.database(database).list_collection_names().await.unwrap();
    names.sort();
    names
}

/// Commands that wait, or fail.
pub(crate) struct FailPoint {
    admin: Database,
    /// How many commands it had met when it was set.
    before: i64,
}

impl FailPoint {
    /// Waits until it has met a command.
    pub(crate) async fn begun(&self) {
        let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": self.before + 1, "maxTimeMS": 60_000 };
        self.admin.run_command(wait).await.unwrap();
    }
}

/// Makes commands of clients that call themselves `name` wait, or fail.
pub(crate) async fn fail_point(set: &ReplicaSet, name: &str, mode: Document, mut data: Document) -> FailPoint {
    data.insert("appName", name);
    let admin = set.member_client(set.primary().await.unwrap()).await.unwrap().database("admin");
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    let before = admin.run_command(command).await.unwrap();
    let before = before.get_i64("count").or_else(|_| before.get_i32("count").map(i64::from)).unwrap();
    FailPoint { admin, before }
}
