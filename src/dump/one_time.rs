//! What a dump reads that is to be of one cluster time: the catalog too.
//!
//! A server tells its documents as of a past time, but its catalog only as it is. So the time is taken between two
//! readings of the catalog, and counts if they are alike.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DumpOptions,
    plan::{Plan, catalog_of, cut},
};
use crate::{
    catalog::{Catalog, Entry, Order, is_capped},
    connect::Server,
    error::{Error, ErrorKind, Result},
    scan::is_readable_at,
};

/// Times that are tried before the catalog is found to be too restless.
const TRIES: usize = 5;
/// Collections tried at once.
const CONCURRENCY: usize = 8;
/// How many names an error lists.
const NAMES_SHOWN: usize = 10;

impl Plan {
    /// What is to be read, and as of when. The collections are cut into parts, and all of them tried, before the dump
    /// begins: the server's window of history is open from the time that is taken on.
    ///
    /// # Errors
    /// Usage when the server cannot read as of one time, or not all that was selected; and when the catalog is never alike.
    pub(super) async fn at_one_time(server: &Server, options: &DumpOptions) -> Result<Self> {
        check(server)?;
        // Two readings of different members, of which one is behind, could be alike although something has changed.
        let primary = server.reading_primary();
        let mut catalog = catalog_of(&primary, options).await?;
        check_visible(&catalog).map_err(|error| error.at(server.place()))?;
        let mut unfit = Error::new(ErrorKind::Internal, "no time was tried");
        for _ in 0..TRIES {
            let jobs = cut(server, &catalog, options.cutting()).await?;
            let since = primary.operation_time().await?;
            let (unreadable, after) =
                futures_util::try_join!(unreadable(server, &catalog, since), catalog_of(&primary, options))?;
            let restless = changed(&catalog, &after);
            if restless.is_empty() && unreadable.is_empty() {
                return Ok(Plan { catalog, jobs, since, floor: since, at_one_time: true });
            }
            unfit = if restless.is_empty() { refused(&unreadable) } else { never_alike(&restless) }.at(server.place());
            // What else cannot be read has changed, and is again as it was: of a later time it may be readable.
            if restless.is_empty() && unreadable.iter().any(|entry| is_capped(&entry.collection.options)) {
                break;
            }
            catalog = after;
        }
        Err(unfit)
    }
}

fn check(server: &Server) -> Result<()> {
    let (message, hint) = if !server.replicates() {
        let message = "--consistent wants a replica set or a cluster: a standalone server has no cluster time";
        let hint = "dump without --consistent while nothing is written, or make it a replica set of one member";
        (message.to_owned(), hint)
    } else if !server.version().reads_as_of_a_time() {
        let message = format!("--consistent wants a server from 5.0 on, and this is {}", server.version());
        let hint = "dump without --consistent while 'transload capture' runs, and let 'transload replay' make the copy \
                    consistent";
        (message, hint)
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Usage, message).with_hint(hint).at(server.place()))
}

/// What was dropped meanwhile reads as empty: only whoever sees the UUIDs of collections can tell.
fn check_visible(catalog: &Catalog) -> Result<()> {
    let unseen = catalog.entries.iter().filter(|entry| entry.order != Order::Nothing && entry.uuid.is_none());
    let unseen: Vec<String> = unseen.map(|entry| entry.namespace.to_string()).collect();
    let message = match (catalog.missing.first(), unseen.is_empty()) {
        (Some(missing), _) => format!("--consistent wants to see everything, and something is missing: {missing}"),
        (None, false) => {
            format!("--consistent wants to see what collections are, and this user may not: {}", list(&unseen))
        }
        (None, true) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Authorization, message)
        .with_hint("the role 'read' on the database is enough; or dump without --consistent"))
}

/// What cannot be read as it was at `time`.
async fn unreadable<'a>(server: &Server, catalog: &'a Catalog, time: u64) -> Result<Vec<&'a Entry>> {
    let with_documents = catalog.entries.iter().filter(|entry| entry.order != Order::Nothing);
    let tried = stream::iter(with_documents)
        .map(|entry| async move {
            let readable = is_readable_at(server, entry, time).await?;
            Ok::<_, Error>((!readable).then_some(entry))
        })
        .buffered(CONCURRENCY);
    Ok(tried.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// What is in one of the catalogs, and not the same in the other.
fn changed(before: &Catalog, after: &Catalog) -> Vec<String> {
    let has = |catalog: &Catalog, entry: &Entry| {
        // Both are in the order of the names.
        let found = catalog.entries.binary_search_by(|other| other.namespace.cmp(&entry.namespace));
        let found = found.ok().and_then(|at| catalog.entries.get(at));
        found.is_some_and(|other| other.uuid == entry.uuid && other.collection == entry.collection)
    };
    let gone = before.entries.iter().filter(|entry| !has(after, entry));
    let come = after.entries.iter().filter(|entry| !has(before, entry));
    let mut names: Vec<_> = gone.chain(come).map(|entry| entry.namespace.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn refused(unreadable: &[&Entry]) -> Error {
    let names: Vec<_> = unreadable.iter().map(|entry| entry.namespace.to_string()).collect();
    let message = format!("the server cannot read as of one time, as --consistent wants it: {}", list(&names));
    Error::new(ErrorKind::Usage, message).with_hint(
        "of a capped collection it never can: leave those out with --exclude, and dump them by themselves; or dump \
         without --consistent",
    )
}

fn never_alike(restless: &[String]) -> Error {
    let message = format!(
        "there is no time to read everything as of: each time that one was taken, something had changed meanwhile, at \
         last {}",
        list(restless)
    );
    Error::new(ErrorKind::Server, message)
        .with_hint("leave out what comes and goes with --exclude, or dump when it is quiet, or without --consistent")
}

fn list(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES_SHOWN).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
