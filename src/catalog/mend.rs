//! The last step of a cutover: the catalog of the target is made equal to the source's, and it is said what was done.
//!
//! Before 6.0 no change stream tells of index builds, options and views, or of a collection that was created and never
//! written to; and indexes that expire documents are held back on the target while a migration runs. So when the source
//! takes no more writes and all its documents are on the target, both catalogs are compared, and the difference is
//! applied.
//!
//! Whatever is done twice is done once: the catalogs are read anew each time, so a call after one that was interrupted
//! does what was left. A collection is never dropped, and nothing is touched that has not the name of something
//! selected.

mod expiry;
mod indexes;
mod options;
mod sides;
mod views;

use std::time::Instant;

use bson::RawDocumentBuf;
use serde::Serialize;
use transload_format::{Collection, CollectionType};

pub(crate) use self::expiry::hold_expiry;
use self::{
    indexes::Plan,
    sides::{Pair, Sides},
};
use super::{
    apply,
    build::reason,
    filled::is_filled,
    index_spec::Verdict,
    meaning::{MeantIndex, meant_indexes},
    read::kind_name,
    sharding::Sharding,
    truth::index_specs,
    watch::BuildWatch,
};
use crate::{
    at_once::at_once,
    connect::{Doing, Server, Version},
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::{News, Progress},
    selection::Selection,
};

/// What was done to a namespace of the target, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Its name on the target.
    pub namespace: Namespace,
    /// What it is about, and what was done: `created`, `option validator: changed`, `index a_1: built`.
    pub what: String,
    /// Why it was not done: the server's reason, or ours.
    pub failed: Option<String>,
    /// Whether a copy that is made anew would be as the source has it.
    #[serde(skip)]
    pub(crate) is_cured_anew: bool,
}

impl Mended {
    fn new(namespace: &Namespace, what: impl Into<String>, failed: Option<String>) -> Self {
        Mended { namespace: namespace.clone(), what: what.into(), failed, is_cured_anew: false }
    }

    /// What only a copy that is made anew can put right.
    fn only_anew(namespace: &Namespace, what: impl Into<String>, why: String) -> Self {
        Mended { is_cured_anew: true, ..Mended::new(namespace, what, Some(why)) }
    }
}

impl std::fmt::Display for Mended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.failed {
            None => write!(f, "{}: {}", self.namespace, self.what),
            Some(reason) => write!(f, "{}: {}: not done: {reason}", self.namespace, self.what),
        }
    }
}

