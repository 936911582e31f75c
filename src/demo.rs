//! The verb `demo`: the whole story on two throwaway servers, told as it goes, with the servers' own hashes as the judge.
//!
//! A 4.2 server with a bad index, and with an application that never stops writing, moves to a 6.0 server; the migration is killed
//! in the middle, goes on, and is cut over. The migration is a process of its own, the same that a user would start.

mod application;
mod mover;

use std::{path::Path, sync::Arc, time::Instant};

use bson::{Document, doc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::{application::Application, mover::Mover};
use crate::{
    catalog,
    connect::{Server, Uri, connect},
    error::{Error, ErrorKind, Result},
    migrate::{CutoverRequest, MigrationReport, Verify},
    sandbox::{Directory, Release, ReplicaSet, ReplicaSetOptions, ServerBinary},
    selection::{Selection, SelectionOptions},
    shop::{self, Shop},
};

/// The database of the demo.
const DATABASE: &str = "shop";
/// The seed of its data.
const SEED: u64 = 20_250_607;
/// How fast the copy goes, in bytes a second: so slowly that there is a middle to kill it in.
const RATE: u64 = 30_000_000;

/// How to run the demo.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// How much data: 1 is 1,000,000 orders.
    pub scale: f64,
    /// Cursors, and insert commands, at once.
    pub parallel: usize,
}

/// What the demo has shown.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// The version of the target.
    pub server: String,
    /// The version of the source.
    pub source_server: String,
    /// How long it took to make and load the data.
    pub load_seconds: f64,
    /// Writes of the application while its data moved.
    pub writes: u64,
    /// Documents that had arrived when the migration was killed.
    pub killed_at: u64,
    /// What the migration has come to.
    pub migration: MigrationReport,
    /// Each collection with its hash on both sides, as the servers computed it.
    pub hashes: Vec<ComparedHash>,
    /// Whether all of them are equal, and nothing else differs.
    pub equal: bool,
    /// How long it all took, with the servers and the data.
    pub seconds: f64,
}

/// The `dbHash` of one collection on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct ComparedHash {
    /// The collection.
    pub collection: String,
    /// Its hash on the source.
    pub source: String,
    /// Its hash on the target.
    pub target: String,
}

/// Is told the story.
pub type Narrator = Arc<dyn Fn(&str) + Send + Sync>;

