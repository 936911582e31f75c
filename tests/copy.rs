//! A copy from one database to another by the engine, and what it is held against: the servers' own hashes, and
//! their own lists of collections, options and indexes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::{Database, options::Hint};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use transload::{
    archive::{ArchiveFile, Destination, partial_name},
    connect::{Server, Uri, connect},
    document::RawBuilder,
    dump::{Cursors, DumpOptions, dump},
    error::Result,
    progress::Silent,
    report::{DumpReport, RestoreReport},
    restore::{Existing, IndexPolicy, IndexSource, RestoreOptions, Source, restore},
    sandbox::ReplicaSet,
    scan::{PART_BYTES, ReadOrder},
    selection::{Selection, SelectionOptions},
};
use transload_format::{Codec, Contents, Documents, Kind};

/// A database of a set, on one side of a copy.
pub(crate) struct Side<'a> {
    pub(crate) set: &'a ReplicaSet,
    pub(crate) database: &'a str,
}

impl<'a> Side<'a> {
    pub(crate) fn new(set: &'a ReplicaSet, database: &'a str) -> Self {
        Side { set, database }
    }

    /// The database, for a test's own doings.
    pub(crate) async fn open(&self) -> Database {
        self.set.client().await.unwrap().database(self.database)
    }

    /// Runs a command of the test's own on the database.
    pub(crate) async fn run(&self, command: Document) -> Document {
        self.open().await.run_command(command).await.unwrap()
    }

    /// The engine's connection. It goes by the database's name, so that failpoints can single it out.
    pub(crate) async fn server(&self) -> Server {
        self.server_with("").await
    }

    /// The engine's connection to all databases of the set.
    pub(crate) async fn server_of_all(&self) -> Server {
        connect(&Uri::read(&self.set.uri()).unwrap().0, 4).await.unwrap()
    }

    /// The same, with more options in the connection string, each with an `&` before it.
    pub(crate) async fn server_with(&self, options: &str) -> Server {
        let (front, query) = self.set.uri().split_once("/?").map(|(f, q)| (f.to_owned(), q.to_owned())).unwrap();
        let uri = format!("{front}/{}?{query}&appName={}{options}", self.database, self.database);
        connect(&Uri::read(&uri).unwrap().0, 4).await.unwrap()
    }

    /// Makes commands of the engine's connection fail; `mode` and `data` are as `failCommand` has them.
    ///
    /// A server has one `failCommand`: it belongs on a set of the test's own.
    pub(crate) async fn fail(&self, commands: &[&str], mode: Document, data: Document) {
        let mut all = doc! { "failCommands": commands, "appName": self.database };
        all.extend(data);
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": all };
        self.set.fail_point(command).await.unwrap();
    }

    /// Waits until the first command has come that a server was told to let fail or wait, ever.
    pub(crate) async fn failing(&self) {
        let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": 1, "maxTimeMS": 60_000 };
        self.set.fail_point(wait).await.unwrap();
    }

    /// Ends what [`fail`](Side::fail) began.
    pub(crate) async fn fail_no_more(&self) {
        self.set.fail_point(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
    }

    /// Inserts raw documents; the server must take them all.
    pub(crate) async fn insert(&self, collection: &str, documents: &[Vec<u8>]) {
        self.insert_all(collection, documents, false).await;
    }

    /// The same, without the server's clock in the place of empty timestamps. 6.0.27 knows how.
    pub(crate) async fn insert_literally(&self, collection: &str, documents: &[Vec<u8>]) {
        self.insert_all(collection, documents, true).await;
    }

    async fn insert_all(&self, collection: &str, documents: &[Vec<u8>], literally: bool) {
        let database = self.open().await;
        let mut rest = documents;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |document: &&Vec<u8>| {
                bytes += document.len() + 16;
                bytes < 16 << 20
            };
            let count = rest.iter().take(50_000).take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            let reply = database.run_raw_command(insert_command(collection, now, literally)).await.unwrap();
            assert!(reply.get("writeErrors").is_none(), "{collection}: {:.500}", reply.to_string());
            assert_eq!(reply.get_i32("n").unwrap() as usize, now.len());
            rest = later;
        }
    }

