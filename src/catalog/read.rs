//! Reads from a server what there is to copy: namespaces, options, index specs, sizes.

use bson::{Bson, rawdoc};
use serde::Serialize;
use transload_format::{Collection, CollectionType};

use super::{
    kept::kept_of_many,
    scratch::is_scratch,
    size::size,
    truth::{index_specs, not_unhidden, unhidden},
};
use crate::{
    at_once::at_once,
    changes::cdc,
    connect::{Doing, Server},
    document::{self, Element, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::Selection,
};

/// Commands about several collections in flight at once.
pub(super) const CONCURRENCY: usize = 8;
/// Databases of the server itself.
pub(crate) const INTERNAL_DATABASES: [&str; 3] = ["admin", "config", "local"];
/// How many names an error lists.
const NAMES_SHOWN: usize = 10;

/// What there is to copy.
#[derive(Debug, Default)]
pub struct Catalog {
    /// What was selected, in the order of the names.
    pub entries: Vec<Entry>,
    /// What is never copied, with the reason.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What could not be read, so that the copy is not whole.
    pub missing: Vec<String>,
}

/// A namespace that is not copied, and why.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// The namespace.
    pub namespace: Namespace,
    /// Why.
    pub reason: &'static str,
}

/// In which order a namespace's documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Along the index on `_id`: can be cut into parts, and resumed after any `_id`.
    Id,
    /// As they are stored: for capped collections, where that order is data, and where there is no index on `_id`.
    Natural,
    /// There are none: a view.
    Nothing,
}

/// A namespace to copy.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub namespace: Namespace,
    /// Where its documents are: itself, or the buckets of a time-series collection.
    pub data: Namespace,
    /// What the archive says of it.
    pub collection: Collection,
    /// The server's UUID of what is at `data`, if it tells.
    pub uuid: Option<[u8; 16]>,
    /// How it is read.
    pub order: Order,
    /// The number of documents, if the server told.
    pub documents: Option<u64>,
    /// Their bytes, if the server told.
    pub bytes: Option<u64>,
    /// Of users and roles: of which database alone, if not of all.
    pub of_database: Option<String>,
}

/// What was found out about a namespace.
pub(super) struct Found {
    pub(super) entry: Entry,
    /// What of it the user may not know.
    pub(super) missing: Option<String>,
    /// What the user should know.
    warning: Option<String>,
    /// Why its index specs are no more than what the server lists.
    listed_only: Option<String>,
}

/// Reads the catalog of what `selection` takes. Index specs are as the server keeps them, where this user may read that,
/// and else as it lists them, which is enough to build the indexes.
///
/// # Errors
/// When the server refuses, the database is not there, or the selection matches nothing.
pub async fn read(server: &Server, selection: &Selection) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    let mut listed = listed(server, &mut catalog).await?;
    if listed.is_empty() {
        return Err(nothing(server).await?);
    }
    let names: Vec<_> = listed.iter().map(|(namespace, _)| namespace.clone()).collect();
    let resolved = selection.resolve(&names)?;
    catalog.warnings.extend(resolved.warnings);
    let taken: std::collections::HashSet<_> = resolved.selected.iter().map(|selected| &selected.source).collect();
    listed.retain(|(namespace, _)| taken.contains(namespace));
    with_entries(server, catalog, listed).await
}

/// Whether no server gives change events of a collection, though it may be read.
pub(crate) fn is_untold(collection: &Collection) -> bool {
    collection.kind == CollectionType::TimeSeries || collection.namespace.ends_with(".system.js")
}

/// Reads the catalog of those namespaces that `takes` wants: nothing, if there are none.
///
/// # Errors
/// When the server refuses, and what `takes` says.
pub(crate) async fn read_those(server: &Server, takes: impl Fn(&Namespace) -> Result<bool>) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    let mut taken = Vec::new();
    for (namespace, info) in listed(server, &mut catalog).await? {
        if takes(&namespace)? {
            taken.push((namespace, info));
        }
    }
    with_entries(server, catalog, taken).await
}

