//! Users who may do little: what is missing is said in lines, each with what would help.

use mongodb::bson::{Bson, doc};

use super::{findings, found, verdicts};
use crate::{
    cli::{
        PASSWORD,
        data::{client, empty},
        fill,
        terminal::{Ran, Terminal},
    },
    router::Router,
    servers::{Guarded, guarded},
};

/// Makes a user of the guarded server who has nothing but a role of these privileges.
async fn make_user(guarded: &Guarded, name: &str, privileges: &[(&str, &str, &[&str])]) {
    let admin = guarded.client().await.database("admin");
    let one = |(db, collection, actions): &(&str, &str, &[&str])| {
        Bson::Document(doc! { "resource": { "db": *db, "collection": *collection }, "actions": actions.to_vec() })
    };
    let privileges: Vec<Bson> = privileges.iter().map(one).collect();
    admin.run_command(doc! { "createRole": name, "privileges": privileges, "roles": [] }).await.unwrap();
    admin.run_command(doc! { "createUser": name, "pwd": PASSWORD, "roles": [name] }).await.unwrap();
}

/// Every line that is not well says what to do, and none says nothing.
#[track_caller]
fn helps(ran: &Ran) {
    let all = findings(ran);
    assert!(all.len() > 2, "{ran}");
    for finding in all {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        assert!(!text("found").is_empty(), "{finding}");
        assert_eq!(text("verdict") == "ok", text("remedy").is_empty(), "{finding}");
    }
}

#[tokio::test]
async fn whoever_may_not_list_is_told_what_to_grant() {
    let (terminal, guarded) = (Terminal::new(), guarded().await);
    let ran = terminal.run(&["check", &guarded.uri("nobody", "/shop"), "--json"]).ends_with(1);
    let privileges = found(&ran, "privileges");
    assert!(privileges.contains("shop: the user lacks find, listCollections, listIndexes, changeStream"), "{ran}");
    assert!(privileges.contains("the role 'read' on 'shop' grants it"), "{ran}");
    let ran = terminal.run(&["check", &guarded.uri("nobody", "/"), "--json"]).ends_with(1);
    let privileges = found(&ran, "privileges");
    assert!(privileges.contains("lacks listDatabases") && privileges.contains("'readAnyDatabase' on 'admin'"), "{ran}");
    assert!(ran.stderr.is_empty() && ran.lines().len() == 1, "lines, and no error: {ran}");
    // One database that may be read is not all of them.
    let ran = terminal.run(&["check", &guarded.uri("reader", "/"), "--json"]).ends_with(1);
    assert!(found(&ran, "privileges").contains("lacks listDatabases"), "{ran}");
    assert!(!verdicts(&ran).contains(&"ok source privileges".to_owned()), "{ran}");
    assert!(found(&ran, "members").contains("cannot be seen"), "{ran}");
}

/// What is let through can be moved, too.
#[tokio::test]
async fn privileges_on_the_selected_collections_alone_are_enough_to_move_them() {
    let (terminal, guarded) = (Terminal::new(), guarded().await);
    fill(&guarded.client().await, "cli_check_single").await;
    let read: &[&str] = &["find", "listIndexes", "changeStream", "collStats"];
    let single: [(&str, &str, &[&str]); 2] =
        [("cli_check_single", "", &["listCollections"]), ("cli_check_single", "orders", read)];
    make_user(guarded, "single", &single).await;
    let source = guarded.uri("single", "/cli_check_single");
    let ran = terminal.run(&["check", &source, "--json"]).ends_with(1);
    let privileges = found(&ran, "privileges");
    assert!(privileges.contains("cli_check_single: the user lacks find, listIndexes, changeStream on events"), "{ran}");
    let target = empty("cli_check_single").await;
    let arguments = [source.as_str(), &target, "--include", "orders"];
    let ran = terminal.run(&[&["check", "--json"][..], &arguments].concat()).ends_with(0);
    assert!(verdicts(&ran).contains(&"ok source privileges".to_owned()), "{ran}");
    helps(&ran);
    let cutover = ["--dir", "move", "--cutover", "when-caught-up"];
    terminal.run(&[&["migrate", "--quiet"][..], &arguments, &cutover].concat()).ends_with(0);
    let moved = client().await.database("cli_check_single").collection::<bson::Document>("orders");
    assert_eq!(moved.count_documents(doc! {}).await.unwrap(), crate::cli::data::ORDERS);
}

/// A rename of the application's is made on the target, too: by the privileges that a copy takes anyway, if need be.
#[tokio::test]
async fn a_target_user_who_may_copy_may_rename() {
    let (terminal, guarded) = (Terminal::new(), guarded().await);
    let actions = [
        "find",
        "insert",
        "update",
        "remove",
        "createCollection",
        "createIndex",
        "dropCollection",
        "dropIndex",
        "listCollections",
        "listIndexes",
        "collMod",
        "bypassDocumentValidation",
    ];
    make_user(guarded, "naming", &[("cli_check_named", "", &actions)]).await;
    let (source, target) = (guarded.uri("reader", "/shop"), guarded.uri("naming", "/cli_check_named"));
    let arguments = ["check", &source, &target, "--rename", "shop.*=cli_check_named.*", "--json"];
    let ran = terminal.run(&arguments).ends_with(0);
    assert!(verdicts(&ran).contains(&"ok target privileges".to_owned()), "{ran}");
    let user = mongodb::Client::with_uri_str(target).await.unwrap();
    for name in ["one", "other"] {
        user.database("cli_check_named").collection(name).insert_one(doc! { "of": name }).await.unwrap();
    }
    let [from, to] = ["one", "other"].map(|name| format!("cli_check_named.{name}"));
    let rename = doc! { "renameCollection": from, "to": to, "dropTarget": true };
    user.database("admin").run_command(rename).await.unwrap();
}

/// The router answers while the command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_that_is_not_well_says_what_to_do() {
    let (terminal, guarded) = (Terminal::new(), guarded().await);
    let router = Router::before(guarded.set(), |_| None).await;
    let routed = |user: &str| format!("mongodb://{user}:{PASSWORD}@{}/?authSource=admin", router.address());
    let rename = ["--rename", "shop.*=shop.copy_*", "--exclude", "shop.nothing_like_this", "--json"];
    for user in ["nobody", "finder", "reader", "writer"] {
        for path in ["/shop", "/"] {
            let uri = guarded.uri(user, path);
            helps(&terminal.run(&["check", &uri, "--json"]));
            helps(&terminal.run(&["check", &uri, &uri, "--json", "--fence-source", "--reverse-capture"]));
            if user != "nobody" {
                helps(&terminal.run(&[&["check", &uri, &uri][..], &rename].concat()));
            }
        }
        let ran =
            terminal.run(&["check", &routed(user), &routed(user), "--events-to", "target", "--json"]).ends_with(1);
        helps(&ran);
        assert!(verdicts(&ran).contains(&"warning source balancer".to_owned()), "{ran}");
    }
}