/// Moves a live database between two throwaway servers, and compares.
///
/// # Errors
/// When no server can be found or fetched, or anything fails on the way. Differences are no error but in the report.
pub async fn demo(options: DemoOptions, tell: Narrator, cancel: CancellationToken) -> Result<DemoReport> {
    tokio::select! {
        shown = show(options, tell) => shown,
        // What is dropped here stops its servers, and takes its folder along.
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}

async fn show(options: DemoOptions, tell: Narrator) -> Result<DemoReport> {
    let begun = Instant::now();
    let (source_set, target_set) = servers(&tell).await?;
    let source = connect(&Uri::read(&source_set.uri())?.0, options.parallel).await?;
    let target = connect(&Uri::read(&target_set.uri())?.0, options.parallel).await?;
    tell(&format!("The old host: MongoDB {}. The new one: MongoDB {}.", source.version(), target.version()));
    let loading = Instant::now();
    shop::load(&source, DATABASE, &Shop { seed: SEED, scale: options.scale }).await?;
    let load_seconds = loading.elapsed().as_secs_f64();
    if bad_index(&source_set).await? {
        tell(
            "It has a database 'shop', and an index with `safe: null`, as Mongoose once made them: mongorestore fails on it.",
        );
    }
    let application = Application::start(&source, DATABASE);
    tell("An application writes to it all the while, and does not know what is going on.");

    let folder = Directory::create(&std::env::temp_dir(), "transload-demo-").await?;
    let directory = folder.path().join("move");
    let mut mover = Mover::new(&source_set.uri(), &target_set.uri(), DATABASE, &directory, options.parallel, RATE)?;
    tell("$ transload migrate OLD/shop NEW --dir move/      (held to 30 MB/s, so that there is something to see)");
    mover.start()?;
    let killed_at = mover.until_half().await?.documents;
    mover.kill().await?;
    tell(&format!("  killed (SIGKILL), with {killed_at} documents on the new host."));
    tell("$ transload migrate OLD/shop NEW --dir move/      (the same command once more: it goes on)");
    mover.start()?;
    let status = mover.until_following().await?;
    tell(&format!("  copied {} documents, and follows: {} changes applied so far.", status.documents, status.events));
    status.repaired_indexes.iter().for_each(|repaired| tell(&format!("  repaired: {repaired}")));
    let writes = application.stop().await?;
    tell(&format!("The application is stopped, after {writes} writes. (From 6.0 on, --fence-source does that.)"));
    tell("$ transload cutover move/");
    let request = CutoverRequest { id: 1, fence_source: false, verify: Verify::Full };
    let migration = mover.cut_over(&request).await?;
    let hashes = compare(&source_set.db_hash(DATABASE).await?, &target_set.db_hash(DATABASE).await?)?;
    let equal = migration.outcome == crate::migrate::Outcome::Clean
        && names(&source).await? == names(&target).await?
        && !hashes.is_empty()
        && hashes.iter().all(|hash| hash.source == hash.target);
    Ok(DemoReport {
        server: target.version().to_string(),
        source_server: source.version().to_string(),
        load_seconds,
        writes,
        killed_at,
        migration,
        hashes,
        equal,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// A 4.2 server and a 6.0 server; where somebody has named a server, that one twice.
async fn servers(tell: &Narrator) -> Result<(ReplicaSet, ReplicaSet)> {
    let notice = |message: &str| tell(message);
    tell("Starting two throwaway servers.");
    let (old, new) = if std::env::var_os("TRANSLOAD_MONGOD").is_some_and(|path| !path.is_empty()) {
        let binary = ServerBinary::find(&notice).await?;
        (binary.clone(), binary)
    } else {
        match ServerBinary::release(Release::V4_2_6, &notice).await {
            Ok(old) => (old, ServerBinary::release(Release::V6_0_5, &notice).await?),
            // There is no package index, but perhaps a server.
            Err(error) if error.kind() == ErrorKind::MissingTool => {
                let binary = ServerBinary::find(&notice).await?;
                (binary.clone(), binary)
            }
            Err(error) => return Err(error),
        }
    };
    let (old, new) = (ReplicaSetOptions::new(old), ReplicaSetOptions::new(new));
    tokio::try_join!(ReplicaSet::start(&old), ReplicaSet::start(&new))
}

/// Makes an index as a careless driver did; whether the server has let it.
async fn bad_index(set: &ReplicaSet) -> Result<bool> {
    let skip = |mode: &str| doc! { "configureFailPoint": "skipIndexCreateFieldNameValidation", "mode": mode };
    if set.fail_point(skip("alwaysOn")).await.is_err() {
        return Ok(false);
    }
    let database = set.client().await?.database(DATABASE);
    let spec = doc! { "key": { "customer.email": 1 }, "name": "customer.email_1", "v": 1, "safe": null };
    let made = database.run_command(doc! { "createIndexes": "orders", "indexes": [spec] }).await;
    set.fail_point(skip("off")).await?;
    Ok(made.is_ok())
}

fn compare(source: &Document, target: &Document) -> Result<Vec<ComparedHash>> {
    let collections = |reply: &Document| {
        let missing = |_| Error::new(ErrorKind::Server, "the server's dbHash names no collections");
        reply.get_document("collections").cloned().map_err(missing)
    };
    let (source, target) = (collections(source)?, collections(target)?);
    let names: std::collections::BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let hash = |of: &Document, name: &str| of.get_str(name).unwrap_or("missing").to_owned();
    Ok(names
        .into_iter()
        .map(|name| ComparedHash { collection: name.clone(), source: hash(&source, name), target: hash(&target, name) })
        .collect())
}

/// The names of all collections. What else they are, the migration has compared.
async fn names(server: &Server) -> Result<Vec<String>> {
    let all = Selection::new(&SelectionOptions::default())?;
    let entries = catalog::read(server, &all).await?.entries;
    Ok(entries.into_iter().map(|entry| entry.namespace.to_string()).collect())
}

/// The connection string with a database in it.
fn with_database(uri: &str, database: &str) -> String {
    uri.replacen("/?", &format!("/{database}?"), 1)
}

/// The program that runs.
fn program() -> Result<std::path::PathBuf> {
    std::env::current_exe().map_err(|error| Error::io(Path::new("the program's own file"), error))
}