    /// Whether the server takes this document.
    pub(crate) async fn takes(&self, collection: &str, document: &[u8]) -> bool {
        let reply = self.open().await.run_raw_command(insert_command(collection, &[document.to_vec()], false)).await;
        reply.is_ok_and(|reply| !reply.contains_key("writeErrors"))
    }

    /// The raw documents of a collection in natural order, decoded by nobody.
    pub(crate) async fn documents(&self, collection: &str) -> Vec<Vec<u8>> {
        let database = self.open().await;
        let natural = Hint::Keys(doc! { "$natural": 1 });
        let cursor = database.collection::<RawDocumentBuf>(collection).find(doc! {}).hint(natural).await.unwrap();
        cursor.map_ok(|document| document.as_bytes().to_vec()).try_collect().await.unwrap()
    }

    /// What the server itself says of the database.
    pub(crate) async fn state(&self) -> State {
        let database = self.open().await;
        let hashes = self.set.db_hash(self.database).await.unwrap();
        let mut state = State::default();
        // Views stand there by the names of their databases, and are compared by their options.
        let collections =
            hashes.get_document("collections").unwrap().iter().filter(|(name, _)| *name != "system.views");
        for (name, hash) in collections {
            state.hashes.insert(name.clone(), hash.as_str().unwrap().to_owned());
        }
        let listed = database.run_cursor_command(doc! { "listCollections": 1 }).await.unwrap();
        for collection in listed.try_collect::<Vec<Document>>().await.unwrap() {
            let name = collection.get_str("name").unwrap().to_owned();
            let options = collection.get_document("options").unwrap();
            let kind = collection.get_str("type").unwrap();
            state.options.insert(name.clone(), format!("{kind} {options}"));
            if kind != "view" {
                let indexes = database.run_cursor_command(doc! { "listIndexes": &name }).await.unwrap();
                let mut indexes: Vec<Document> = indexes.try_collect().await.unwrap();
                indexes.iter_mut().for_each(|spec| drop(spec.remove("ns")));
                let mut specs: Vec<_> = indexes.iter().map(Document::to_string).collect();
                specs.sort();
                state.indexes.insert(name, specs);
            }
        }
        state
    }
}

fn insert_command(collection: &str, documents: &[Vec<u8>], literally: bool) -> RawDocumentBuf {
    let mut command = RawBuilder::new();
    command.string("insert", collection).bool("ordered", true);
    if literally {
        command.bool("bypassEmptyTsReplacement", true);
    }
    command.embed("writeConcern", |concern| {
        concern.string("w", "majority");
    });
    command.embed_array("documents", |array| {
        for (number, document) in documents.iter().enumerate() {
            array.document(number.to_string(), document);
        }
    });
    RawDocumentBuf::from_bytes(command.finish()).unwrap()
}

/// What a server says of a database.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct State {
    /// The server's hash of each collection's documents.
    pub(crate) hashes: BTreeMap<String, String>,
    /// The type and the options of each collection and view.
    pub(crate) options: BTreeMap<String, String>,
    /// The index specs of each collection, sorted.
    pub(crate) indexes: BTreeMap<String, Vec<String>>,
}

/// An archive in a folder of its own.
pub(crate) struct Archive {
    folder: TempDir,
}

