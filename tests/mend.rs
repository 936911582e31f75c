//! The catalog of a target becomes that of the source, at the end of a migration: options, indexes, views, and nothing
//! that was not selected.

use std::time::Duration;

use bson::{Document, doc, rawdoc};
use transload::{
    catalog::{Mended, mend},
    connect::{Server, Uri, connect},
    namespace::Namespace,
    progress::Silent,
    sandbox::Release,
    selection::{Selection, SelectionOptions},
};

use crate::{
    copy::Side,
    servers::{faulty, guarded, shared},
    verify::equal,
};

/// All of a database, under the name of the other one.
fn all(source: &Side<'_>, target: &Side<'_>) -> SelectionOptions {
    SelectionOptions {
        include: vec![format!("{}.*", source.database)],
        rename: vec![format!("{}.*={}.*", source.database, target.database)],
        ..SelectionOptions::default()
    }
}

/// What is told, without the name of the target's database.
fn lines(told: &[Mended], target: &Side<'_>) -> Vec<String> {
    let database = format!("{}.", target.database);
    let mut lines: Vec<String> = told.iter().map(|mended| mended.to_string().replacen(&database, "", 1)).collect();
    lines.sort();
    lines
}

/// Mends `target`; gives back what is told.
async fn mended_as(source: Server, target: &Side<'_>, options: SelectionOptions, known: &[String]) -> Vec<String> {
    let (server, selection) = (target.server_of_all().await, Selection::new(&options).unwrap());
    let known: Vec<Namespace> = known.iter().map(|name| Namespace::parse(name).unwrap()).collect();
    // As a verb may do it: on a task of its own.
    let mending = tokio::spawn(async move { mend(&source, &server, &selection, &known, 2, &Silent).await });
    lines(&mending.await.unwrap().unwrap(), target)
}

/// The same for all of a database.
async fn mended(source: &Side<'_>, target: &Side<'_>, known: &[&str]) -> Vec<String> {
    let known: Vec<String> = known.iter().map(|name| format!("{}.{name}", source.database)).collect();
    mended_as(source.server_of_all().await, target, all(source, target), &known).await
}

async fn sides<'a>(from: Release, onto: Release, names: [&'a str; 2]) -> (Side<'a>, Side<'a>) {
    let sides = (Side::new(shared(from).await, names[0]), Side::new(shared(onto).await, names[1]));
    for side in [&sides.0, &sides.1] {
        side.run(doc! { "dropDatabase": 1 }).await;
    }
    sides
}

async fn indexes(side: &Side<'_>, collection: &str, specs: &[Document]) {
    side.run(doc! { "createIndexes": collection, "indexes": specs }).await;
}

/// An index on a field, with more options.
fn index(field: &str, more: Document) -> Document {
    let mut spec = doc! { "key": { field: 1 }, "name": format!("{field}_1") };
    spec.extend(more);
    spec
}

fn numbered(count: i32) -> Vec<Vec<u8>> {
    (0..count).map(|n| rawdoc! { "_id": n, "n": n }.into_bytes()).collect()
}

