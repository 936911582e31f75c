//! What a restore is going to do, decided before anything is written.

use std::collections::{BTreeSet, HashMap};

use transload_format::{Collection, CollectionType, Contents};

use super::{IndexPlan, Moving, RestoreOptions};
use crate::{
    catalog::{self, LeftOut, Order, sharding::Sharding, sidecar::Sidecar},
    connect::{Server, Version},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::{Selection, SelectionOptions},
};

/// The database that users and roles are in.
const ADMIN: &str = "admin";
/// Why users and roles stay in the archive.
const UNASKED: &str = "users and roles: --users-and-roles restores them";
/// What a scratch collection is that the target has before anything is written to it.
const SCRATCH: &str = "a scratch collection of a restore, a migration or a repair: if none is running, it was left over, and can be dropped";

/// What to do with collections that the target has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse, before anything is written.
    #[default]
    Refuse,
    /// Drop them first.
    Drop,
    /// Load into them; their options and documents stay.
    Append,
}

/// One namespace of the plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its id in the archive.
    pub id: u32,
    /// Its name in the archive.
    pub source: Namespace,
    /// Its name on the target.
    pub target: Namespace,
    /// Where its documents go: itself, or the buckets of a time-series collection.
    pub data: Namespace,
    /// What the archive says of it.
    pub collection: Collection,
    /// Its indexes, beside those that come with it.
    pub indexes: IndexPlan,
    /// What is there under its name already.
    pub there: Option<CollectionType>,
    /// Whether it is there and will be dropped first.
    pub dropped: bool,
    /// Whether it will be created.
    pub create: bool,
    /// The index that serves the key by which it will be sharded: it comes first.
    pub(super) shard_index: Option<Vec<u8>>,
}

impl Planned {
    /// What it is.
    pub fn kind(&self) -> CollectionType {
        self.collection.kind
    }

    /// What is done with it, in a word or two.
    pub fn action(&self) -> &'static str {
        match (self.create, self.dropped) {
            (true, true) => "drop and create",
            (true, false) => "create",
            (false, _) => "append",
        }
    }

    /// Whether the order of its documents is data, so that they must be inserted one command after another.
    pub fn is_ordered(&self) -> bool {
        catalog::is_capped(&self.collection.options)
    }
}

