//! The database that a connection string names: what it selects, and what is said where it is not there.

use mongodb::bson::{Document, doc};
use transload::sandbox::Release;

use super::{
    data::{client, collections, empty, fill, uri},
    terminal::{Ran, Terminal, snapshot},
};
use crate::servers::{own, shared};

#[tokio::test]
async fn of_an_archive_of_two_databases_only_what_goes_to_the_one_named_is_restored() {
    const DATABASES: [&str; 2] = ["cli_one_of_two", "cli_other_of_two"];
    let terminal = Terminal::new();
    for database in DATABASES {
        fill(&client().await, database).await;
    }
    let all = shared(Release::V6_0_5).await.uri();
    terminal.run(&["dump", &all, "a.tlz", "--include", "cli_*_of_two.*"]).ends_with(0);
    for database in DATABASES {
        client().await.database(database).drop().await.unwrap();
    }
    let restored = terminal.run(&["restore", "a.tlz", &empty(DATABASES[0]).await]).ends_with(0);
    assert_eq!(collections(DATABASES[0]).await, ["events", "orders"]);
    assert_eq!(collections(DATABASES[1]).await, Vec::<String>::new());
    let refused = terminal.run(&["restore", "a.tlz", &empty("cli_none_of_two").await]).ends_with(1);
    assert_eq!(collections("cli_none_of_two").await, Vec::<String>::new());
    snapshot("target-database", &[restored, refused]);
}

#[tokio::test]
async fn what_is_there_instead_of_a_database_is_listed_up_to_ten() {
    let (terminal, set) = (Terminal::new(), own(Release::V6_0_5).await);
    let missing = uri(&set, "shopp");
    let mut runs: Vec<Ran> = vec![
        terminal.run(&["dump", &set.uri(), "a.tlz"]).ends_with(1),
        terminal.run(&["dump", &missing, "a.tlz"]).ends_with(1),
    ];
    let client = set.client().await.unwrap();
    for databases in [1..2, 2..11, 11..13] {
        for number in databases {
            let orders = client.database(&format!("shop_{number:02}")).collection::<Document>("orders");
            orders.insert_one(doc! {}).await.unwrap();
        }
        runs.push(terminal.run(&["dump", &missing, "a.tlz"]).ends_with(1));
    }
    snapshot("databases", &runs);
}