/// Two databases as they are at the end of a migration, which differ in all that no change stream of 4.2 tells.
async fn fill(source: &Side<'_>, target: &Side<'_>) {
    for side in [source, target] {
        side.insert("items", &numbered(50)).await;
        side.insert("valid", &numbered(1)).await;
        side.insert("invalid", &numbered(1)).await;
    }
    let expiring = |seconds: i32| index("ttl", doc! { "expireAfterSeconds": seconds });
    let wanted = [
        index("a", doc! {}),
        expiring(3600),
        index("n", doc! { "unique": true }),
        index("changed", doc! { "sparse": true }),
    ];
    indexes(source, "items", &wanted).await;
    let gone = index("gone", doc! { "unique": true, "sparse": true });
    indexes(target, "items", &[expiring(2_147_483_647), index("changed", doc! {}), gone]).await;

    for (side, validator, level) in [(source, doc! { "n": 0 }, "moderate"), (target, doc! { "n": 1 }, "strict")] {
        side.run(doc! { "collMod": "valid", "validator": validator, "validationLevel": level }).await;
    }
    target.run(doc! { "collMod": "invalid", "validator": { "n": 5 }, "validationAction": "warn" }).await;
    source.run(doc! { "create": "empty", "capped": true, "size": 4096, "max": 7 }).await;
    indexes(source, "empty", &[index("b", doc! {})]).await;

    let matching = |n: i32| vec![doc! { "$match": { "n": n } }];
    source.run(doc! { "create": "view", "viewOn": "items", "pipeline": matching(1) }).await;
    target.run(doc! { "create": "view", "viewOn": "items", "pipeline": matching(2) }).await;
    // By its name the second comes before the view that it reads, and it has its collation.
    let collation = doc! { "locale": "fr" };
    source.run(doc! { "create": "read", "viewOn": "items", "pipeline": [], "collation": collation.clone() }).await;
    source.run(doc! { "create": "a reader", "viewOn": "read", "pipeline": [], "collation": collation }).await;
    target.run(doc! { "create": "stale", "viewOn": "items", "pipeline": [] }).await;
    target.run(doc! { "create": "no view", "viewOn": "items", "pipeline": [] }).await;
    source.run(doc! { "create": "no view" }).await;
    // Changed one after the other, each would read the other.
    for (side, first, second) in [(source, "swap_a", "swap_b"), (target, "swap_b", "swap_a")] {
        side.run(doc! { "create": first, "viewOn": "items", "pipeline": [] }).await;
        side.run(doc! { "create": second, "viewOn": first, "pipeline": [] }).await;
    }
}

/// What is told of it.
const FILLED: [&str; 22] = [
    "a reader: view: created",
    "empty: created",
    "empty: index b_1: built",
    "invalid: option validationAction: removed",
    "invalid: option validator: removed",
    "items: index a_1: built",
    "items: index changed_1: built anew",
    "items: index gone_1: dropped",
    "items: index n_1: built",
    "items: index ttl_1: expireAfterSeconds restored to 3600",
    "no view: created",
    "no view: view: dropped, as it is no view on the source",
    "read: view: created",
    "stale: view: dropped",
    "swap_a: view: created",
    "swap_a: view: dropped, to be created as it is on the source",
    "swap_b: view: created",
    "swap_b: view: dropped, to be created as it is on the source",
    "valid: option validationLevel: changed",
    "valid: option validator: changed",
    "view: view: created",
    "view: view: dropped, to be created as it is on the source",
];

#[tokio::test]
async fn what_streams_of_4_2_do_not_tell_is_made_equal() {
    let (source, target) = sides(Release::V4_2_6, Release::V6_0_5, ["mend_old", "mend_old_copy"]).await;
    fill(&source, &target).await;
    assert_eq!(mended(&source, &target, &["stale", "items"]).await, FILLED);
    equal(&source, &target).await;
    assert_eq!(mended(&source, &target, &["stale", "items"]).await, [""; 0], "there is nothing left to do");
}