/// All namespaces that a user may select, in the order of their names: the server's order is that of a hash, and two dumps
/// of the same would differ.
async fn listed(server: &Server, catalog: &mut Catalog) -> Result<Vec<(Namespace, Vec<u8>)>> {
    let databases = databases(server, catalog).await?;
    let mut listed = Vec::new();
    for of_a_database in collections(server, databases).await? {
        catalog.left_out.extend(of_a_database.left_out);
        catalog.missing.extend(of_a_database.missing);
        listed.extend(of_a_database.collections);
    }
    listed.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(listed)
}

/// The catalog with what is to be known of these namespaces.
async fn with_entries(server: &Server, mut catalog: Catalog, listed: Vec<(Namespace, Vec<u8>)>) -> Result<Catalog> {
    let mut notes = Vec::new();
    for found in entries(server, listed).await? {
        catalog.missing.extend(found.missing);
        catalog.warnings.extend(found.warning);
        notes.extend(found.listed_only.map(|note| (found.entry.namespace.clone(), note)));
        catalog.entries.push(found.entry);
    }
    catalog.warnings.extend(not_unhidden(notes));
    Ok(catalog)
}

/// The user databases that are meant; in `catalog` stands what this user may not see.
pub(crate) async fn databases(server: &Server, catalog: &mut Catalog) -> Result<Vec<String>> {
    if let Some(database) = server.default_database() {
        return Ok(vec![database.to_owned()]);
    }
    let names = match database_names(server, false).await {
        // Without the privilege the server lists what the user may see, and does not say that there is more.
        Err(error) if error.kind() == ErrorKind::Authorization => {
            let names = database_names(server, true).await.unwrap_or_default();
            if server.is_nobody() {
                return Err(error);
            }
            if names.is_empty() {
                let hint = error.hint().unwrap_or_default().to_owned();
                return Err(error.with_hint(format!(
                    "{hint}; or name one database in the connection string: mongodb://host/DATABASE"
                )));
            }
            catalog.missing.push(
                "databases that this user may not see, for lack of the privilege 'listDatabases'; name a database in \
                 the connection string to copy that one alone"
                    .to_owned(),
            );
            names
        }
        names => names?,
    };
    Ok(names.into_iter().filter(|name| !INTERNAL_DATABASES.contains(&name.as_str())).collect())
}

async fn database_names(server: &Server, only_authorized: bool) -> Result<Vec<String>> {
    let doing = Doing::new("list the databases", "listDatabases", "admin");
    let command = rawdoc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": only_authorized };
    let reply = server.run("admin", command, &doing).await?;
    let databases = reply.get_array("databases").map(Vec::as_slice).unwrap_or_default();
    let name = |database: &Bson| database.as_document()?.get_str("name").ok().map(str::to_owned);
    Ok(databases.iter().filter_map(name).collect())
}

/// Why there is nothing to copy.
async fn nothing(server: &Server) -> Result<Error> {
    // Whoever may not list the databases gets the error without their names.
    let names = database_names(server, true).await.unwrap_or_default();
    let names: Vec<_> = names.into_iter().filter(|name| !INTERNAL_DATABASES.contains(&name.as_str())).collect();
    let message = match server.default_database() {
        Some(database) => format!("there is no database '{database}', or it holds nothing"),
        None => "there is no user database".to_owned(),
    };
    let error = Error::new(ErrorKind::NotFound, message).at(server.place());
    Ok(match names.len() {
        0 => error,
        1..=NAMES_SHOWN => error.with_hint(format!("databases here: {}", names.join(", "))),
        more => {
            let shown: Vec<_> = names.into_iter().take(NAMES_SHOWN).collect();
            error.with_hint(format!("databases here: {} and {} more", shown.join(", "), more - NAMES_SHOWN))
        }
    })
}

/// What a server lists of a database.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The namespaces that a user may select, each with its raw entry of `listCollections`.
    pub(super) collections: Vec<(Namespace, Vec<u8>)>,
    /// Those that are never copied.
    pub(super) left_out: Vec<LeftOut>,
    /// What this user may not see.
    pub(super) missing: Option<String>,
}

