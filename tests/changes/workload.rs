//! An application that writes at random: the same operations for the same seed, on few documents, so that they meet.

use bson::{Bson, DateTime, Decimal128, Document, bson, doc, oid::ObjectId};
use mongodb::{
    Client, Database,
    error::ErrorKind,
    options::{ReturnDocument, UpdateModifications},
};
use transload::sandbox::Release;

/// Documents of a collection, about.
const DOCUMENTS: u64 = 40;

/// What the servers of a test allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// Names with dots and `$` in them, and the operators that make them: 5.0 and later, on both sides.
    pub(crate) odd_names: bool,
    /// What is done to whole collections.
    pub(crate) catalog: Catalog,
    /// Documents of 15 MB, and some that expire, on the target perhaps before the source has told that they live longer: where
    /// the source can be asked.
    pub(crate) extremes: bool,
}

/// What is done to whole collections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Catalog {
    /// Nothing.
    Still,
    /// Drops and renames.
    Told,
    /// Creates, indexes and options too, of which 6.0 and later tell.
    Expanded,
}

impl Catalog {
    /// What a server tells of.
    pub(crate) fn of(release: Release) -> Self {
        if release == Release::V6_0_5 { Catalog::Expanded } else { Catalog::Told }
    }
}

/// An application.
pub(crate) struct Workload {
    client: Client,
    database: Database,
    random: Random,
    allowed: Allowed,
    /// How many operations have been done.
    pub(crate) done: u64,
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that stand side by side must not give one sequence, shifted.
        Random(Random(seed ^ 0xD6E8_FEB8_6659_FD93).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn number(&mut self) -> i32 {
        i32::try_from(self.below(1000)).unwrap()
    }
}

impl Workload {
    /// An application on the database `name`, whose collections it makes and fills.
    pub(crate) async fn begin(client: Client, name: &str, seed: u64, allowed: Allowed) -> Self {
        let database = client.database(name);
        database.drop().await.unwrap();
        let collation = doc! { "locale": "en", "strength": 2 };
        for create in [
            doc! { "create": "plain" },
            doc! { "create": "twins" },
            doc! { "create": "unique" },
            doc! { "create": "collated", "collation": collation },
            doc! { "create": "capped", "capped": true, "size": 1 << 20, "max": 30 },
            doc! { "create": "moving" },
            doc! { "create": "first" },
            doc! { "create": "second" },
            doc! { "create": "expiring" },
        ] {
            database.run_command(create).await.unwrap();
        }
        let unique = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true, "sparse": true };
        let nested = doc! { "key": { "a.b": 1 }, "name": "a.b_1" };
        let expires = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 0 };
        database.run_command(doc! { "createIndexes": "expiring", "indexes": [expires] }).await.unwrap();
        database.run_command(doc! { "createIndexes": "unique", "indexes": [unique] }).await.unwrap();
        database.run_command(doc! { "createIndexes": "plain", "indexes": [nested] }).await.unwrap();
        let mut workload = Workload { client, database, random: Random::new(seed), allowed, done: 0 };
        for _ in 0..200 {
            workload.step().await;
        }
        workload
    }

    /// Does so many operations.
    pub(crate) async fn steps(&mut self, count: u64) {
        for _ in 0..count {
            self.step().await;
        }
    }

    /// Does one operation. What the server refuses, as a key that is taken, is refused to an application too.
    pub(crate) async fn step(&mut self) {
        let outcome = self.operation().await;
        self.done += 1;
        if let Err(error) = outcome {
            let refused = match error.kind.as_ref() {
                ErrorKind::Command(_) | ErrorKind::Write(_) | ErrorKind::InsertMany(_) | ErrorKind::BulkWrite(_) => {
                    true
                }
                // By the driver, which takes a first field with a dollar for an operator.
                ErrorKind::InvalidArgument { .. } => true,
                _ => error.contains_label("TransientTransactionError"),
            };
            assert!(refused, "{error}");
        }
    }

    async fn operation(&mut self) -> mongodb::error::Result<()> {
        match self.random.below(100) {
            0..60 => {
                let name = ["plain", "plain", "plain", "collated", "first", "second", "moving"];
                let name = name[usize::try_from(self.random.below(7)).unwrap()];
                let id = self.id(name);
                self.change(name, id).await
            }
            60..75 => self.twins().await,
            75..85 => self.unique().await,
            85..87 if self.allowed.extremes => self.expiring().await,
            85..90 => {
                let capped = self.database.collection::<Document>("capped");
                capped.insert_one(doc! { "_id": ObjectId::new(), "n": self.random.number() }).await.map(drop)
            }
            90..97 => self.transaction().await,
            97 => self.large().await,
            _ => self.catalog().await,
        }
    }

    fn id(&mut self, name: &str) -> Bson {
        let number = self.random.below(DOCUMENTS);
        match name {
            "collated" => {
                let text = format!("Key {number}");
                let spelling = match self.random.below(3) {
                    0 => text.to_uppercase(),
                    1 => text.to_lowercase(),
                    _ => text,
                };
                spelling.into()
            }
            _ => i64::try_from(number).unwrap().into(),
        }
    }

    fn value(&mut self) -> Bson {
        let n = self.random.number();
        match self.random.below(9) {
            0 => n.into(),
            1 => i64::from(n).into(),
            2 => f64::from(n).into(),
            3 => format!("text {n}").into(),
            4 => bson!([n, n + 1, { "c": n }]),
            5 => bson!({ "b": n, "c": [n], "0": n }),
            6 => Bson::Null,
            7 => bson!([[n, n], []]),
            _ => bson!({ "b": { "d": n } }),
        }
    }

    fn document(&mut self, id: Bson) -> Document {
        let mut document = doc! { "_id": id };
        for name in ["a", "b", "n", "z", "list", "1", "10", "2"] {
            if self.random.below(2) == 0 {
                document.insert(name, self.value());
            }
        }
        if self.allowed.odd_names && self.random.below(10) == 0 {
            document.insert("a.b", self.value());
        }
        if self.allowed.odd_names && self.random.below(10) == 0 {
            document.insert("$p", self.value());
        }
        document
    }

    fn path(&mut self) -> &'static str {
        const PATHS: [&str; 14] =
            ["a", "b", "n", "z", "a.b", "a.c", "a.b.d", "list", "list.0", "list.3", "a.0", "1", "10", "b.c.0"];
        PATHS[usize::try_from(self.random.below(14)).unwrap()]
    }

    fn update(&mut self) -> UpdateModifications {
        let (path, other) = (self.path(), self.path());
        let n = self.random.number();
        let value = self.value();
        let modifiers = match self.random.below(14) {
            0..3 => doc! { "$set": { path: value } },
            3 => doc! { "$set": { "z": value, "b": n, "new": n, "early": n } },
            4 => doc! { "$unset": { path: true } },
            5 if path != other => doc! { "$set": { path: value }, "$unset": { other: true } },
            6 => doc! { "$inc": { path: n } },
            7 => doc! { "$push": { "list": value } },
            8 => doc! { "$push": { "list": { "$each": [n, n], "$slice": -2 } } },
            9 => doc! { "$pop": { "list": 1 } },
            10 => doc! { "$rename": { "n": "m" } },
            11 => {
                let stage = doc! { "$set": { "list": { "$slice": [{ "$ifNull": ["$list", []] }, 1] } } };
                return UpdateModifications::Pipeline(vec![stage]);
            }
            12 if self.allowed.odd_names => {
                let set = doc! { "$setField": { "field": { "$literal": "a.b" }, "input": "$$ROOT", "value": n } };
                return UpdateModifications::Pipeline(vec![doc! { "$replaceWith": set }]);
            }
            _ => {
                let stage = doc! { "$replaceWith": { "$mergeObjects": [{ "moved": n }, "$$ROOT"] } };
                return UpdateModifications::Pipeline(vec![stage, doc! { "$unset": "b" }]);
            }
        };
        UpdateModifications::Document(modifiers)
    }

    async fn change(&mut self, name: &str, id: Bson) -> mongodb::error::Result<()> {
        let collection = self.database.collection::<Document>(name);
        let filter = doc! { "_id": &id };
        match self.random.below(10) {
            0 | 1 => collection.insert_one(self.document(id)).await.map(drop),
            2 => {
                let mut document = self.document(id);
                document.remove("_id");
                collection.replace_one(filter, document).upsert(true).await.map(drop)
            }
            3 => collection.delete_one(filter).await.map(drop),
            4 => {
                let update = self.update();
                let found = collection.find_one_and_update(filter, update).return_document(ReturnDocument::After);
                found.await.map(drop)
            }
            _ => collection.update_one(filter, self.update()).await.map(drop),
        }
    }

    /// `_id`s that are one to the server, and differ in their bytes.
    async fn twins(&mut self) -> mongodb::error::Result<()> {
        let number = i32::try_from(self.random.below(10)).unwrap();
        let id: Bson = match self.random.below(4) {
            0 => number.into(),
            1 => i64::from(number).into(),
            2 => f64::from(number).into(),
            _ => Bson::Decimal128(format!("{number}.0").parse::<Decimal128>().unwrap()),
        };
        let collection = self.database.collection::<Document>("twins");
        match self.random.below(4) {
            0 => collection.delete_one(doc! { "_id": id }).await.map(drop),
            1 => collection.insert_one(self.document(id)).await.map(drop),
            _ => collection.update_one(doc! { "_id": id }, self.update()).upsert(true).await.map(drop),
        }
    }

    /// Values of a unique index that wander from one document to another.
    async fn unique(&mut self) -> mongodb::error::Result<()> {
        let collection = self.database.collection::<Document>("unique");
        let (one, other) = (self.id("unique"), self.id("unique"));
        let value = i32::try_from(self.random.below(30)).unwrap();
        match self.random.below(5) {
            0 => collection.insert_one(doc! { "_id": one, "u": value }).await.map(drop),
            1 => collection.delete_one(doc! { "_id": one }).await.map(drop),
            2 => {
                let set = doc! { "$set": { "u": value } };
                collection.update_one(doc! { "_id": one }, set).upsert(true).await.map(drop)
            }
            _ => {
                // The two change their values with each other.
                let u = async |id: &Bson| {
                    let found = collection.find_one(doc! { "_id": id }).await?;
                    Ok::<_, mongodb::error::Error>(found.and_then(|found| found.get("u").cloned()))
                };
                let (Some(first), Some(second)) = (u(&one).await?, u(&other).await?) else { return Ok(()) };
                for (id, value) in [(&one, Bson::Int32(-1)), (&other, first), (&one, second)] {
                    collection.update_one(doc! { "_id": id }, doc! { "$set": { "u": value } }).await?;
                }
                Ok(())
            }
        }
    }

    async fn transaction(&mut self) -> mongodb::error::Result<()> {
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        for name in ["first", "second"] {
            let collection = self.database.collection::<Document>(name);
            for _ in 0..=self.random.below(4) {
                let filter = doc! { "_id": self.id(name) };
                let n = self.random.number();
                let set = doc! { "$set": { "n": n, "in": "a transaction" } };
                collection.update_one(filter, set).upsert(true).session(&mut session).await?;
            }
        }
        match self.random.below(5) {
            0 => session.abort_transaction().await,
            _ => session.commit_transaction().await,
        }
    }

    /// Documents that the servers may delete at any moment, unless they are given a longer life before.
    async fn expiring(&mut self) -> mongodb::error::Result<()> {
        let collection = self.database.collection::<Document>("expiring");
        let hours = if self.random.below(2) == 0 { -1 } else { 1 };
        let at = DateTime::from_millis(DateTime::now().timestamp_millis() + hours * 3_600_000);
        let set = doc! { "$set": { "at": at, "n": self.random.number() } };
        collection.update_one(doc! { "_id": self.id("expiring") }, set).upsert(true).await.map(drop)
    }

    /// Comes to an end at which no server deletes anything any more.
    pub(crate) async fn expire(&self) {
        let expired = doc! { "at": { "$lt": DateTime::now() } };
        self.database.collection::<Document>("expiring").delete_many(expired).await.unwrap();
    }

    async fn large(&mut self) -> mongodb::error::Result<()> {
        let collection = self.database.collection::<Document>("plain");
        let largest = if self.allowed.extremes && self.random.below(6) == 0 { 15 << 20 } else { 1_000_000 };
        let text = "x".repeat(200_000 + usize::try_from(self.random.below(largest)).unwrap());
        let filter = doc! { "_id": self.id("plain") };
        let n = self.random.number();
        collection.update_one(filter, doc! { "$set": { "large": text, "n": n } }).upsert(true).await.map(drop)
    }

    async fn catalog(&mut self) -> mongodb::error::Result<()> {
        let run = async |command| self.database.run_command(command).await.map(drop);
        let choice = self.random.below(match self.allowed.catalog {
            Catalog::Still => return Ok(()),
            Catalog::Told => 3,
            Catalog::Expanded => 8,
        });
        match choice {
            0 => run(doc! { "drop": "moving" }).await,
            1 | 2 => {
                let name = |name: &str| format!("{}.{name}", self.database.name());
                let (from, to) = if choice == 1 { ("moving", "moved") } else { ("moved", "moving") };
                let admin = self.client.database("admin");
                let rename = doc! { "renameCollection": name(from), "to": name(to), "dropTarget": true };
                admin.run_command(rename).await.map(drop)
            }
            3 => {
                let spec = doc! { "key": { "n": 1 }, "name": "n_1", "sparse": self.random.below(2) == 0 };
                run(doc! { "createIndexes": "first", "indexes": [spec] }).await
            }
            4 => run(doc! { "dropIndexes": "first", "index": "n_1" }).await,
            5 => run(doc! { "create": "born", "capped": true, "size": 1 << 20 }).await,
            6 => run(doc! { "drop": "born" }).await,
            _ => {
                let level = if self.random.below(2) == 0 { "off" } else { "moderate" };
                run(doc! { "collMod": "second", "validator": { "n": { "$gte": 0 } }, "validationLevel": level }).await
            }
        }
    }
}