#[tokio::test]
async fn what_6_0_can_change_is_made_equal() {
    let (source, target) = sides(Release::V6_0_5, Release::V6_0_5, ["mend_new", "mend_new_copy"]).await;
    fill(&source, &target).await;
    let series = doc! { "timeField": "t", "metaField": "m" };
    for side in [&source, &target] {
        for create in [
            doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } },
            doc! { "create": "series", "timeseries": series.clone() },
            doc! { "create": "everlasting", "timeseries": series.clone() },
            doc! { "create": "images" },
            doc! { "create": "capped", "capped": true, "size": 4096, "max": 10 },
            doc! { "create": "limitless", "capped": true, "size": 4096 },
            doc! { "create": "hidden" },
        ] {
            side.run(create).await;
        }
        indexes(side, "hidden", &[index("h", doc! {}), index("s", doc! {})]).await;
    }
    source.run(doc! { "create": "new series", "timeseries": series, "expireAfterSeconds": 600 }).await;
    for series in ["series", "new series"] {
        indexes(&source, series, &[doc! { "key": { "m": 1, "t": 1 }, "name": "m_t" }]).await;
    }
    indexes(&target, "everlasting", &[index("m", doc! {})]).await;
    for change in [
        doc! { "collMod": "clustered", "expireAfterSeconds": 600 },
        doc! { "collMod": "series", "expireAfterSeconds": 600 },
        doc! { "collMod": "images", "changeStreamPreAndPostImages": { "enabled": true } },
        doc! { "collMod": "capped", "cappedSize": 8192, "cappedMax": 20 },
        doc! { "collMod": "hidden", "index": { "name": "h_1", "hidden": true } },
    ] {
        source.run(change).await;
    }
    for change in [
        doc! { "collMod": "everlasting", "expireAfterSeconds": 600 },
        doc! { "collMod": "limitless", "cappedMax": 5 },
        doc! { "collMod": "hidden", "index": { "name": "s_1", "hidden": true } },
    ] {
        target.run(change).await;
    }
    let more = [
        "capped: option max: changed",
        "capped: option size: changed",
        "clustered: option expireAfterSeconds: set",
        "everlasting: index m_1: dropped",
        "everlasting: option expireAfterSeconds: removed",
        "hidden: index h_1: hidden",
        "hidden: index s_1: hidden no more",
        "images: option changeStreamPreAndPostImages: set",
        "limitless: option max: removed",
        "new series: created",
        "new series: index m_t: built",
        "series: index m_t: built",
        "series: option expireAfterSeconds: set",
    ];
    let mut expected: Vec<&str> = FILLED.iter().chain(&more).copied().collect();
    expected.sort_unstable();
    assert_eq!(mended(&source, &target, &["stale"]).await, expected);
    equal(&source, &target).await;
    assert_eq!(mended(&source, &target, &["stale"]).await, [""; 0], "there is nothing left to do");
}

#[tokio::test]
async fn whenever_it_is_interrupted_the_next_call_does_the_rest() {
    let (source, target) = sides(Release::V4_2_6, Release::V6_0_5, ["mend_cut", "mend_cut_copy"]).await;
    fill(&source, &target).await;
    let (from, onto) = (source.server_of_all().await, target.server_of_all().await);
    let selection = Selection::new(&all(&source, &target)).unwrap();
    let known = [Namespace::parse("mend_cut.stale").unwrap()];
    let mut interrupted = 0;
    let told = loop {
        // Each call gets a little farther than the one before.
        let call = mend(&from, &onto, &selection, &known, 2, &Silent);
        match tokio::time::timeout(Duration::from_millis(2 * interrupted), call).await {
            Err(_) => interrupted += 1,
            Ok(told) => break told.unwrap(),
        }
    };
    assert!(interrupted > 3, "it was not interrupted");
    assert!(told.iter().all(|mended| mended.failed.is_none()), "{told:?}");
    equal(&source, &target).await;
    assert_eq!(mended(&source, &target, &["stale"]).await, [""; 0]);
}

