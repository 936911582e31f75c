//! A run of events, folded or not, has the same effect: tables, and a model of a server that executes anything.

mod server;

use bson::{RawDocumentBuf, rawdoc};
use proptest::prelude::*;

use self::server::{Operation as Do, Server, Step, Stored, Value, What};
use super::*;
use crate::{
    changes::delta::{Nested, Simple},
    document::RawBuilder,
};

const TRUST: Paths = Paths::Maybe(Nested::Trust);
const REFETCH: Paths = Paths::Maybe(Nested::Refetch);

fn event(operation: &str, key: RawDocumentBuf, rest: &RawDocumentBuf) -> Vec<u8> {
    let mut event = RawBuilder::new();
    event.document("_id", rawdoc! { "_data": "82" }.as_bytes()).string("operationType", operation);
    event.document("ns", rawdoc! { "db": "shop", "coll": "orders" }.as_bytes());
    event.document("documentKey", key.as_bytes());
    match operation {
        "update" => event.document("updateDescription", rawdoc! { "updatedFields": rest.clone() }.as_bytes()),
        "delete" => &mut event,
        _ => event.document("fullDocument", rest.as_bytes()),
    };
    event.finish()
}

fn folded(events: &[Vec<u8>], paths: Paths, check: impl FnOnce(Vec<Folded<'_>>)) {
    let events: Vec<Event<'_>> = events.iter().map(|event| Event::parse(event).unwrap()).collect();
    check(fold(&events, paths).unwrap());
}

#[test]
fn a_document_is_folded_to_where_its_last_event_stood() {
    let events = [
        event("insert", rawdoc! { "_id": 1 }, &rawdoc! { "_id": 1, "a": 1 }),
        event("update", rawdoc! { "_id": 2 }, &rawdoc! { "a": 1 }),
        event("delete", rawdoc! { "s": 5, "_id": 3 }, &rawdoc! {}),
        event("update", rawdoc! { "_id": 1 }, &rawdoc! { "b": 2 }),
        event("update", rawdoc! { "s": 6, "_id": 2 }, &rawdoc! { "a": 3 }),
    ];
    folded(&events, Paths::Plain, |folded| {
        let places: Vec<_> = folded.iter().map(|folded| (folded.first, folded.last, folded.events)).collect();
        assert_eq!(places, [(2, 2, 1), (0, 3, 2), (1, 4, 2)]);
        assert!(matches!(folded[0].effect, Effect::Delete));
        let Effect::Put(doc) = &folded[1].effect else { panic!() };
        assert_eq!(doc.as_ref(), rawdoc! { "_id": 1, "a": 1, "b": 2 }.as_bytes());
        let Effect::Change(chain) = &folded[2].effect else { panic!() };
        assert_eq!(chain.simple().unwrap().modifiers(), rawdoc! { "$set": { "a": 3 } }.as_bytes());
        assert_eq!(folded[2].key, rawdoc! { "s": 6, "_id": 2 }.as_bytes());
        assert!(folded.iter().all(|folded| !folded.reinsert));
    });
}

#[test]
fn an_id_that_changes_its_type_is_one_document_to_be_inserted_again() {
    let one = rawdoc! { "_id": 1 };
    let twin = rawdoc! { "_id": 1.0 };
    let events = [
        event("delete", one.clone(), &rawdoc! {}),
        event("insert", twin.clone(), &twin),
        event("update", twin.clone(), &rawdoc! { "a": 1 }),
    ];
    folded(&events, Paths::Plain, |folded| {
        assert_eq!(folded.len(), 1);
        assert!(folded[0].reinsert);
        assert_eq!(folded[0].key, twin.as_bytes());
        assert!(
            matches!(&folded[0].effect, Effect::Put(doc) if doc.as_ref() == rawdoc! { "_id": 1.0, "a": 1 }.as_bytes())
        );
    });
    let events = [event("delete", one.clone(), &rawdoc! {}), event("insert", one.clone(), &one)];
    folded(&events, Paths::Plain, |folded| assert!(!folded[0].reinsert));
}

#[test]
fn what_the_events_do_not_tell_is_fetched_until_they_tell_all() {
    let key = rawdoc! { "_id": 1 };
    let put = event("replace", key.clone(), &rawdoc! { "_id": 1, "a": 1 });
    let dotted = event("update", key.clone(), &rawdoc! { "a.b": 1 });
    let plain = event("update", key.clone(), &rawdoc! { "a": 1 });
    let delete = event("delete", key.clone(), &rawdoc! {});
    let refetched = |events: &[&Vec<u8>], paths| {
        let events: Vec<Vec<u8>> = events.iter().map(|event| (*event).clone()).collect();
        let mut refetch = false;
        folded(&events, paths, |folded| refetch = matches!(folded[0].effect, Effect::Refetch));
        refetch
    };
    assert!(refetched(&[&dotted], REFETCH), "ambiguous");
    assert!(refetched(&[&put, &dotted], REFETCH), "ambiguous in a document that is known");
    assert!(refetched(&[&put, &dotted], Paths::Plain), "a number stands in the way");
    assert!(refetched(&[&delete, &plain], Paths::Plain), "a document that is not there");
    assert!(refetched(&[&dotted, &plain], REFETCH), "later updates do not end it");
    assert!(!refetched(&[&dotted, &put], REFETCH));
    assert!(!refetched(&[&dotted, &delete], REFETCH));
    assert!(!refetched(&[&dotted, &delete, &put, &plain], REFETCH));
    assert!(!refetched(&[&dotted], Paths::Plain));
}

/// Which are folded in shards, side by side.
#[test]
fn many_events_fold_as_few_do() {
    let events: Vec<Vec<u8>> = (0..cpu::MANY * 3)
        .map(|n| {
            let id = n * 7 % 997;
            // Every other time under its other name.
            let key = if n % 2 == 0 {
                rawdoc! { "_id": id as i64 }
            } else {
                rawdoc! { "_id": id as f64 }
            };
            match n % 7 {
                0 => event("delete", key, &rawdoc! {}),
                1 | 2 => event("insert", key.clone(), &key),
                _ => event("update", key, &rawdoc! { "a": n as i64 }),
            }
        })
        .collect();
    let parsed: Vec<Event<'_>> = events.iter().map(|event| Event::parse(event).unwrap()).collect();
    let mut together = fold_those(&parsed, 0..parsed.len(), Paths::Plain, |folded| folded).unwrap();
    together.sort_by_key(|folded| folded.last);
    folded(&events, Paths::Plain, |folded| {
        assert_eq!(folded.len(), 997);
        assert_eq!(format!("{folded:?}"), format!("{together:?}"));
    });
    let nameless = event("delete", rawdoc! { "s": 1 }, &rawdoc! {});
    let nameless: Vec<_> = parsed.into_iter().chain([Event::parse(&nameless).unwrap()]).collect();
    assert!(fold(&nameless, Paths::Plain).is_err());
}

#[test]
fn an_event_about_no_document_is_an_error_and_not_lost() {
    let drop = rawdoc! { "_id": { "_data": "82" }, "operationType": "drop", "ns": { "db": "d", "coll": "c" } };
    assert!(fold(&[Event::parse(drop.as_bytes()).unwrap()], Paths::Plain).is_err());
    let nameless = event("delete", rawdoc! { "s": 1 }, &rawdoc! {});
    assert!(fold(&[Event::parse(&nameless).unwrap()], Paths::Plain).is_err());
}

#[test]
fn a_hundred_hot_documents_fold_in_linear_time() {
    let mut big = RawBuilder::new();
    big.int32("_id", 0);
    for n in 0..10_000 {
        big.int32(format!("field{n}"), n);
    }
    let big = RawDocumentBuf::from_bytes(big.finish()).unwrap();
    let mut events = vec![event("insert", rawdoc! { "_id": 0 }, &big)];
    for n in 0..100_000 {
        events.push(event(
            "update",
            rawdoc! { "_id": n % 100 },
            &rawdoc! { "field7": n, "counts.seen": n, "l.9": "x" },
        ));
    }
    let started = std::time::Instant::now();
    folded(&events, Paths::Plain, |folded| assert_eq!(folded.len(), 100));
    // A thousand rewrites of the big document alone would take longer, let alone a chain that is searched.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

/// What a server makes of `$set` and `$unset`: new fields in the byte order of their names.
fn modified(simple: &Simple<'_>, doc: &[u8]) -> Vec<u8> {
    let mut fields: Vec<(Vec<u8>, u8, Vec<u8>)> = document::elements(doc)
        .map(Result::unwrap)
        .filter(|field| !simple.unsets.contains(&field.name))
        .map(|field| (field.name.to_vec(), field.kind, field.value.to_vec()))
        .collect();
    let mut sets = simple.sets.clone();
    sets.sort_by_key(|(name, _)| *name);
    for (name, value) in sets {
        match fields.iter_mut().find(|(other, ..)| other == name) {
            Some(field) => (field.1, field.2) = (value.kind, value.value.to_vec()),
            None => fields.push((name.to_vec(), value.kind, value.value.to_vec())),
        }
    }
    let mut doc = RawBuilder::new();
    fields.iter().for_each(|(name, kind, value)| {
        doc.append_element(*kind, name, value);
    });
    doc.finish()
}

fn values() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        (0..5i32).prop_map(Value::Int),
        "[xy]{0,9}".prop_map(Value::Text),
        Just(Value::Null),
        Just(Value::Doc(vec![])),
    ];
    scalars.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array), documents_of(inner),]
    })
}

