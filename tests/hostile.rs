//! Archives from strangers, targets that hold other things, and servers that vanish: nothing is taken for done.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bson::doc;
use tokio_util::sync::CancellationToken;
use transload::{
    archive::ArchiveFile,
    connect::{Server, Uri, connect},
    error::{ErrorKind, Result},
    progress::Silent,
    report::RestoreReport,
    restore::{Existing, IndexPolicy, IndexSource, RestoreOptions, Source, restore},
    sandbox::Release,
    selection::SelectionOptions,
};
use transload_format::{
    ArchiveId, Codec, Collection, CollectionType, Compressor, Kind, PackedBlock, PartBegun, Record, Subject, Writer,
};

use crate::servers::{own, shared};

/// An archive of one collection with one document.
fn archive(path: &Path, namespace: &str, options: Vec<u8>) {
    let mut writer = Writer::new(Vec::new(), ArchiveId([7; 16]), Codec::default()).unwrap();
    let kind = CollectionType::Collection;
    let collection = Collection { namespace: namespace.into(), kind, uuid: None, options, indexes: Vec::new() };
    let id = writer.collection(collection).unwrap();
    writer.record(id, 1, Record::PartBegun(PartBegun::default())).unwrap();
    let subject = Subject { kind: Kind::Documents, namespace: id, part: 1 };
    let document = bson::rawdoc! { "_id": 1 }.into_bytes();
    writer.block(PackedBlock::pack(subject, document, &mut Compressor::new(Codec::None)).unwrap()).unwrap();
    writer.finish_part(id, 1, 0).unwrap();
    writer.finish_namespace(id).unwrap();
    std::fs::write(path, writer.finish().unwrap().out).unwrap();
}

const NO_OPTIONS: [u8; 5] = [5, 0, 0, 0, 0];

async fn restored(server: &Server, namespace: &str, options: &[u8], existing: Existing) -> Result<RestoreReport> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tlz");
    archive(&path, namespace, options.to_vec());
    let source = Source::File(ArchiveFile::open_whole(&path).unwrap());
    let options = RestoreOptions {
        selection: SelectionOptions::default(),
        existing,
        dry_run: false,
        check: true,
        indexes: IndexSource::Beside,
        index_policy: IndexPolicy::Repair,
        users_and_roles: false,
        parallel: 2,
        max_rate: None,
    };
    restore(source, server, options, Arc::new(Silent), CancellationToken::new()).await
}

async fn server(uri: &str) -> Server {
    connect(&Uri::read(uri).unwrap().0, 2).await.unwrap()
}

#[tokio::test]
async fn what_a_server_keeps_for_itself_is_not_restored() {
    let set = shared(Release::V6_0_5).await;
    let server = server(&set.uri()).await;
    for namespace in ["admin.system.users", "local.evil", "config.settings", "hostile.system.views"] {
        for existing in [Existing::Refuse, Existing::Drop, Existing::Append] {
            let error = restored(&server, namespace, &NO_OPTIONS, existing).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        }
    }
    let client = set.client().await.unwrap();
    assert_eq!(
        client.database("admin").collection::<bson::Document>("system.users").count_documents(doc! {}).await.unwrap(),
        0
    );
    assert!(!client.database("local").list_collection_names().await.unwrap().contains(&"evil".to_owned()));
}

#[tokio::test]
async fn malformed_options_create_nothing() {
    let set = shared(Release::V6_0_5).await;
    let server = server(&set.uri()).await;
    // A field of a type that BSON does not have.
    let options = [9, 0, 0, 0, 0x55, b'a', 0, 0, 0];
    let error = restored(&server, "hostile_options.c", &options, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    let client = set.client().await.unwrap();
    assert!(client.database("hostile_options").list_collection_names().await.unwrap().is_empty());
}

#[tokio::test]
async fn documents_are_not_appended_to_another_kind_of_collection() {
    let set = shared(Release::V6_0_5).await;
    let database = set.client().await.unwrap().database("hostile_append");
    database.run_command(doc! { "create": "measured", "timeseries": { "timeField": "t" } }).await.unwrap();
    database.run_command(doc! { "create": "seen", "viewOn": "other" }).await.unwrap();
    let server = server(&set.uri()).await;
    for name in ["measured", "seen"] {
        let namespace = format!("hostile_append.{name}");
        let error = restored(&server, &namespace, &NO_OPTIONS, Existing::Append).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    assert!(restored(&server, "hostile_append.fresh", &NO_OPTIONS, Existing::Append).await.unwrap().is_whole());
}

#[tokio::test]
async fn writes_without_an_answer_are_refused() {
    let set = shared(Release::V6_0_5).await;
    let server = server(&format!("{}&w=0", set.uri())).await;
    let error = restored(&server, "hostile_w.c", &NO_OPTIONS, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}

#[tokio::test]
async fn a_server_that_vanishes_without_a_word_is_noticed() {
    let set = own(Release::V6_0_5).await;
    let server = server(&set.uri()).await.with_patience(Duration::from_secs(1));
    let process = set.process_id(0).unwrap().unwrap().to_string();
    assert!(Command::new("kill").args(["-STOP", &process]).status().unwrap().success());
    let begun = Instant::now();
    let error = restored(&server, "vanished.c", &NO_OPTIONS, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
