//! The verb `demo`: the whole story on two throwaway servers, with the servers' own hashes as the judge.

use std::{sync::Arc, time::Instant};

use bson::Document;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use crate::{
    archive::{ArchiveFile, Destination},
    connect::{Uri, connect},
    dump::{DumpOptions, dump},
    error::{Error, ErrorKind, Result},
    progress::Progress,
    report::{DumpReport, RestoreReport},
    restore::{Existing, IndexPolicy, IndexSource, RestoreOptions, Source, restore},
    sandbox::{ReplicaSet, ReplicaSetOptions, ServerBinary},
    scan::PART_BYTES,
    selection::{Selection, SelectionOptions},
    shop::{self, Shop},
};

/// The database of the demo.
const DATABASE: &str = "shop";
/// The seed of its data.
const SEED: u64 = 20_250_607;

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
    /// The version of both servers.
    pub server: String,
    /// How long it took to make and load the data.
    pub load_seconds: f64,
    /// The dump.
    pub dump: DumpReport,
    /// The restore.
    pub restore: RestoreReport,
    /// Each collection with its hash on both sides, as the servers computed it.
    pub hashes: Vec<ComparedHash>,
    /// Whether all of them are equal, and so are the options and the indexes.
    pub equal: bool,
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

/// Starts two replica sets, fills one, dumps it, restores the archive to the other, and compares.
///
/// # Errors
/// When no server can be found or fetched, or anything fails on the way. Differences are no error but in the report.
pub async fn demo(options: DemoOptions, progress: Arc<dyn Progress>, cancel: CancellationToken) -> Result<DemoReport> {
    tokio::select! {
        shown = show(options, progress, cancel.clone()) => shown,
        // What is dropped here stops its servers, and takes its folder along.
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}

async fn show(options: DemoOptions, progress: Arc<dyn Progress>, cancel: CancellationToken) -> Result<DemoReport> {
    let notice = |message: &str| progress.stage(message, None, None);
    progress.stage("starting two servers", None, None);
    let binary = ServerBinary::find(&notice).await?;
    let set = ReplicaSetOptions::new(binary);
    let (source_set, target_set) = tokio::try_join!(ReplicaSet::start(&set), ReplicaSet::start(&set))?;
    let source = connect(&Uri::read(&source_set.uri())?.0, options.parallel).await?;
    let target = connect(&Uri::read(&target_set.uri())?.0, options.parallel).await?;

    progress.stage("making the data", None, None);
    let begun = Instant::now();
    let shop = Shop { seed: SEED, scale: options.scale };
    shop::load(&source, DATABASE, &shop).await?;
    let load_seconds = begun.elapsed().as_secs_f64();

    let folder = tempfile::tempdir().map_err(|error| Error::io(std::env::temp_dir(), error))?;
    let path = folder.path().join("shop.tlz");
    let dump_options = DumpOptions {
        selection: Selection::new(&SelectionOptions::default())?,
        destination: Destination::File { path: path.clone(), replace: false },
        codec: Codec::default(),
        parallel: options.parallel,
        part_bytes: PART_BYTES,
        users_and_roles: false,
        consistent: false,
    };
    let dump = dump(&source, dump_options, Arc::clone(&progress), cancel.clone()).await?;
    let restore_options = RestoreOptions {
        selection: SelectionOptions::default(),
        existing: Existing::Refuse,
        dry_run: false,
        check: true,
        indexes: IndexSource::Beside,
        index_policy: IndexPolicy::Repair,
        users_and_roles: false,
        parallel: options.parallel,
    };
    let archive = Source::File(ArchiveFile::open_whole(&path)?);
    let restore = restore(archive, &target, restore_options, Arc::clone(&progress), cancel).await?;

    progress.stage("comparing both sides", None, None);
    let hashes = compare(&source_set.db_hash(DATABASE).await?, &target_set.db_hash(DATABASE).await?)?;
    let catalogs_equal = catalog(&source).await? == catalog(&target).await?;
    let equal = catalogs_equal && !hashes.is_empty() && hashes.iter().all(|hash| hash.source == hash.target);
    Ok(DemoReport { server: source.version().to_string(), load_seconds, dump, restore, hashes, equal })
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

/// Options and index specs of all collections: what `dbHash` does not cover.
async fn catalog(
    server: &crate::connect::Server,
) -> Result<std::collections::BTreeMap<String, (Vec<u8>, Vec<Vec<u8>>)>> {
    let all = Selection::new(&SelectionOptions::default())?;
    let entries = crate::catalog::read(server, &all).await?.entries;
    let of = |entry: crate::catalog::Entry| {
        let mut indexes = entry.collection.indexes;
        indexes.sort();
        (entry.namespace.to_string(), (entry.collection.options, indexes))
    };
    Ok(entries.into_iter().map(of).collect())
}