/// What a restore is going to do.
#[derive(Clone, Debug)]
pub struct Plan {
    planned: Vec<Planned>,
    by_id: HashMap<u32, usize>,
    /// What of the archive stays in it, and why.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides what becomes of each namespace of the archive.
    ///
    /// # Errors
    /// When the selection matches nothing, two names become one, or the target has one of them already.
    pub(super) async fn new(
        server: &Server,
        contents: &Contents,
        sidecar: &Sidecar,
        options: &RestoreOptions,
        moving: Option<&Moving>,
        sharding: Option<&Sharding>,
    ) -> Result<Self> {
        let goes_on = moving.is_some_and(Moving::goes_on);
        let mut sources = Vec::new();
        for namespace in contents.namespaces() {
            sources.push(Namespace::parse(&namespace.collection.namespace)?);
        }
        // Users and roles are no collections to be created and filled.
        let plain: Vec<Namespace> =
            sources.iter().filter(|source| !catalog::is_of_users_or_roles(source)).cloned().collect();
        if plain.is_empty() && !sources.is_empty() && !options.users_and_roles {
            return Err(Error::new(ErrorKind::Usage, "the archive holds users and roles alone")
                .with_hint("--users-and-roles merges them into those of the target"));
        }
        let resolved = Selection::new(&with_database_of(&options.selection, &plain))?.resolve(&plain)?;
        let ids: HashMap<&Namespace, usize> =
            sources.iter().enumerate().map(|(index, source)| (source, index)).collect();
        let left_out =
            sources.iter().filter(|source| catalog::is_of_users_or_roles(source) && !options.users_and_roles);
        let left_out = left_out.map(|source| LeftOut { namespace: source.clone(), reason: UNASKED }).collect();
        let mut plan = Plan { planned: Vec::new(), by_id: HashMap::new(), left_out, warnings: resolved.warnings };
        let mut existing: HashMap<String, HashMap<String, CollectionType>> = HashMap::new();
        for selected in resolved.selected {
            let Some((&index, namespace)) =
                ids.get(&selected.source).and_then(|index| Some((index, contents.namespaces().get(*index)?)))
            else {
                continue;
            };
            let database = selected.target.database();
            if !existing.contains_key(database) {
                existing.insert(database.to_owned(), catalog::existing(server, database).await?);
            }
            refuse_system(&selected.target)?;
            if namespace.has_events() {
                return Err(holds_events().at(selected.source.to_string()));
            }
            let there = existing.get(database).and_then(|names| names.get(selected.target.collection())).copied();
            let collection = namespace.collection.clone();
            let data = match collection.kind {
                CollectionType::TimeSeries => {
                    Namespace::new(database, format!("system.buckets.{}", selected.target.collection()))?
                }
                _ => selected.target.clone(),
            };
            // The order of documents, or what each of them is known by, is not told by a part of them.
            let is_made_anew = goes_on && catalog::order(&collection) != Order::Id;
            let dropped = there.is_some() && (options.existing == Existing::Drop && !goes_on || is_made_anew);
            let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let create = there.is_none() || dropped;
            let listed = sidecar.collection(&collection.namespace);
            let listed = listed.map(|listed| (listed, sidecar.text.as_ref()));
            let indexes = IndexPlan::new(listed, &collection, server.version(), options.index_policy)?;
            let key = sharding.and_then(|sharding| sharding.key(&selected.target));
            let mut specs = indexes.build.iter().map(|index| &index.spec);
            let shard_index = key.and_then(|key| specs.find(|spec| key.is_supported_by(spec)).cloned());
            plan.planned.push(Planned {
                id,
                source: selected.source,
                target: selected.target,
                data,
                collection,
                indexes,
                there,
                dropped,
                create,
                shard_index,
            });
        }
        plan.keep_database(server)?;
        if options.users_and_roles {
            // Hashes of passwords may be in those of a merge of users.
            match catalog::existing(server, ADMIN).await {
                Ok(names) => drop(existing.insert(ADMIN.to_owned(), names)),
                // Who may not look hears nothing of it.
                Err(error) if error.kind() == ErrorKind::Authorization => {}
                Err(error) => return Err(error),
            }
        }
        let all = existing.iter().flat_map(|(database, names)| names.keys().map(move |name| (database, name)));
        let scratches: BTreeSet<_> = all.filter(|(_, name)| catalog::is_scratch(name)).collect();
        plan.warnings.extend(scratches.into_iter().map(|(database, name)| format!("{database}.{name}: {SCRATCH}")));
        if !goes_on {
            plan.refuse_existing(server, options.existing)?;
        }
        plan.warn_of_renamed_sources_of_views();
        Ok(plan)
    }

    /// A database in the target's connection string selects what goes there.
    fn keep_database(&mut self, server: &Server) -> Result<()> {
        if let Some(database) = server.default_database() {
            let all = self.planned.len();
            self.planned.retain(|planned| planned.target.database() == database);
            if self.planned.is_empty() {
                let message = format!("nothing in the archive goes to '{database}', which the connection string names");
                return Err(Error::new(ErrorKind::NotFound, message).with_hint(format!(
                    "--rename 'OLD.*={database}.*' restores under that name; ?authSource={database} only authenticates there"
                )));
            }
            if self.planned.len() < all {
                let others = all - self.planned.len();
                self.warnings.push(format!("not restored: what goes to other databases than '{database}' ({others})"));
            }
        }
        self.by_id = (0..).zip(&self.planned).map(|(index, planned)| (planned.id, index)).collect();
        Ok(())
    }

    /// A view names collections in its pipeline, which is not rewritten: it goes on reading the old names.
    fn warn_of_renamed_sources_of_views(&mut self) {
        let mut warnings = Vec::new();
        for view in self.planned.iter().filter(|planned| planned.kind() == CollectionType::View) {
            for read in catalog::read_by_view(&view.collection) {
                let moved = self.planned.iter().find(|other| {
                    other.source.database() == view.source.database()
                        && other.source.collection() == read
                        && (other.target.database() != view.target.database() || other.target.collection() != read)
                });
                if let Some(other) = moved {
                    let (name, target) = (&view.target, &other.target);
                    warnings.push(format!(
                        "the view {name} reads '{read}', which is restored as {target}; the view still reads '{read}'"
                    ));
                }
            }
        }
        self.warnings.append(&mut warnings);
    }

