//! A replay beside prepared bulk writes of the same effect.

use std::{collections::BTreeMap, path::Path};

use bson::{Document, doc};

use crate::{
    Bench, document, in_database,
    race::{contender, race},
    writes::{Write, Writes, commands, save},
};

const DATABASE: &str = "changed";

/// Documents that are there, and what happens to them.
pub(crate) struct Workload {
    pub(crate) collections: usize,
    /// In each collection, before anything happens.
    pub(crate) documents: usize,
    /// In all.
    pub(crate) events: usize,
    /// 70 % updates, 25 % inserts and 5 % deletes; otherwise updates alone.
    pub(crate) is_mixed: bool,
}

impl Workload {
    fn collection(number: usize) -> String {
        format!("items{number}")
    }

    /// What happens, in its order.
    fn writes(&self) -> Writes {
        let one = |number: usize| {
            let mut state = number as u64 + 1;
            let mut random = |below: usize| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                ((state >> 33) as usize % below) as i64
            };
            let mut next = self.documents as i64;
            let mut is_there = vec![true; self.documents];
            let mut writes = Vec::new();
            for version in 1..=(self.events / self.collections) as i64 {
                let kind = if self.is_mixed { random(100) } else { 0 };
                let id = random(self.documents);
                if (70..95).contains(&kind) {
                    writes.push(Write::Insert(document(next, version)));
                    next += 1;
                } else if kind >= 95 && std::mem::take(&mut is_there[id as usize]) {
                    writes.push(Write::Delete(id));
                } else {
                    let alive = (0..).map(|step| (id + step) % self.documents as i64).find(|id| is_there[*id as usize]);
                    let fields = doc! { "version": version, "state": format!("changed {version}") };
                    writes.push(Write::Set(alive.expect("one is there"), fields));
                }
            }
            (Self::collection(number), writes)
        };
        (0..self.collections).map(one).collect()
    }
}

/// The least writes that leave the same documents.
fn folded(writes: &Writes) -> Writes {
    let fold = |writes: &Vec<Write>| {
        let mut last: BTreeMap<i64, Write> = BTreeMap::new();
        for write in writes {
            let id = match write {
                Write::Insert(document) => document.get_i64("_id").expect("an id"),
                Write::Set(id, _) | Write::Delete(id) => *id,
            };
            // Every update sets the same fields, and nothing inserted is changed.
            last.insert(id, write.clone());
        }
        last.into_values().collect()
    };
    writes.iter().map(|(collection, writes)| (collection.clone(), fold(writes))).collect()
}

/// The same writes by their kinds, for commands that are as large as they can be: nothing inserted is changed, and
/// nothing deleted is changed behind that.
fn grouped(mut writes: Writes) -> Writes {
    for (_, writes) in &mut writes {
        writes.sort_by_key(|write| match write {
            Write::Set(..) => 0,
            Write::Delete(_) => 1,
            Write::Insert(_) => 2,
        });
    }
    writes
}

pub(crate) async fn race_replays(bench: &Bench, workload: &Workload) {
    let (source, target) = (in_database(&bench.source.uri(), DATABASE), in_database(&bench.target.uri(), DATABASE));
    let client = bench.source.client().await.expect("connected");
    let database = client.database(DATABASE);
    database.drop().await.expect("dropped");
    for number in 0..workload.collections {
        let collection = database.collection::<Document>(&Workload::collection(number));
        let documents: Vec<Document> = (0..workload.documents).map(|id| document(id as i64, 0)).collect();
        collection.insert_many(documents).await.expect("inserted");
    }
    let since = bench.time().await;
    let path = |name: &str| bench.folder.join(name).to_str().expect("a path").to_owned();
    let (archive, log) = (path("base.tlz"), path("log"));
    assert!(Bench::transload(&["dump", &source, &archive, "--force"]).status().expect("started").success());
    let writes = workload.writes();
    for command in commands(&writes, true) {
        database.run_command(command).await.expect("written");
    }
    let until = bench.time().await;
    client.database("ticks").collection("ticks").insert_one(doc! { "at": "end" }).await.expect("inserted");
    let _ = std::fs::remove_dir_all(&log);
    let capture = ["capture", &source, &log, "--since", &since, "--until", &until];
    assert!(Bench::transload(&capture).status().expect("started").success());
    let (each, least) = (path("each"), path("least"));
    save(&commands(&grouped(folded(&writes)), false), least.as_ref());
    save(&commands(&grouped(writes), true), each.as_ref());

    let work = path("work");
    let replay = |parallel: &'static str| {
        let (work, target, archive) = (work.clone(), target.clone(), archive.clone());
        move || Bench::transload(&["replay", &work, &target, "--archive", &archive, "--parallel", parallel])
    };
    let send = |file: &str| {
        let (file, target) = (file.to_owned(), target.clone());
        move || Bench::this(&["write", &target, &file])
    };
    let mut contenders = vec![
        contender("transload replay", None, replay("8")),
        contender("prepared, the least writes", None, send(&least)),
        contender("prepared, a write an event", None, send(&each)),
    ];
    if workload.collections > 1 {
        contenders.push(contender("transload replay, 1 lane", None, replay("1")));
    }
    let copy = bench.target.client().await.expect("connected");
    let clean = || async {
        copy.database(DATABASE).drop().await.expect("dropped");
        assert!(Bench::transload(&["restore", &archive, &bench.target.uri()]).status().expect("started").success());
        copy.database("admin").run_command(doc! { "fsync": 1 }).await.expect("synced");
        let _ = std::fs::remove_dir_all(&work);
        copy_folder(log.as_ref(), work.as_ref());
    };
    let kind = if workload.is_mixed { "mixed events" } else { "updates" };
    let title = format!("{} {kind} of {} x {} documents", workload.events, workload.collections, workload.documents);
    race(bench.runs, &title, &mut contenders, clean).await;
    let (expected, found) = (bench.source.db_hash(DATABASE).await, bench.target.db_hash(DATABASE).await);
    assert_eq!(expected.expect("hashes").get("collections"), found.expect("hashes").get("collections"), "not the same");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("read").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