fn documents_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["a", "b", "c", "0", "1", "$p", "a.b", "b.0", ""]);
    prop::collection::vec((names.prop_map(str::to_owned), values), 0..5).prop_map(Value::Doc)
}

fn steps() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        6 => values().prop_map(What::Set),
        5 => Just(What::Unset),
        3 => values().prop_map(What::Push),
        2 => any::<u8>().prop_map(What::Cut),
    ];
    (prop_oneof![prop::collection::vec(any::<u8>(), 1), prop::collection::vec(any::<u8>(), 1..4)], what)
        .prop_map(|(picks, what)| Step { picks, what })
}

fn operations() -> impl Strategy<Value = Do> {
    prop_oneof![
        2 => (0..4u8, any::<u8>(), documents_of(values())).prop_map(|(id, twin, value)| Do::Put { id, twin, value }),
        1 => (0..4u8).prop_map(|id| Do::Delete { id }),
        20 => (0..4u8, prop::collection::vec(steps(), 0..3)).prop_map(|(id, steps)| Do::Update { id, steps }),
    ]
}

type Documents = std::collections::BTreeMap<Key, Vec<u8>>;

fn raw(server: &Server) -> Documents {
    let key = |stored: &Stored| Key::of(&document::id(&stored.key).unwrap());
    server.documents.values().map(|stored| (key(stored), stored.raw())).collect()
}

