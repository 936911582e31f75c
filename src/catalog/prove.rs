//! Proves index specs on a server before any document is there: built on an empty scratch collection, and dropped.
//!
//! What a server takes is the server's to say, and the time to hear it is before hours of loading. Collections with
//! the same options share a scratch collection, and equal specs are built once.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use transload_format::Collection;

use super::{
    apply::{create_for, drop},
    build::create_indexes,
    scratch::Scratches,
};
use crate::{
    connect::Server,
    document,
    error::{ErrorKind, Result},
};

/// Indexes of a scratch collection; a server takes 64 with the one on `_id`.
const INDEXES: usize = 60;
/// Scratch collections that are looked at for room.
const ROUNDS_SEARCHED: usize = 64;

/// Specs to prove.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The database that they are meant for.
    pub database: &'a str,
    /// The collection that they are meant for: its options count.
    pub collection: &'a Collection,
    /// The clean specs.
    pub specs: Vec<&'a [u8]>,
}

/// What stands for all collections of a database with the same options.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Likeness<'a> {
    database: &'a str,
    options: &'a [u8],
}

/// Why the server refuses each spec of each claim; none if it takes it. Nothing at all if the user may not make a
/// scratch collection and drop it again: then it will show when the indexes are built.
///
/// # Errors
/// When the server does not answer, or fails to make a scratch collection.
pub async fn prove(
    server: &Server,
    scratches: &Scratches,
    claims: &[Claim<'_>],
    parallel: usize,
) -> Result<Option<Vec<Vec<Option<String>>>>> {
    let mut rounds: Vec<(Likeness<'_>, &Collection, Vec<&[u8]>)> = Vec::new();
    let mut seen: HashMap<(Likeness<'_>, &[u8]), (usize, usize)> = HashMap::new();
    for claim in claims {
        let likeness = Likeness { database: claim.database, options: &claim.collection.options };
        for spec in &claim.specs {
            if seen.contains_key(&(likeness.clone(), *spec)) {
                continue;
            }
            let room = |(other, _, specs): &(Likeness<'_>, _, Vec<&[u8]>)| {
                *other == likeness && specs.len() < INDEXES && !specs.iter().any(|other| would_clash(other, spec))
            };
            // The last ones only: among thousands of specs that clash with each other a search would take for ever.
            let first = rounds.len().saturating_sub(ROUNDS_SEARCHED);
            let found = rounds.iter().enumerate().skip(first).find(|(_, round)| room(round)).map(|(place, _)| place);
            let round = found.unwrap_or_else(|| {
                rounds.push((likeness.clone(), claim.collection, Vec::new()));
                rounds.len() - 1
            });
            if let Some((_, _, specs)) = rounds.get_mut(round) {
                seen.insert((likeness.clone(), *spec), (round, specs.len()));
                specs.push(*spec);
            }
        }
    }
    let one = |(likeness, collection, specs): &(Likeness<'_>, &Collection, Vec<&[u8]>)| {
        on_scratch(
            server,
            scratches,
            likeness.database.to_owned(),
            (*collection).clone(),
            specs.iter().map(|s| s.to_vec()).collect(),
        )
    };
    let proven: Result<Vec<_>> = stream::iter(rounds.iter().map(one)).buffered(parallel.max(1)).try_collect().await;
    let proven = match proven {
        Err(error) if error.kind() == ErrorKind::Authorization => return Ok(None),
        proven => proven?,
    };
    let of = |claim: &Claim<'_>| {
        let likeness = Likeness { database: claim.database, options: &claim.collection.options };
        let reason = |spec: &&[u8]| {
            let (round, place) = seen.get(&(likeness.clone(), *spec))?;
            proven.get(*round)?.get(*place)?.clone()
        };
        claim.specs.iter().map(reason).collect()
    };
    Ok(Some(claims.iter().map(of).collect()))
}

/// Whether a collection cannot have both: by their names, by their keys, or because each is a text index.
fn would_clash(one: &[u8], other: &[u8]) -> bool {
    let same = |name| document::find(one, name).map(|a| a.value) == document::find(other, name).map(|b| b.value);
    let text = |spec: &[u8]| {
        let key = document::find(spec, b"key").map_or(&[][..], |key| key.value);
        document::elements(key).map_while(Result::ok).any(|key| key.string() == Some(b"text"))
    };
    same(b"name") || same_key(one, other) || (text(one) && text(other))
}

fn same_key(one: &[u8], other: &[u8]) -> bool {
    let names = |spec| {
        let key = document::find(spec, b"key").map_or(&[][..], |key| key.value);
        document::elements(key).map_while(Result::ok).map(|key| key.name.to_vec()).collect::<Vec<_>>()
    };
    names(one) == names(other)
}

async fn on_scratch(
    server: &Server,
    scratches: &Scratches,
    database: String,
    collection: Collection,
    specs: Vec<Vec<u8>>,
) -> Result<Vec<Option<String>>> {
    let scratch = scratches.begin(&database)?;
    // Who may not drop it must not make it.
    if let Err(error) = drop(server, &scratch).await {
        scratches.ended(&scratch);
        return Err(error.at(collection.namespace));
    }
    let doing = format!("prove index specs on a scratch collection of {}", scratch.database());
    let proven = match create_for(server, &scratch, &collection, doing, &server.write_concern()).await {
        Ok(()) => create_indexes(server, &scratch, &specs, 0).await,
        Err(error) => Err(error),
    };
    // Whatever came of it, nothing must stay; of two errors the first is the cause.
    let dropped = drop(server, &scratch).await;
    scratches.ended(&scratch);
    proven.and_then(|proven| dropped.map(|()| proven)).map_err(|error| error.at(collection.namespace))
}
