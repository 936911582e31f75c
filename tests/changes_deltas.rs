//! Updates that real servers made, made again from their change events: the documents must be the same bytes.

use bson::{Bson, Document, RawDocumentBuf, Timestamp, bson, doc};
use mongodb::Database;
use transload::{
    changes::{Applied, Chain, Delta, Event, Nested, Operation, Paths},
    sandbox::Release,
};

use crate::{copy::Side, servers::shared};

const TRUST: Paths = Paths::Maybe(Nested::Trust);
const REFETCH: Paths = Paths::Maybe(Nested::Refetch);

/// A collection, and the operation time from which its stream tells all.
struct Watched {
    database: Database,
    since: Timestamp,
}

impl Watched {
    async fn new(release: Release, name: &str) -> Self {
        let database = Side::new(shared(release).await, name).open().await;
        let reply = database.run_command(doc! { "ping": 1 }).await.unwrap();
        let mut since = reply.get_timestamp("operationTime").unwrap();
        since.increment += 1;
        Watched { database, since }
    }

    async fn insert(&self, document: Document) -> Vec<u8> {
        let collection = self.database.collection::<Document>("c");
        collection.delete_many(doc! {}).await.unwrap();
        collection.insert_one(document).await.unwrap();
        self.document().await
    }

    async fn document(&self) -> Vec<u8> {
        let found = self.database.collection::<RawDocumentBuf>("c").find_one(doc! { "_id": 1 }).await.unwrap();
        found.unwrap().into_bytes()
    }

    /// Whether the server took the update and changed something.
    async fn update(&self, update: &Bson) -> bool {
        let command = doc! { "update": "c", "updates": [{ "q": { "_id": 1 }, "u": update }] };
        match self.database.run_command(command).await {
            Ok(reply) => reply.get_i32("nModified").unwrap() == 1,
            Err(error) => panic!("{error}"),
        }
    }

    /// What the server makes of modifiers in a document, in another collection.
    async fn modified(&self, document: &[u8], modifiers: &[u8]) -> Vec<u8> {
        let collection = self.database.collection::<RawDocumentBuf>("modified");
        collection.delete_many(doc! {}).await.unwrap();
        collection.insert_one(RawDocumentBuf::from_bytes(document.to_vec()).unwrap()).await.unwrap();
        let modifiers: Document = RawDocumentBuf::from_bytes(modifiers.to_vec()).unwrap().try_into().unwrap();
        collection.update_one(doc! { "_id": 1 }, modifiers).await.unwrap();
        collection.find_one(doc! {}).await.unwrap().unwrap().into_bytes()
    }

    /// The events of updates and replacements so far.
    async fn events(&self, count: usize) -> Vec<Vec<u8>> {
        let stream = doc! { "$changeStream": { "startAtOperationTime": self.since } };
        let only = doc! { "$match": { "operationType": { "$in": ["update", "replace"] } } };
        let open = doc! { "aggregate": "c", "pipeline": [stream, only], "cursor": {} };
        let reply = self.database.run_command(open).await.unwrap();
        let (mut cursor, mut batch) = (reply.get_document("cursor").unwrap().clone(), "firstBatch");
        let mut events = Vec::new();
        loop {
            let found = cursor.get_array(batch).unwrap();
            events.extend(found.iter().map(|event| event.as_document().unwrap().to_vec().unwrap()));
            if events.len() >= count {
                return events;
            }
            let id = cursor.get_i64("id").unwrap();
            let more = doc! { "getMore": id, "collection": "c", "maxTimeMS": 1000 };
            cursor = self.database.run_command(more).await.unwrap().get_document("cursor").unwrap().clone();
            batch = "nextBatch";
        }
    }
}

/// Random numbers that are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn path(&mut self) -> String {
        let parts = [1, 1, 2, 3][usize::try_from(self.below(4)).unwrap()];
        let names = ["a", "b", "c", "l", "m", "0", "1", "2", "5", "10", "x"];
        let top = self.pick(&["a", "b", "l", "m", "l", "z", "y", "x", "w", "7", "10"]).to_owned();
        (1..parts).fold(top, |path, _| format!("{path}.{}", self.pick(&names)))
    }

    fn value(&mut self) -> Bson {
        match self.below(7) {
            0 => bson!([]),
            1 => bson!([1, { "m": 2 }, [3, 4], "x"]),
            2 => bson!({ "a": 1, "0": { "c": 2 }, "l": [1, 2] }),
            3 => bson!({}),
            4 => Bson::Null,
            5 => Bson::String("text".to_owned()),
            _ => Bson::Int32(i32::try_from(self.below(100)).unwrap()),
        }
    }

    fn update(&mut self) -> Bson {
        let mut update = Document::new();
        for _ in 0..1 + self.below(3) {
            let (name, value) = match self.below(12) {
                0..5 => ("$set", self.value()),
                5 | 6 => ("$unset", bson!(1)),
                7 => ("$inc", bson!(1)),
                8 => ("$push", bson!({ "$each": [1, { "b": 2 }, 3] })),
                9 => ("$push", bson!({ "$each": [self.value()], "$slice": 2 })),
                10 => ("$pop", bson!(1)),
                _ => ("$rename", Bson::String(self.path())),
            };
            let path = self.path();
            let fields = update.entry(name.to_owned()).or_insert(bson!({}));
            fields.as_document_mut().unwrap().insert(path, value);
        }
        // The server sets and cuts arrays in pipelines by their difference, where it is small.
        match self.below(8) {
            0 => {
                bson!([{ "$set": { "l": { "$slice": [{ "$cond": [{ "$isArray": "$l" }, "$l", [1, 2, 3]] }, 2] }, "q": self.value() } }])
            }
            1 => bson!([{ "$set": { "a.b": self.value(), "n": { "k": self.value() } } }, { "$unset": [self.path()] }]),
            _ => Bson::Document(update),
        }
    }
}