/// What there is in each of these databases.
pub(super) async fn collections(server: &Server, databases: Vec<String>) -> Result<Vec<Listed>> {
    at_once(databases, CONCURRENCY, |_| 0, |database| collections_of(server, database)).await
}

async fn collections_of(server: &Server, database: String) -> Result<Listed> {
    let doing = Doing::new(format!("list the collections of {database}"), "listCollections", &database);
    let whole = rawdoc! { "listCollections": 1, "cursor": {} };
    let mut listed = Listed::default();
    let infos = match server.documents(&database, whole, &doing).await {
        Err(error) if error.kind() == ErrorKind::Authorization => {
            let names = rawdoc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true, "cursor": {} };
            let infos = server.documents(&database, names, &doing).await.unwrap_or_default();
            if infos.is_empty() {
                return Err(error);
            }
            listed.missing = Some(format!(
                "{database}: the options of its collections, and collections that this user may not see, for lack of \
                 the privilege 'listCollections'; what it may see is copied with default options"
            ));
            infos
        }
        infos => infos?,
    };
    for info in infos {
        let namespace = named(&database, &info)?;
        match left_out(namespace.collection()) {
            None => listed.collections.push((namespace, info)),
            Some("") => {}
            Some(reason) => listed.left_out.push(LeftOut { namespace, reason }),
        }
    }
    Ok(listed)
}

/// Why a collection is not copied as such. An empty reason stands for what is copied in another guise.
fn left_out(collection: &str) -> Option<&'static str> {
    match collection {
        "system.js" => None,
        "system.views" => Some(""),
        name if name.starts_with("system.buckets.") => Some(""),
        "system.profile" => Some("the profiler's own log"),
        name if name.starts_with("system.") => Some("kept by the server itself"),
        name if is_scratch(name) => Some("left over from an interrupted restore or repair: it can be dropped"),
        name if name.starts_with("__mdb_internal") => Some("kept by a service of the host"),
        cdc::EVENTS | cdc::POSITIONS => Some("change events of a capture with --events-to target"),
        _ => None,
    }
}

/// Whether a collection of this name is copied as such.
pub(crate) fn is_copied(collection: &str) -> bool {
    left_out(collection).is_none()
}

/// The namespace that an entry of `listCollections` is about.
pub(super) fn named(database: &str, info: &[u8]) -> Result<Namespace> {
    Namespace::new(database, text(info, b"name")?)
}

/// What is to be known of namespaces before they are read, each with its raw entry of `listCollections`; in their order.
///
/// # Errors
/// When the server refuses, or a collection is gone.
pub(super) async fn entries(server: &Server, listed: Vec<(Namespace, Vec<u8>)>) -> Result<Vec<Found>> {
    let is_collection = |(_, info): &&(Namespace, Vec<u8>)| collection_type(info) == CollectionType::Collection;
    let collections: Vec<_> = listed.iter().filter(is_collection).map(|(name, _)| name.clone()).collect();
    let mut kept = kept_of_many(server, &collections).await?;
    let listed = listed.into_iter().map(|(namespace, info)| {
        let specs = kept.remove(&namespace);
        (namespace, info, specs)
    });
    at_once(listed, CONCURRENCY, |_| 0, |(namespace, info, specs)| entry(server, namespace, info, specs)).await
}