#[tokio::test]
async fn commands_whose_answer_is_lost_are_sent_again() {
    let (_turn, set) = faulty().await;
    let (source, target) = (Side::new(shared(Release::V4_2_6).await, "mend_lost"), Side::new(set, "mend_lost_copy"));
    let selection = Selection::new(&all(&source, &target)).unwrap();
    let known = [Namespace::parse("mend_lost.stale").unwrap()];
    for command in ["collMod", "create", "createIndexes", "drop", "dropIndexes"] {
        for side in [&source, &target] {
            side.run(doc! { "dropDatabase": 1 }).await;
        }
        fill(&source, &target).await;
        // It goes by the name of its database, so that the failpoint meets it alone.
        let (from, onto) = (source.server_of_all().await, target.server().await);
        let lost = doc! { "writeConcernError": { "code": 91, "errmsg": "shut down" } };
        target.fail(&[command], doc! { "times": 2 }, lost).await;
        let told = mend(&from, &onto, &selection, &known, 2, &Silent).await;
        target.fail_no_more().await;
        assert_eq!(lines(&told.unwrap(), &target), FILLED, "{command}");
        assert!(onto.retries() > 0, "{command}: nothing was lost");
        equal(&source, &target).await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_told_and_stops_nothing_else() {
    let (source, target) = sides(Release::V6_0_5, Release::V6_0_5, ["mend_failed", "mend_failed_copy"]).await;
    source.insert("items", &numbered(3)).await;
    target.insert("items", &numbered(3)).await;
    target.insert("items", &[rawdoc! { "_id": 7, "n": 1 }.into_bytes()]).await;
    indexes(&source, "items", &[index("n", doc! { "unique": true }), index("m", doc! {})]).await;
    // Neither was copied, and a call before this one has come as far as to create the second.
    source.insert("lost", &numbered(1)).await;
    source.insert("lost before", &numbered(1)).await;
    target.run(doc! { "create": "lost before" }).await;
    source.run(doc! { "create": "collated", "collation": { "locale": "fr" } }).await;
    target.run(doc! { "create": "collated" }).await;
    source.run(doc! { "create": "capped", "capped": true, "size": 4096 }).await;
    target.run(doc! { "create": "capped" }).await;
    source.run(doc! { "create": "view", "viewOn": "items", "pipeline": [] }).await;
    source.run(doc! { "create": "series", "timeseries": { "timeField": "t" } }).await;
    for name in ["view", "series", "gone"] {
        target.insert(name, &numbered(1)).await;
    }
    let fixed = "servers give it to a collection when they create it, and change it no more";
    let none = "and no collection is dropped";
    let lost = "its documents are not on the target";
    let twice = "documents of the collection have the same key (error 11000 DuplicateKey)";
    let mut expected = [
        format!("capped: option capped: set: not done: {fixed}"),
        format!("capped: option size: set: not done: {fixed}"),
        format!("collated: option collation: set: not done: {fixed}"),
        format!("gone: dropped: not done: the collection is not on the source, {none}"),
        "items: index m_1: built".to_owned(),
        format!("items: index n_1: built: not done: {twice}"),
        format!("lost before: documents: not done: {lost}"),
        "lost: created".to_owned(),
        format!("lost: documents: not done: {lost}"),
        format!("series: type: not done: it is a collection on the target and a time-series on the source, {none}"),
        format!("view: type: not done: it is a collection on the target and a view on the source, {none}"),
    ];
    expected.sort();
    assert_eq!(mended(&source, &target, &["gone", "items"]).await, expected);
    for name in ["view", "series", "gone"] {
        assert_eq!(target.documents(name).await.len(), 1, "{name}");
    }
    let again = mended(&source, &target, &["gone", "items"]).await;
    let left: Vec<&String> = expected.iter().filter(|line| line.contains("not done")).collect();
    assert_eq!(again.iter().collect::<Vec<_>>(), left, "what was not done is told each time");
}

#[tokio::test]
async fn an_index_that_a_server_cannot_change_is_built_anew() {
    let (source, target) = sides(Release::V5_0_4, Release::V5_0_4, ["mend_ttl", "mend_ttl_copy"]).await;
    for (name, on_source, on_target) in
        [("gains", Some(60), None), ("loses", None, Some(60)), ("has", Some(60), Some(1_600_000_000))]
    {
        for (side, seconds) in [(&source, on_source), (&target, on_target)] {
            side.insert(name, &numbered(2)).await;
            let expiry = seconds.map_or(doc! {}, |seconds: i32| doc! { "expireAfterSeconds": seconds });
            indexes(side, name, &[index("at", expiry)]).await;
        }
    }
    let expected = [
        "gains: index at_1: built anew",
        "has: index at_1: expireAfterSeconds restored to 60",
        "loses: index at_1: built anew",
    ];
    assert_eq!(mended(&source, &target, &[]).await, expected);
    equal(&source, &target).await;
}

#[tokio::test]
async fn an_index_that_no_target_can_build_is_told_with_its_reason() {
    let (source, target) = sides(Release::V4_2_6, Release::V6_0_5, ["mend_hay", "mend_hay_copy"]).await;
    for side in [&source, &target] {
        side.insert("items", &numbered(2)).await;
    }
    let hay = doc! { "key": { "at": "geoHaystack", "n": 1 }, "name": "hay", "bucketSize": 1 };
    indexes(&source, "items", &[hay, index("n", doc! {})]).await;
    let told = mended(&source, &target, &[]).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("items: index hay: built: not done: "), "{told:?}");
    assert_eq!(told[1], "items: index n_1: built");
}

#[tokio::test]
async fn what_is_not_selected_is_left_alone_whatever_it_is_called() {
    let (source, target) = sides(Release::V6_0_5, Release::V6_0_5, ["mend_names", "mend_names_copy"]).await;
    for name in ["first", "excluded"] {
        source.insert(name, &numbered(2)).await;
        indexes(&source, name, &[index("n", doc! {})]).await;
    }
    for name in ["arrived", "excluded", "first"] {
        target.insert(name, &numbered(2)).await;
    }
    target.run(doc! { "collMod": "first", "validator": { "n": { "$exists": true } } }).await;
    for name in ["excluded view", "unknown view", "was_view", "here_view"] {
        target.run(doc! { "create": name, "viewOn": "items", "pipeline": [] }).await;
    }
    let before = target.state().await;
    let options = SelectionOptions {
        include: vec!["mend_names.*".to_owned()],
        exclude: vec!["mend_names.excluded*".to_owned()],
        rename: vec![
            "mend_names.first=mend_names_copy.arrived".to_owned(),
            "mend_names.second=mend_names_copy.arrived".to_owned(),
            "mend_names.*=mend_names_copy.here_*".to_owned(),
        ],
        ..SelectionOptions::default()
    };
    // The first was called the second once.
    let known = ["first", "second", "view", "excluded view"].map(|name| format!("mend_names.{name}"));
    let told = mended_as(source.server_of_all().await, &target, options.clone(), &known).await;
    assert_eq!(told, ["arrived: index n_1: built", "here_view: view: dropped"]);
    let mut after = target.state().await;
    assert!(after.indexes.get_mut("arrived").unwrap().pop().unwrap().contains("n_1"));
    let mut expected = before;
    expected.options.remove("here_view");
    assert_eq!(after, expected, "all else is as it was");
    // Two that would become one are left to whoever named them so.
    source.run(doc! { "create": "second" }).await;
    let told = mended_as(source.server_of_all().await, &target, options, &known).await;
    let reason = "mend_names.first and mend_names.second would all become it";
    assert_eq!(told, [format!("arrived: compared: not done: {reason}")]);
}

#[tokio::test]
async fn what_a_user_may_not_see_is_not_taken_for_gone() {
    let target = Side::new(shared(Release::V6_0_5).await, "mend_unseen");
    target.run(doc! { "dropDatabase": 1 }).await;
    target.insert("orders", &numbered(2)).await;
    indexes(&target, "orders", &[index("n", doc! {})]).await;
    target.run(doc! { "create": "events", "viewOn": "orders", "pipeline": [] }).await;
    let before = target.state().await;
    let source = connect(&Uri::read(&guarded().await.uri("finder", "/shop")).unwrap().0, 2).await.unwrap();
    let options = SelectionOptions {
        rename: vec!["shop.*=mend_unseen.*".to_owned()],
        default_database: Some("shop".to_owned()),
        ..SelectionOptions::default()
    };
    let told = mended_as(source, &target, options, &["shop.events".to_owned()]).await;
    let expected = [
        "events: dropped: not done: it may be there still: its database cannot be listed, for lack of a privilege",
        "orders: compared: not done: its options or indexes cannot be read, for lack of a privilege",
    ];
    assert_eq!(told, expected);
    assert_eq!(target.state().await, before);
}
