//! The stages of collections, as they are told while one is copied, indexed, followed, renamed or dropped.

use super::*;

fn name(collection: &str) -> Namespace {
    Namespace::new("shop", collection).unwrap()
}

fn stages(collections: &mut Collections, of_all: &str) -> Vec<(String, String)> {
    let told = collections.told(of_all, Instant::now());
    told.into_iter().map(|one| (one.namespace.replace("shop.", ""), one.stage)).collect()
}

fn two() -> Collections {
    let mut collections = Collections::default();
    for collection in ["orders", "users"] {
        collections.ids.push(name(collection));
        collections.all.insert(name(collection), Collection::default());
    }
    collections
}

#[test]
fn each_collection_tells_what_is_done_to_it() {
    let mut collections = two();
    assert!(collections.loaded(1, 5, 500).is_some() && collections.loaded(1, 5, 500).is_none());
    assert_eq!(stages(&mut collections, "copying"), of([("orders", "copying"), ("users", "waiting")]));
    let whole = collections.whole(1).unwrap();
    assert_eq!((whole.documents, whole.bytes), (10, 1000));
    assert!(collections.whole(1).is_none());
    collections.whole(2).unwrap();
    let indexes = ["a_1".to_owned(), "b_1".to_owned()];
    collections.hear(&name("orders"), &News::Indexing { indexes: &indexes });
    assert_eq!(stages(&mut collections, "building indexes"), of([("orders", "indexing"), ("users", "copied")]));
    assert_eq!(collections.told("", Instant::now())[0].index.as_deref(), Some("a_1, b_1"));
    collections.hear(&name("orders"), &News::Indexed { built: &indexes, failed: &[], seconds: 0.5 });
    collections.hear(&name("users"), &News::NotFollowed);
    for (of_all, stage) in [
        ("starting", "copied"),
        ("catching up", "catching up"),
        ("building unique indexes", "catching up"),
        ("following", "following"),
        ("paused", "paused"),
        ("cutting over", "following"),
    ] {
        assert_eq!(stages(&mut collections, of_all), of([("orders", stage), ("users", "copied")]));
    }
    collections.set(&[name("users")], || Now::CopyingAnew);
    assert_eq!(stages(&mut collections, "cutting over"), of([("orders", "following"), ("users", "copying anew")]));
    collections.rest();
    collections.follow_again(&[name("users")]);
    assert_eq!(stages(&mut collections, "following"), of([("orders", "following"), ("users", "following")]));
    assert_eq!(stages(&mut collections, "done"), of([("orders", "done"), ("users", "done")]));
}

#[test]
fn what_is_born_joins_and_what_is_dropped_or_renamed_goes() {
    let mut collections = two();
    for id in [1, 2] {
        collections.whole(id).unwrap();
    }
    collections.hear(&name("born"), &News::Applied { events: 7 });
    assert!(collections.hear(&name("empty"), &News::Created));
    assert!(!collections.hear(&name("orders"), &News::Created), "it is known");
    // What was renamed into the selection, of which the target has nothing.
    collections.hear(&name("foreign"), &News::Created);
    assert!(collections.hear(&name("foreign"), &News::NotFollowed));
    assert!(!collections.hear(&name("foreign"), &News::NotFollowed));
    assert!(stages(&mut collections, "following").contains(&("foreign".to_owned(), "waiting".to_owned())));
    collections.hear(&name("foreign"), &News::Dropped);
    assert!(collections.hear(&name("users"), &News::Dropped));
    assert!(!collections.hear(&name("users"), &News::Dropped), "it is gone");
    collections.hear(&name("born"), &News::Renamed { to: &name("orders") });
    assert_eq!(stages(&mut collections, "following"), of([("empty", "following"), ("orders", "following")]));
    assert_eq!(collections.told("", Instant::now())[1].events, 7, "what it was called before is known of it");
}

#[test]
fn a_moment_tells_of_a_few_that_are_at_work() {
    let told = |number: u32, stage: &str| NamespaceStatus {
        namespace: format!("shop.c{number}"),
        stage: stage.to_owned(),
        ..NamespaceStatus::default()
    };
    let mut all: Vec<NamespaceStatus> = (0..7).map(|number| told(number, "copying")).collect();
    all.push(told(8, "waiting"));
    let moment = moment(&all, 3);
    assert_eq!((moment.at_work.len(), moment.more, moment.events_per_second), (4, 3, 3));
}

fn of<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, stage)| ((*name).to_owned(), (*stage).to_owned())).collect()
}