/// The same of one, whose index specs may be known already.
pub(super) async fn entry(
    server: &Server,
    namespace: Namespace,
    info: Vec<u8>,
    known: Option<Vec<Vec<u8>>>,
) -> Result<Found> {
    let collection_type = collection_type(&info);
    let options = document::find(&info, b"options").map_or(document::EMPTY.to_vec(), |options| options.value.to_vec());
    let mut collection = Collection {
        namespace: namespace.to_string(),
        kind: collection_type,
        uuid: uuid(&info),
        options,
        indexes: Vec::new(),
    };
    if collection_type == CollectionType::View {
        let data = namespace.clone();
        let (order, nothing) = (Order::Nothing, Some(0));
        let entry = Entry {
            namespace,
            data,
            collection,
            uuid: None,
            order,
            documents: nothing,
            bytes: nothing,
            of_database: None,
        };
        return Ok(Found { entry, missing: None, warning: None, listed_only: None });
    }
    let (database, name) = (namespace.database(), namespace.collection());
    let data = match collection_type {
        CollectionType::TimeSeries => Namespace::new(database, format!("system.buckets.{name}"))?,
        _ => namespace.clone(),
    };
    let specs = async {
        match known {
            Some(specs) => Ok(Specs { specs, ..Specs::default() }),
            None => specs(server, &namespace).await,
        }
    };
    // Together they take no longer than one of them.
    let (specs, (documents, bytes)) = futures_util::join!(specs, size(server, &data));
    let Specs { specs, missing, warning, listed_only } = specs?;
    collection.indexes = specs;
    let order = order(&collection);
    let uuid = match collection_type {
        // What is listed under the collection's own name is a view on the buckets, and has none.
        CollectionType::TimeSeries => uuid_if_allowed(server, &data).await?,
        _ => collection.uuid,
    };
    let entry = Entry { namespace, data, collection, uuid, order, documents, bytes, of_database: None };
    Ok(Found { entry, missing, warning, listed_only })
}

/// The index specs of a collection, and what the user should know of them.
#[derive(Default)]
struct Specs {
    specs: Vec<Vec<u8>>,
    missing: Option<String>,
    warning: Option<String>,
    listed_only: Option<String>,
}

/// Those of one collection, asked for by itself.
async fn specs(server: &Server, namespace: &Namespace) -> Result<Specs> {
    let (specs, warning) = match index_specs(server, namespace).await {
        Err(error) if error.kind() == ErrorKind::Authorization => {
            let hint = error.hint().map_or_else(String::new, |hint| format!("; {hint}"));
            let missing = format!("{namespace}: its indexes: {}{hint}", error.message());
            return Ok(Specs { missing: Some(missing), ..Specs::default() });
        }
        specs => specs?,
    };
    if warning.is_some() {
        // They are as they are kept already.
        return Ok(Specs { specs, warning, ..Specs::default() });
    }
    let (specs, listed_only) = unhidden(server, namespace, specs).await?;
    Ok(Specs { specs, listed_only, ..Specs::default() })
}

/// In which order the documents of a collection are read.
pub(crate) fn order(collection: &Collection) -> Order {
    match collection.kind {
        CollectionType::View => Order::Nothing,
        // What is listed for it are not the indexes of its buckets.
        CollectionType::TimeSeries => Order::Natural,
        CollectionType::Collection if is_capped(&collection.options) => Order::Natural,
        CollectionType::Collection if has_id_index(&collection.indexes) => Order::Id,
        // Whoever may not list them may use them; natural order is another one on each member of a set.
        CollectionType::Collection if collection.indexes.is_empty() && !lacks_id_index(&collection.options) => {
            Order::Id
        }
        CollectionType::Collection => Order::Natural,
    }
}

/// Whether a collection with these options has no ordinary index on `_id`.
fn lacks_id_index(options: &[u8]) -> bool {
    let is_off = |option: Element<'_>| option.value.iter().all(|byte| *byte == 0);
    document::find(options, b"clusteredIndex").is_some() || document::find(options, b"autoIndexId").is_some_and(is_off)
}

/// Whether there is an ordinary index on `_id` among these.
pub(crate) fn has_id_index(specs: &[Vec<u8>]) -> bool {
    specs.iter().any(|spec| is_id_index(spec))
}

/// What an entry of `listCollections` is about.
pub(super) fn collection_type(info: &[u8]) -> CollectionType {
    match text(info, b"type").unwrap_or("collection") {
        "view" => CollectionType::View,
        "timeseries" => CollectionType::TimeSeries,
        _ => CollectionType::Collection,
    }
}