/// Makes the catalog of the target equal to the source's, as far as `selection` goes. `known` are the namespaces of the
/// source that have belonged to the migration at any time: of those that are not there any more, views are dropped.
///
/// Nothing may write to the source meanwhile, and all its documents must be on the target. Gives back nothing where the
/// two are equal already, and else what was done, in the order in which it was done to each namespace; what the server
/// refuses stands there with the reason, and stops nothing else.
///
/// # Errors
/// When a server does not answer, or the user lacks a privilege. What was done until then is done.
pub async fn mend(
    source: &Server,
    target: &Server,
    selection: &Selection,
    known: &[Namespace],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Vec<Mended>> {
    mend_sharded(source, target, selection, known, None, parallel, progress).await
}

/// The same of a target whose collections are sharded: what is created is so as well, and keeps the index of its key.
///
/// # Errors
/// As [`mend`].
pub(crate) async fn mend_sharded(
    source: &Server,
    target: &Server,
    selection: &Selection,
    known: &[Namespace],
    sharding: Option<&Sharding>,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Vec<Mended>> {
    let (source, target) = (&source.reading_primary(), &target.reading_primary());
    let mut sides = Sides::read(source, target, selection, known).await?;
    let mut mended = std::mem::take(&mut sides.in_doubt);
    mended.extend(views::drop_stale(target, &mut sides).await?);
    let parallel = parallel.max(1);
    let is_view = |pair: &Pair| pair.source.collection.kind == CollectionType::View;
    let (views, collections): (Vec<Pair>, Vec<Pair>) = sides.pairs.into_iter().partition(is_view);
    let make = |pair| make(source, target, sharding, pair);
    let made: Vec<Made> = at_once(collections, parallel, |_| 0, make).await?;
    mended.extend(build_indexes(target, made, parallel, progress).await?);
    mended.extend(views::create(target, &views).await?);
    Ok(mended)
}

/// A collection that is there, with its options.
struct Made {
    /// Its name on the source.
    source: Namespace,
    /// Its name on the target.
    name: Namespace,
    /// How many documents it has there, if that is known.
    documents: Option<u64>,
    /// What was done.
    mended: Vec<Mended>,
    /// What is to be done about its indexes.
    plan: Plan,
}

/// Makes a collection be there, with its options.
async fn make(source: &Server, target: &Server, sharding: Option<&Sharding>, pair: Pair) -> Result<Made> {
    let (name, wanted) = (&pair.target, &pair.source.collection);
    let documents = pair.existing.as_ref().map_or(Some(0), |existing| existing.documents);
    let namespace = &pair.source.namespace;
    let made = |mended, plan| Made { source: namespace.clone(), name: name.clone(), documents, mended, plan };
    let mut mended = Vec::new();
    let indexes_there = match &pair.existing {
        None => {
            let failed = refused(apply::create(target, name, wanted).await)?;
            mended.push(Mended::new(name, "created", failed.clone()));
            if failed.is_some() {
                return Ok(made(mended, Plan::default()));
            }
            if let Some(sharding) = sharding {
                let key = sharding.key(name);
                let supporting = wanted.indexes.iter().find(|spec| key.is_some_and(|key| key.is_supported_by(spec)));
                let meant = supporting.and_then(|spec| clean(wanted, spec, target.version()));
                if let Some(refused) = refused(sharding.shard(target, name, meant.as_deref()).await)? {
                    mended.push(Mended::new(name, "sharded", Some(refused)));
                }
            }
            // Some releases give a time series an index of their own accord.
            index_specs(target, name).await?.0
        }
        Some(existing) if existing.collection.kind != wanted.kind => {
            let (is, should) = (kind_name(existing.collection.kind), kind_name(wanted.kind));
            let reason =
                format!("it is a {is} on the target and a {should} on the source, and no collection is dropped");
            mended.push(Mended::only_anew(name, "type", reason));
            return Ok(made(mended, Plan::default()));
        }
        Some(existing) => {
            mended.extend(options::mend(target, name, wanted, &existing.collection).await?);
            existing.collection.indexes.clone()
        }
    };
    // Whether it was made now, or by a call before this one that did not come to its end.
    let on_target = pair.existing.as_ref().map_or(&pair.target, |existing| &existing.data);
    let is_lost = (pair.existing.is_none() || !is_filled(target, on_target).await?)
        && is_filled(source, &pair.source.data).await?;
    if is_lost {
        let reason = "its documents are not on the target".to_owned();
        mended.push(Mended::only_anew(name, "documents", reason));
    }
    let version = target.version();
    let of_source = meant_indexes(&wanted.options, &wanted.indexes, version);
    // Of what was created now the options are the source's.
    let options = pair.existing.as_ref().map_or(&wanted.options, |existing| &existing.collection.options);
    let mut of_target = meant_indexes(options, &indexes_there, version);
    if let Some(key) = sharding.and_then(|sharding| sharding.key(name)) {
        // The index that the server has made for the key of the collection is none to be dropped.
        let is_wanted = |index: &MeantIndex| of_source.iter().any(|wanted| wanted.name == index.name);
        of_target.retain(|index| is_wanted(index) || !key.is_of(&index.spec));
    }
    Ok(made(mended, Plan::new(of_source, &of_target)))
}

/// A spec of the source as the target takes it.
fn clean(collection: &Collection, spec: &[u8], version: Version) -> Option<Vec<u8>> {
    let meant = meant_indexes(&collection.options, &[spec.to_vec()], version).pop()?;
    match meant.verdict {
        Verdict::Build(spec) => Some(spec),
        Verdict::Inherent | Verdict::Merged(_) | Verdict::Refused(_) => None,
    }
}

/// Applies the plans of all collections; gives back everything that was done to each.
async fn build_indexes(
    target: &Server,
    made: Vec<Made>,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Vec<Mended>> {
    let with_builds = || made.iter().filter(|made| made.plan.builds());
    let watch = BuildWatch::new(progress, with_builds().map(|made| (&made.name, made.documents.unwrap_or_default())));
    if with_builds().next().is_some() {
        progress.stage("building indexes", Some(watch.documents()), None);
    }
    let watch = &watch;
    let build = |Made { source, name, documents, mut mended, plan }: Made| async move {
        let (begun, builds) = (Instant::now(), plan.builds());
        if builds {
            progress.of(&source, &News::Indexing { indexes: &plan.names() });
        }
        mended.extend(plan.apply(target, &name, documents.unwrap_or(u64::MAX)).await?);
        if builds {
            // What was built, and what was not, stands among what was mended.
            let seconds = begun.elapsed().as_secs_f64();
            progress.of(&source, &News::Indexed { built: &[], failed: &[], seconds });
        }
        watch.done(&name);
        Ok::<_, Error>(mended)
    };
    let all = at_once(made, parallel, |made| made.documents.unwrap_or(u64::MAX), build);
    tokio::select! {
        done = all => Ok(done?.into_iter().flatten().collect()),
        never = async {
            watch.watch(target).await;
            std::future::pending().await
        } => never,
    }
}

/// The server's reason, where it would not do something; other errors are errors.
fn refused(done: Result<()>) -> Result<Option<String>> {
    match done {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Server => Ok(Some(reason(&error))),
        Err(error) => Err(error),
    }
}

/// Runs a command that changes a namespace, as it is with the write concern of the server; the server's reason, where
/// it would not. Each of `done` says that it was done before.
async fn change(
    server: &Server,
    namespace: &Namespace,
    mut command: RawBuilder,
    doing: &Doing,
    done: &[i32],
) -> Result<Option<String>> {
    command.document("writeConcern", server.write_concern().as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    refused(apply::ddl_again(server, namespace, command, doing, done).await)
}