fn id_bytes(doc: &[u8]) -> (u8, &[u8]) {
    document::id(doc).map(|id| (id.kind, id.value)).unwrap()
}

/// Applies what a run came to, as the replayer will. What is to be fetched is taken from `source`, and is then as new as
/// that.
fn write(target: &mut Documents, folded: &[Folded<'_>], source: &Documents, fetched: &mut Vec<Key>) {
    for folded in folded {
        let key = Key::of(&document::id(folded.key).unwrap());
        if fetched.contains(&key) {
            continue;
        }
        let put = match &folded.effect {
            Effect::Put(doc) => Some(doc.to_vec()),
            Effect::Delete => None,
            Effect::Change(chain) => {
                let before = &target[&key];
                let Applied::Document(after) = chain.apply(before) else { panic!("{chain:?} {before:?}") };
                if let Some(simple) = chain.simple() {
                    assert_eq!(modified(&simple, before), after);
                    for other in source.values() {
                        assert_eq!(Applied::Document(modified(&simple, other)), chain.apply(other));
                    }
                }
                Some(after)
            }
            Effect::Refetch => {
                fetched.push(key.clone());
                source.get(&key).cloned()
            }
        };
        match put {
            Some(doc) => {
                if let Some(before) = target.get(&key).filter(|before| id_bytes(before) != id_bytes(&doc)) {
                    assert!(folded.reinsert || matches!(folded.effect, Effect::Refetch), "{before:?}");
                }
                target.insert(key, doc);
            }
            None => drop(target.remove(&key)),
        }
    }
}

fn check(paths: Paths, before: &[Do], operations: &[Do], runs: &[usize], late: bool) {
    let mut server = Server { paths, documents: Default::default() };
    before.iter().for_each(|operation| drop(server.execute(operation)));
    let initial = raw(&server);
    let (mut events, mut states) = (Vec::new(), Vec::new());
    for operation in operations {
        if let Some(event) = server.execute(operation) {
            events.push(event);
            states.push(raw(&server));
        }
    }
    let events: Vec<Event<'_>> = events.iter().map(|event| Event::parse(event).unwrap()).collect();

    let mut target = initial.clone();
    for (event, state) in events.iter().zip(&states) {
        let key = Key::of(&document::id(event.key.unwrap()).unwrap());
        match (event.operation, event.document, event.update) {
            (Operation::Delete, ..) => drop(target.remove(&key)),
            (Operation::Update, _, Some(update)) => {
                let applied = Delta::parse(update, paths).unwrap().apply(&target[&key]);
                match applied {
                    Applied::Document(doc) => drop(target.insert(key, doc)),
                    Applied::Ambiguous if paths != Paths::Plain => {
                        drop(target.insert(key.clone(), state[&key].clone()))
                    }
                    other => panic!("{other:?} of {event:?}"),
                }
            }
            (_, doc, _) => drop(target.insert(key, doc.unwrap().to_vec())),
        }
        assert_eq!(&target, state, "{event:?}");
    }

    let (mut target, mut at, mut fetched) = (initial, 0, Vec::new());
    let mut lengths = runs.iter().copied().cycle();
    while at < events.len() {
        let end = events.len().min(at + lengths.next().unwrap());
        let folded = fold(&events[at..end], paths).unwrap();
        assert_eq!(folded.iter().map(|folded| folded.events).sum::<usize>(), end - at);
        assert!(folded.is_sorted_by_key(|folded| folded.last));
        // Fetched late, a document is as new as the last event, and what is left of its events is skipped.
        let state = if late { states.last() } else { states.get(end - 1) }.unwrap();
        write(&mut target, &folded, state, &mut fetched);
        if !late {
            fetched.clear();
            assert_eq!(&target, state);
        }
        at = end;
    }
    assert_eq!(Some(&target), states.last().or(Some(&target)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_run_of_events_has_the_same_effect_folded_and_not(
        before in prop::collection::vec(operations(), 0..20),
        operations in prop::collection::vec(operations(), 1..80),
        runs in prop::collection::vec(1..40usize, 1..6),
        paths in prop::sample::select(vec![Paths::Plain, TRUST, REFETCH, Paths::Told]),
        late in any::<bool>(),
    ) {
        check(paths, &before, &operations, &runs, late);
    }
}