/// The name of a type of collection, as `listCollections` has it but for time-series.
pub fn kind_name(kind: CollectionType) -> &'static str {
    match kind {
        CollectionType::Collection => "collection",
        CollectionType::View => "view",
        CollectionType::TimeSeries => "time-series",
    }
}

/// Whether these are the options of a capped collection, where the order of documents is data.
pub fn is_capped(options: &[u8]) -> bool {
    document::find(options, b"capped").is_some_and(|capped| capped.value.iter().any(|byte| *byte != 0))
}

/// Whether a spec is the ordinary index on `_id`, and not the entry of a clustered collection.
pub(super) fn is_id_index(spec: &[u8]) -> bool {
    let keys = document::find(spec, b"key").map_or(&[][..], |key| key.value);
    let mut keys = document::elements(keys);
    let ascending = |key: &Element<'_>| match key.kind {
        kind::INT32 => key.value == 1_i32.to_le_bytes(),
        kind::INT64 => key.value == 1_i64.to_le_bytes(),
        kind::DOUBLE => key.value == 1_f64.to_le_bytes(),
        _ => false,
    };
    let only_id =
        matches!(keys.next(), Some(Ok(key)) if key.name == b"_id" && ascending(&key)) && keys.next().is_none();
    only_id && document::find(spec, b"clustered").is_none()
}

fn text<'a>(document: &'a [u8], name: &[u8]) -> Result<&'a str> {
    document::find(document, name)
        .and_then(|element| element.string())
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or_else(|| {
            let name = String::from_utf8_lossy(name);
            Error::new(ErrorKind::Server, format!("the server lists a collection whose '{name}' is no text"))
        })
}

/// The server's UUID of a collection, if it tells.
///
/// # Errors
/// When the server refuses to list it.
pub async fn uuid_of(server: &Server, namespace: &Namespace) -> Result<Option<[u8; 16]>> {
    Ok(found(server, namespace).await?.flatten())
}

/// Whether a namespace is there, and its UUID: views and time-series collections have none.
///
/// # Errors
/// What the server says.
pub async fn found(server: &Server, namespace: &Namespace) -> Result<Option<Option<[u8; 16]>>> {
    let (database, name) = (namespace.database(), namespace.collection());
    let doing = Doing::new(format!("list the collections of {database}"), "listCollections", database);
    let command = rawdoc! { "listCollections": 1, "filter": { "name": name }, "cursor": {} };
    Ok(server.documents(database, command, &doing).await?.first().map(|info| uuid(info)))
}

/// The options of a namespace, as it lists them; none where it is not there.
///
/// # Errors
/// What the server says.
pub async fn options_of(server: &Server, namespace: &Namespace) -> Result<Option<Vec<u8>>> {
    Ok(described(server, namespace).await?.map(|(_, options)| options))
}

/// Of what kind a namespace is, and with which options; none where it is not there.
///
/// # Errors
/// What the server says.
pub(crate) async fn described(server: &Server, namespace: &Namespace) -> Result<Option<(CollectionType, Vec<u8>)>> {
    let (database, name) = (namespace.database(), namespace.collection());
    let doing = Doing::new(format!("list the collections of {database}"), "listCollections", database);
    let command = rawdoc! { "listCollections": 1, "filter": { "name": name }, "cursor": {} };
    let infos = server.documents(database, command, &doing).await?;
    let options =
        |info: &Vec<u8>| document::find(info, b"options").map_or(document::EMPTY.to_vec(), |o| o.value.to_vec());
    Ok(infos.first().map(|info| (collection_type(info), options(info))))
}

async fn uuid_if_allowed(server: &Server, namespace: &Namespace) -> Result<Option<[u8; 16]>> {
    match uuid_of(server, namespace).await {
        Err(error) if error.kind() == ErrorKind::Authorization => Ok(None),
        uuid => uuid,
    }
}

fn uuid(info: &[u8]) -> Option<[u8; 16]> {
    let uuid = document::find(document::find(info, b"info")?.value, b"uuid")?;
    // A binary value is its length, its subtype, its bytes.
    (uuid.kind == kind::BINARY).then(|| uuid.value.get(5..)?.try_into().ok())?
}