/// Makes random updates, and makes them again: one by one, and all in a row as one chain.
async fn updates_are_made_again(release: Release, paths: Paths) {
    let (mut all, mut replaced, mut simple) = (0, 0, 0);
    for seed in 1..=6_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        // Large, so that no difference is larger.
        let pad = Bson::String("x".repeat(20_000));
        let initial = doc! {
            "_id": 1, "pad": pad, "a": { "b": 1, "0": 2, "l": [1] }, "b": "text", "l": [1, 2, 3, { "m": 1 }], "m": { "1": [] }, "z": 1,
        };
        let watched = Watched::new(release, "changes_deltas").await;
        let mut states = vec![watched.insert(initial).await];
        for _ in 0..60 {
            if watched.update(&random.update()).await {
                states.push(watched.document().await);
            }
        }
        let events = watched.events(states.len() - 1).await;
        assert_eq!(events.len(), states.len() - 1);
        let mut chain = Chain::new();
        let mut chained_from = states[0].as_slice();
        for ((event, before), after) in events.iter().zip(&states).zip(&states[1..]) {
            let event = Event::parse(event).unwrap();
            all += 1;
            if event.operation == Operation::Replace {
                assert_eq!(event.document.unwrap(), after);
                replaced += 1;
                (chain, chained_from) = (Chain::new(), after);
                continue;
            }
            let delta = Delta::parse(event.update.unwrap(), paths).unwrap();
            let told = || format!("{:?}", RawDocumentBuf::from_bytes(event.update.unwrap().to_vec()));
            assert_eq!(delta.apply(before), Applied::Document(after.clone()), "{} {before:?}", told());
            chain.push(&delta);
            assert_eq!(chain.apply(chained_from), Applied::Document(after.clone()), "in a row: {}", told());
            let mut alone = Chain::new();
            alone.push(&delta);
            for (chain, document) in [(&alone, before.as_slice()), (&chain, chained_from)] {
                if let Some(modifiers) = chain.simple().filter(|simple| !simple.is_empty()) {
                    simple += 1;
                    assert_eq!(watched.modified(document, &modifiers.modifiers()).await, *after, "{}", told());
                }
            }
        }
    }
    eprintln!("{release}: {all} updates, {replaced} of them replacements, {simple} times by modifiers");
    assert!(all > 100 && replaced < all / 2 && simple > 20, "{all} {replaced} {simple}");
}

#[tokio::test]
async fn updates_of_4_2_are_made_again_byte_for_byte() {
    updates_are_made_again(Release::V4_2_6, Paths::Plain).await;
}

#[tokio::test]
async fn updates_of_5_0_are_made_again_byte_for_byte() {
    updates_are_made_again(Release::V5_0_4, TRUST).await;
}

#[tokio::test]
async fn updates_of_6_0_are_made_again_byte_for_byte() {
    updates_are_made_again(Release::V6_0_5, TRUST).await;
}

/// A literal `"a.b"` and a nested one look alike, and a field that a pipeline moves to the end looks as if it stayed: the
/// first is called ambiguous, the second is what no event of this server tells.
#[tokio::test]
async fn what_events_of_6_0_do_not_tell() {
    let watched = Watched::new(Release::V6_0_5, "changes_deltas_untold").await;
    let pad = "x".repeat(20_000);
    let before = watched.insert(doc! { "_id": 1, "first": 1, "a": { "b": 1 }, "pad": pad }).await;
    let moved = bson!([{ "$replaceWith": { "_id": "$_id", "a": "$a", "pad": "$pad", "first": 2 } }]);
    assert!(watched.update(&moved).await);
    let after = watched.document().await;
    let literal = bson!([{ "$replaceWith": { "$setField": { "field": "a.b", "input": "$$ROOT", "value": 9 } } }]);
    assert!(watched.update(&literal).await);
    let events = watched.events(2).await;
    let deltas = events.iter().map(|event| Event::parse(event).unwrap().update.unwrap());
    let deltas: Vec<_> = deltas.map(|update| Delta::parse(update, REFETCH).unwrap()).collect();
    assert_eq!(deltas[1].apply(&after), Applied::Ambiguous);
    let Applied::Document(in_place) = deltas[0].apply(&before) else { panic!() };
    assert_ne!(in_place, after);
    let sorted = |bytes: &[u8]| {
        let mut fields: Vec<_> =
            Document::try_from(RawDocumentBuf::from_bytes(bytes.to_vec()).unwrap()).unwrap().into_iter().collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        fields
    };
    assert_eq!(sorted(&in_place), sorted(&after));
}
