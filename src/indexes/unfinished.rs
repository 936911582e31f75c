//! What a repair that was cut has left to do: indexes of its journal that the server lacks, and guards that stand in
//! for them.

use std::{fmt, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    collection::Collection,
    guard::{self, PREFIX, is_unique},
    held::{Held, held_by},
    whereabouts::{Whereabouts, building, live, whereabouts},
};
use crate::{
    catalog::{
        self,
        index_spec::{Sanitized, Verdict},
        sidecar::{CollectionIndexes, index_name},
    },
    connect::{Server, Version},
    error::{Error, Result},
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
    /// The journal under the names that its collections have now, but for those that are gone.
    pub(super) listed: Vec<CollectionIndexes>,
    /// Which collections have another name now.
    pub(super) renamed: Vec<String>,
    /// What cannot be finished, because the collection is not the one that it was, and why.
    pub(super) gone: Vec<String>,
    /// What of that cannot be built, because someone has built another index in its place meanwhile.
    pub(super) blocked: Vec<Blocked>,
}

/// A guard, and whether the index is there that it stands in for.
#[derive(Debug)]
pub(super) struct LeftGuard {
    pub(super) namespace: Namespace,
    pub(super) spec: Vec<u8>,
    pub(super) is_needed: bool,
    is_blocked: bool,
}

/// An index that the server lacks and takes from nobody, while another one is there.
#[derive(Debug)]
pub(super) struct Blocked {
    namespace: Namespace,
    index: String,
    /// The other one, and what to do about it.
    why: String,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} cannot be built: {}", self.namespace, self.index, self.why)
    }
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
            let then = Namespace::parse(&listed.namespace)?;
            let namespace = match whereabouts(&server, &then, listed.uuid.as_deref()).await? {
                Whereabouts::There => then,
                Whereabouts::Renamed(now) => {
                    all.renamed.push(format!("{then} is called {now} now: what is left to do about it is done there"));
                    now
                }
                Whereabouts::Nowhere => {
                    all.gone.push(format!("{then} is not there any more: nothing is done about its indexes"));
                    continue;
                }
                Whereabouts::Replaced { has_indexes } => {
                    let live = if has_indexes { live(&server, &then).await? } else { Vec::new() };
                    let is_there = |clean: &Vec<u8>| {
                        live.iter().any(|live| held_by(live, clean, server.version()) == Some(Held::Same))
                    };
                    let lacks = listed.indexes.iter().filter(|index| !is_there(&index.spec));
                    let lacks: Vec<String> = lacks.map(|index| index_name(&index.spec)).collect();
                    if !lacks.is_empty() {
                        let lacks = lacks.join(", ");
                        all.gone.push(format!("{then} is another collection now: nothing is done about {lacks}"));
                    }
                    continue;
                }
            };
            all.list(listed, &namespace);
            let live = live(&server, &namespace).await?;
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

    /// What is left on the server that is not its users', and can go.
    pub(super) fn left(&self) -> impl Iterator<Item = String> {
        let guards = self.guards.iter().filter(|guard| !guard.is_blocked);
        guards.map(LeftGuard::name).chain(self.scratches.iter().map(Namespace::to_string))
    }

    /// Why this index, which the server lacks, cannot be built.
    pub(super) fn blocked(&self, namespace: &Namespace, index: &str) -> Option<&str> {
        let of = |blocked: &&Blocked| blocked.namespace == *namespace && blocked.index == index;
        self.blocked.iter().find(of).map(|blocked| blocked.why.as_str())
    }

    /// Whether the server lacks this index.
    pub(super) fn is_lost(&self, namespace: &str, index: &str) -> bool {
        let of = |collection: &&Collection| collection.namespace.to_string() == namespace;
        self.lost.iter().filter(of).any(|collection| collection.indexes.iter().any(|lost| lost.name == index))
    }

    /// Lists it by the name that it has now: a journal has each name once.
    fn list(&mut self, listed: &CollectionIndexes, now: &Namespace) {
        let now = now.to_string();
        match self.listed.iter_mut().find(|other| other.namespace == now) {
            Some(other) => {
                other.indexes.extend(listed.indexes.iter().cloned());
                other.not_built.extend(listed.not_built.iter().cloned());
            }
            None => self.listed.push(CollectionIndexes { namespace: now, ..listed.clone() }),
        }
    }

    fn hold(&mut self, listed: &CollectionIndexes, namespace: Namespace, live: &[Vec<u8>], version: Version) {
        let mut lost = Vec::new();
        for index in &listed.indexes {
            let found: Vec<Held> = live.iter().filter_map(|live| held_by(live, &index.spec, version)).collect();
            let is_needed = !found.contains(&Held::Same);
            let other = found.into_iter().find_map(|held| if let Held::Other(name) = held { Some(name) } else { None });
            let other = other.filter(|_| is_needed);
            let is_guard = |live: &&Vec<u8>| is_unique(&index.spec) && guard::is_of(live, &index.spec);
            let guards: Vec<_> = live.iter().filter(is_guard).cloned().collect();
            let name = index_name(&index.spec);
            if let Some(other) = &other {
                let mut why = format!(
                    "the index {other} that is there now does not do what the {name} of the journal did, and stands in its \
                     way: drop it, and run the same command again (or take {name} out of the journal, if it is not wanted any more)"
                );
                why.extend(guards.iter().map(|guard| format!("; {} still keeps its keys unique", index_name(guard))));
                self.blocked.push(Blocked { namespace: namespace.clone(), index: name.clone(), why });
            }
            let is_blocked = other.is_some();
            let guard = |spec| LeftGuard { namespace: namespace.clone(), spec, is_needed, is_blocked };
            self.guards.extend(guards.into_iter().map(guard));
            if is_needed {
                lost.push(Sanitized {
                    name,
                    original: index.original.as_ref().unwrap_or(&index.spec).clone(),
                    verdict: Verdict::Build(index.spec.clone()),
                    repairs: index.repairs.clone(),
                });
            }
        }
        if !lost.is_empty() {
            self.lost.push(Collection { namespace, uuid: listed.uuid.clone(), indexes: lost });
        }
    }
}
