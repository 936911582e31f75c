//! What a repair that was cut has left to do: indexes of its journal that the server lacks, and guards that stand in
//! for them.

use std::{slice, time::Duration};

use bson::{Bson, rawdoc};
use tokio_util::sync::CancellationToken;

use super::{
    collection::Collection,
    guard::{self, PREFIX, is_unique},
};
use crate::{
    catalog::{
        self,
        index_spec::{Author, Context, Sanitized, Verdict, sanitize},
        sidecar::{CollectionIndexes, index_name},
    },
    connect::{Doing, Server, Version},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::Progress,
};

/// How often the server is asked whether a build has ended.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The indexes of a journal, held against the server.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    /// What the server lacks, by its collections.
    pub(super) lost: Vec<Collection>,
    /// The guards that are there.
    pub(super) guards: Vec<LeftGuard>,
    /// The collections that specs were tried on, and that are there still.
    pub(super) scratches: Vec<Namespace>,
    /// Indexes that the server is building still: it does not stop when whoever began it is gone, and lists them already.
    pub(super) building: Vec<String>,
    /// What cannot be finished, because the collection is not the one that it was, and why.
    pub(super) gone: Vec<(String, String)>,
    /// Where someone has built another index of the same key meanwhile.
    pub(super) others: Vec<String>,
}

/// A guard, and whether the index is there that it stands in for.
#[derive(Debug)]
pub(super) struct LeftGuard {
    pub(super) namespace: Namespace,
    pub(super) spec: Vec<u8>,
    pub(super) is_needed: bool,
}

impl LeftGuard {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.namespace, index_name(&self.spec))
    }
}

impl Unfinished {
    /// Looks at the server for everything that stands in the journal.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn look(server: &Server, journal: &[CollectionIndexes], scratches: &[String]) -> Result<Self> {
        let server = server.reading_primary();
        let mut all = Unfinished::default();
        for scratch in scratches {
            let scratch = Namespace::parse(scratch)?;
            if catalog::found(&server, &scratch).await?.is_some() {
                all.scratches.push(scratch);
            }
        }
        for listed in journal {
            let namespace = Namespace::parse(&listed.namespace)?;
            let uuid = catalog::found(&server, &namespace).await?.map(|uuid| uuid.map(hexadecimal));
            let is_same = match (&uuid, &listed.uuid) {
                (None, _) => false,
                (Some(Some(now)), Some(then)) => now == then,
                _ => true,
            };
            if !is_same {
                let is = if uuid.is_none() { "is not there any more" } else { "is another collection now" };
                let of: Vec<String> = listed.indexes.iter().map(|index| index_name(&index.spec)).collect();
                let why = format!("{namespace} {is}: nothing is done about {}", of.join(", "));
                all.gone.push((listed.namespace.clone(), why));
                continue;
            }
            let (live, _) = catalog::index_specs(&server, &namespace).await?;
            let (live, _) = catalog::unhidden(&server, &namespace, live).await?;
            let is_ours = |name: &String| {
                name.starts_with(PREFIX) || listed.indexes.iter().any(|index| index_name(&index.spec) == *name)
            };
            let building = building(&server, &namespace).await?;
            all.building.extend(building.into_iter().filter(is_ours).map(|name| format!("{namespace} {name}")));
            all.hold(listed, namespace, &live, server.version());
        }
        Ok(all)
    }

    /// The same once nothing is being built any more.
    ///
    /// # Errors
    /// What the server says, and when it is cancelled.
    pub(super) async fn settled(
        server: &Server,
        (journal, scratches): (&[CollectionIndexes], &[String]),
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        loop {
            let all = Unfinished::look(server, journal, scratches).await?;
            let Some(first) = all.building.first() else {
                return Ok(all);
            };
            progress.stage(&format!("{first} is being built"), None, None);
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = cancel.cancelled() => return Err(Error::interrupted()),
            }
        }
    }

    /// What is left on the server that is not its users'.
    pub(super) fn left(&self) -> impl Iterator<Item = String> {
        self.guards.iter().map(LeftGuard::name).chain(self.scratches.iter().map(Namespace::to_string))
    }

    /// Whether nothing can be done about a collection.
    pub(super) fn is_gone(&self, namespace: &str) -> bool {
        self.gone.iter().any(|gone| gone.0 == namespace)
    }

    /// Whether the server lacks this index.
    pub(super) fn is_lost(&self, namespace: &str, index: &str) -> bool {
        let of = |collection: &&Collection| collection.namespace.to_string() == namespace;
        self.lost.iter().filter(of).any(|collection| collection.indexes.iter().any(|lost| lost.name == index))
    }

    fn hold(&mut self, listed: &CollectionIndexes, namespace: Namespace, live: &[Vec<u8>], version: Version) {
        let mut lost = Vec::new();
        for index in &listed.indexes {
            let found = live.iter().find_map(|live| held_by(live, &index.spec, version));
            let name = index_name(&index.spec);
            if is_unique(&index.spec) {
                let is_guard = |live: &&Vec<u8>| guard::is_of(live, &index.spec);
                let is_needed = found.is_none();
                let guards = live.iter().filter(is_guard).map(|spec| (namespace.clone(), spec.clone()));
                self.guards.extend(guards.map(|(namespace, spec)| LeftGuard { namespace, spec, is_needed }));
            }
            match found {
                Some(Held::Same) => {}
                Some(Held::Other(other)) => {
                    self.others
                        .push(format!("{namespace}: an index of the key of {name} is there, {other}, and does less"));
                }
                None => lost.push(Sanitized {
                    name,
                    original: index.original.as_ref().unwrap_or(&index.spec).clone(),
                    verdict: Verdict::Build(index.spec.clone()),
                    repairs: index.repairs.clone(),
                }),
            }
        }
        if !lost.is_empty() {
            self.lost.push(Collection { namespace, uuid: listed.uuid.clone(), indexes: lost });
        }
    }
}

