//! Both catalogs side by side: what is selected on the source, what has its name on the target, and what of the migration
//! the source has no more.

use std::collections::{BTreeMap, BTreeSet};

use super::Mended;
use crate::{
    catalog::{
        Catalog, Entry,
        read::{collections, databases, entries, is_copied},
    },
    connect::Server,
    error::Result,
    namespace::Namespace,
    selection::Selection,
};

/// Why a namespace is left as it is.
const UNREAD: &str = "its options or indexes cannot be read, for lack of a privilege";

/// A namespace of the source that has its place on the target.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Entry,
    /// Its name on the target.
    pub(super) target: Namespace,
    /// What has this name there.
    pub(super) existing: Option<Entry>,
}

/// What is compared.
#[derive(Debug, Default)]
pub(super) struct Sides {
    /// What is selected, in the order of the names on the source.
    pub(super) pairs: Vec<Pair>,
    /// What has the name of something that the source has no more.
    pub(super) gone: Vec<Entry>,
    /// What cannot be compared, and why.
    pub(super) in_doubt: Vec<Mended>,
}

/// What a server has in some databases.
#[derive(Default)]
struct Listing {
    /// Each with its entry of `listCollections`.
    listed: Vec<(Namespace, Vec<u8>)>,
    /// The databases of which the user may not see everything.
    partial: BTreeSet<String>,
}

impl Listing {
    async fn read(server: &Server, databases: BTreeSet<String>) -> Result<Self> {
        let mut listing = Listing::default();
        let listed = collections(server, databases.iter().cloned().collect()).await?;
        for (database, listed) in databases.into_iter().zip(listed) {
            listing.listed.extend(listed.collections);
            if listed.missing.is_some() {
                listing.partial.insert(database);
            }
        }
        listing.listed.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(listing)
    }

    /// What there is to know of each; none where the user may not know all of it.
    async fn entries(self, server: &Server) -> Result<Vec<(Namespace, Option<Entry>)>> {
        let entries = entries(server, self.listed).await?.into_iter().map(|found| {
            let namespace = found.entry.namespace.clone();
            let is_whole = found.missing.is_none() && !self.partial.contains(namespace.database());
            (namespace, Some(found.entry).filter(|_| is_whole))
        });
        Ok(entries.collect())
    }
}

impl Sides {
    /// Reads both.
    ///
    /// # Errors
    /// When a server refuses, or a rename leads to a name that no server takes.
    pub(super) async fn read(
        source: &Server,
        target: &Server,
        selection: &Selection,
        known: &[Namespace],
    ) -> Result<Self> {
        let mut sides = Sides::default();
        let mut at_any_time = BTreeMap::new();
        // Users and roles stand in the archive under the names of collections that are none of ours.
        for namespace in known.iter().filter(|namespace| is_copied(namespace.collection())) {
            if let Some(name) = selection.target(namespace)? {
                at_any_time.insert(namespace, name);
            }
        }
        // A database whose last collection was dropped is listed no more; only by asking it is known for sure.
        let mut names: BTreeSet<String> = databases(source, &mut Catalog::default()).await?.into_iter().collect();
        names.extend(at_any_time.keys().map(|namespace| namespace.database().to_owned()));
        names.retain(|database| selection.takes_of(database));
        let mut on_source = Listing::read(source, names).await?;
        let partial = on_source.partial.clone();
        let mut targets: BTreeMap<Namespace, Vec<Namespace>> = BTreeMap::new();
        let mut taken = Vec::new();
        for (namespace, info) in std::mem::take(&mut on_source.listed) {
            if let Some(name) = selection.target(&namespace)? {
                targets.entry(name).or_default().push(namespace.clone());
                taken.push((namespace, info));
            }
        }
        on_source.listed = taken;
        at_any_time.retain(|_, name| !targets.contains_key(name));

        let gone: BTreeMap<&Namespace, &Namespace> = at_any_time.iter().map(|(from, name)| (name, *from)).collect();
        let wanted = |name: &Namespace| targets.contains_key(name) || gone.contains_key(name);
        let names = targets.keys().chain(gone.keys().copied()).map(|name| name.database().to_owned()).collect();
        let mut on_target = Listing::read(target, names).await?;
        on_target.listed.retain(|(name, _)| wanted(name));
        let mut on_target: BTreeMap<Namespace, Option<Entry>> = on_target.entries(target).await?.into_iter().collect();

        for (name, from) in &gone {
            match on_target.remove(name) {
                Some(_) if partial.contains(from.database()) => {
                    let reason = "it may be there still: its database cannot be listed, for lack of a privilege";
                    sides.doubt(name, "dropped", reason);
                }
                Some(Some(entry)) => sides.gone.push(entry),
                Some(None) => sides.doubt(name, "dropped", UNREAD),
                None => {}
            }
        }
        for (name, from) in targets.iter().filter(|(_, from)| from.len() > 1) {
            let names: Vec<String> = from.iter().map(ToString::to_string).collect();
            sides.doubt(name, "compared", &format!("{} would all become it", names.join(" and ")));
        }
        for (namespace, entry) in on_source.entries(source).await? {
            let Some(name) = selection.target(&namespace)?.filter(|name| targets.get(name).map_or(0, Vec::len) == 1)
            else {
                continue;
            };
            match (entry, on_target.remove(&name)) {
                (Some(source), None) => sides.pairs.push(Pair { source, target: name, existing: None }),
                (Some(source), Some(Some(existing))) => {
                    sides.pairs.push(Pair { source, target: name, existing: Some(existing) });
                }
                _ => sides.doubt(&name, "compared", UNREAD),
            }
        }
        Ok(sides)
    }

    fn doubt(&mut self, name: &Namespace, what: &str, reason: &str) {
        self.in_doubt.push(Mended::new(name, what, Some(reason.to_owned())));
    }
}