impl Archive {
    pub(crate) fn new() -> Self {
        Archive { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("archive.tlz")
    }

    pub(crate) fn partial(&self) -> PathBuf {
        partial_name(&self.path())
    }

    pub(crate) fn open(&self) -> ArchiveFile {
        ArchiveFile::open(&self.path()).unwrap()
    }

    pub(crate) fn options(&self) -> DumpOptions {
        DumpOptions {
            selection: Selection::new(&SelectionOptions::default()).unwrap(),
            destination: Destination::File { path: self.path(), replace: false },
            codec: Codec::default(),
            cursors: Cursors::Fixed(2),
            part_bytes: PART_BYTES,
            parts: None,
            read_order: ReadOrder::default(),
            max_rate: None,
            users_and_roles: false,
            consistent: false,
        }
    }

    /// Dumps a database into it.
    pub(crate) async fn dump(&self, side: &Side<'_>) -> Result<DumpReport> {
        self.dump_as(side, self.options()).await
    }

    pub(crate) async fn dump_as(&self, side: &Side<'_>, options: DumpOptions) -> Result<DumpReport> {
        dump(&side.server().await, options, Arc::new(Silent), CancellationToken::new()).await
    }

    /// Restores it into the database of `side`, whatever its own was called.
    pub(crate) async fn restore(&self, side: &Side<'_>) -> Result<RestoreReport> {
        self.restore_as(side, self.restore_options(side)).await
    }

    pub(crate) fn restore_options(&self, side: &Side<'_>) -> RestoreOptions {
        let database =
            self.open().contents().namespaces()[0].collection.namespace.split('.').next().unwrap().to_owned();
        let rename = if database == side.database { vec![] } else { vec![format!("{database}.*={}.*", side.database)] };
        RestoreOptions {
            selection: SelectionOptions { rename, ..SelectionOptions::default() },
            existing: Existing::Refuse,
            dry_run: false,
            check: true,
            indexes: IndexSource::Beside,
            index_policy: IndexPolicy::Repair,
            users_and_roles: false,
            parallel: 2,
            max_rate: None,
        }
    }

    pub(crate) async fn restore_as(&self, side: &Side<'_>, options: RestoreOptions) -> Result<RestoreReport> {
        let source = Source::File(self.open());
        restore(source, &side.server().await, options, Arc::new(Silent), CancellationToken::new()).await
    }

    /// The raw documents of a namespace, in the order of the archive.
    pub(crate) async fn documents(&self, namespace: &str) -> Vec<Vec<u8>> {
        let archive = self.open();
        let id = namespace_id(archive.contents(), namespace);
        let mut documents = Vec::new();
        for (number, block) in archive.contents().blocks().iter().enumerate() {
            if block.kind == Kind::Documents && block.namespace == id {
                let raw = archive.block(number).await.unwrap().unpack().unwrap();
                documents.extend(Documents::new(&raw).map(|document| document.unwrap().to_vec()));
            }
        }
        documents
    }
}

fn namespace_id(contents: &Contents, namespace: &str) -> u32 {
    let found = contents.namespaces().iter().position(|found| found.collection.namespace == namespace);
    u32::try_from(found.expect("the archive has the namespace") + 1).unwrap()
}

/// Dumps one side, restores to the other, and wants the servers to see no difference.
pub(crate) async fn copy(source: &Side<'_>, target: &Side<'_>) -> (DumpReport, RestoreReport) {
    let archive = Archive::new();
    let dumped = archive.dump(source).await.unwrap();
    let restored = archive.restore(target).await.unwrap();
    assert!(dumped.missing.is_empty(), "{:?}", dumped.missing);
    assert_whole(&restored);
    assert_eq!(restored.inserted, dumped.documents);
    assert_equal(source, target).await;
    (dumped, restored)
}

/// Nothing was refused, nothing was there before, and every index was built.
pub(crate) fn assert_whole(restored: &RestoreReport) {
    assert!(restored.is_whole(), "{:?} {:?}", restored.rejected, restored.failed_indexes);
}

/// Both servers say the same of their database: documents, options, indexes.
pub(crate) async fn assert_equal(source: &Side<'_>, target: &Side<'_>) {
    let (expected, found) = (source.state().await, target.state().await);
    assert!(!expected.options.is_empty(), "nothing was compared");
    assert_eq!(expected.options, found.options);
    assert_eq!(expected.indexes, found.indexes);
    assert_eq!(expected.hashes, found.hashes);
}