    /// The namespaces, in the order of the archive.
    pub fn collections(&self) -> impl Iterator<Item = &Planned> + Clone {
        self.planned.iter()
    }

    /// Leaves for later what must not be there while changes are applied: unique indexes, and that anything expires.
    pub(super) fn hold_back(&mut self, target: Version) {
        for planned in &mut self.planned {
            planned.indexes.build.retain(|index| !catalog::is_unique(&index.spec));
            for index in &mut planned.indexes.build {
                index.spec = catalog::without_expiry(&index.spec, target);
            }
            planned.shard_index = planned.shard_index.take().map(|spec| catalog::without_expiry(&spec, target));
            planned.collection.options = catalog::never_expiring(&planned.collection.options);
        }
    }

    /// Lets `change` see the indexes of each namespace, with its id.
    pub(super) fn for_each_index_plan(&mut self, mut change: impl FnMut(u32, &mut IndexPlan)) {
        self.planned.iter_mut().for_each(|planned| change(planned.id, &mut planned.indexes));
    }

    /// The index and the plan of the namespace with this id.
    pub fn by_id(&self, id: u32) -> Option<(usize, &Planned)> {
        let index = *self.by_id.get(&id)?;
        Some((index, self.planned.get(index)?))
    }

    /// Documents and bytes that the plan will load.
    pub fn sums(&self, contents: &Contents) -> (u64, u64) {
        let of =
            |planned: &Planned| contents.namespace(planned.id).map(|namespace| namespace.totals).unwrap_or_default();
        self.planned.iter().map(of).fold((0, 0), |sums, totals| (sums.0 + totals.documents, sums.1 + totals.bytes))
    }

    fn refuse_existing(&self, server: &Server, existing: Existing) -> Result<()> {
        let is_view = |planned: &Planned| planned.kind() == CollectionType::View;
        let refused: Vec<_> = match existing {
            Existing::Refuse => self.planned.iter().filter(|planned| !planned.create).collect(),
            // A view has no documents to add to, and documents of one kind of collection are none of another.
            Existing::Append => {
                let differs = |planned: &&Planned| is_view(planned) || planned.there != Some(planned.kind());
                self.planned.iter().filter(|planned| !planned.create).filter(differs).collect()
            }
            Existing::Drop => Vec::new(),
        };
        if refused.is_empty() {
            return Ok(());
        }
        let mut names: Vec<_> = refused.iter().take(10).map(|planned| planned.target.to_string()).collect();
        if refused.len() > names.len() {
            names.push(format!("and {} more", refused.len() - names.len()));
        }
        let (has, hint) = match existing {
            Existing::Append => (
                "views, or other kinds of collections, that cannot be added to",
                "--exclude leaves them out, --drop drops what is there first, --rename restores under other names",
            ),
            _ => ("already", "--drop drops them first, --append loads into them, --rename restores under other names"),
        };
        let message = format!("the target has {has}: {}", names.join(", "));
        Err(Error::new(ErrorKind::AlreadyExists, message).with_hint(hint).at(server.place()))
    }
}

/// What a change log holds is applied, not inserted.
pub(super) fn holds_events() -> Error {
    Error::new(ErrorKind::Usage, "holds change events, which are no documents to restore")
}

/// A pattern without a database means the archive's only one.
fn with_database_of(options: &SelectionOptions, sources: &[Namespace]) -> SelectionOptions {
    let mut options = options.clone();
    if let Some(first) =
        sources.first().filter(|first| sources.iter().all(|other| other.database() == first.database()))
    {
        options.default_database.get_or_insert_with(|| first.database().to_owned());
    }
    options
}

/// What a server keeps for itself is not restored: an archive from a stranger could hold users, or an oplog.
fn refuse_system(target: &Namespace) -> Result<()> {
    let kept = ["config", "local"].contains(&target.database())
        || (target.collection().starts_with("system.") && target.collection() != "system.js");
    if !kept {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "is kept by the server itself, and not restored")
        .with_hint("leave it out with --exclude, or give it another name with --rename")
        .at(target.to_string()))
}