/// The names of the indexes that are being built. Who may not ask is told of none.
async fn building(server: &Server, namespace: &Namespace) -> Result<Vec<String>> {
    let doing = Doing::new(format!("ask what is built on {namespace}"), "collStats", namespace.database());
    let command = rawdoc! { "collStats": namespace.collection() };
    let statistics = match server.run(namespace.database(), command, &doing).await {
        // A view has none.
        Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => return Ok(Vec::new()),
        statistics => statistics?,
    };
    // A sharded cluster tells of each shard.
    let shards = statistics.get_document("shards").into_iter().flat_map(|shards| shards.values());
    let all = shards.filter_map(Bson::as_document).chain([&statistics]);
    let names = all.filter_map(|of| of.get_array("indexBuilds").ok()).flatten();
    Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// What an index that is there is for one that should be.
#[derive(Debug, PartialEq)]
enum Held {
    /// The same one, clean or as it was.
    Same,
    /// The one of this name, beside which the server takes no other.
    Other(String),
}

/// Whether an index that is there is this clean one, or the bad one that it is made of.
fn held_by(live: &Vec<u8>, clean: &Vec<u8>, target: Version) -> Option<Held> {
    let name = index_name(live);
    if name.starts_with(PREFIX) {
        return None;
    }
    let context = Context { options: &document::EMPTY, target, author: Author::Server };
    let is_alone = |spec: &Vec<u8>| sanitize(slice::from_ref(spec), &context).iter().all(|it| it.to_build().is_some());
    if !is_alone(live) || !is_alone(clean) {
        return (name == index_name(clean)).then_some(Held::Same);
    }
    let pair = sanitize(&[live.clone(), clean.clone()], &context);
    match pair.iter().find(|it| it.to_build().is_none()).map(|it| &it.verdict) {
        None => None,
        Some(Verdict::Refused(_)) => Some(Held::Other(name)),
        // The clean one would serve for it, and not the other way round.
        Some(_) if pair.last().is_some_and(|clean| clean.to_build().is_some()) => Some(Held::Other(name)),
        Some(_) => Some(Held::Same),
    }
}

/// A UUID as the journal has it.
pub(super) fn hexadecimal(uuid: [u8; 16]) -> String {
    uuid.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, raw::RawBsonRef, rawdoc};

    use super::*;

    fn held(live: RawDocumentBuf, target: Version) -> Option<Held> {
        let clean = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "unique": true };
        held_by(&live.into_bytes(), &clean.into_bytes(), target)
    }

    #[test]
    fn an_index_of_the_same_key_is_taken_for_the_one_that_was_dropped() {
        let (old, new) = (Version::new(4, 2, 6), Version::new(6, 0, 5));
        for target in [old, new] {
            let bad = rawdoc! { "v": 1, "key": { "a": true }, "name": "a_1", "unique": true, "safe": RawBsonRef::Null };
            assert_eq!(held(bad, target), Some(Held::Same));
            let by_hand = rawdoc! { "v": 2, "key": { "a": 1.0 }, "name": "mine", "unique": true };
            assert_eq!(held(by_hand, target), Some(Held::Same));
            let guard = rawdoc! { "v": 1, "key": { "a": -1 }, "name": "transload_guard_a_1", "unique": true };
            assert_eq!(held(guard, target), None);
            assert_eq!(held(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }, target), None);
            assert_eq!(held(rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "a_1" }, target), None);
        }
        let plain = || rawdoc! { "v": 2, "key": { "a": 1 }, "name": "plain" };
        assert_eq!(held(plain(), old), Some(Held::Other("plain".to_owned())));
        // From 5.0 on the two stand side by side.
        assert_eq!(held(plain(), new), None);
    }
}
