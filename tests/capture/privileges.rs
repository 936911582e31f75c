//! Users who may watch little: what is captured in the place of more, and which privilege is named when nothing is.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::capture::{CaptureOptions, Manifest, capture},
    connect::{Uri, connect},
    error::{ErrorKind, Result},
    progress::Progress,
    report::CaptureReport,
    sandbox::Release,
};

use super::Capture;
use crate::{
    copy::Side,
    servers::{Guarded, guarded, shared},
};

/// Keeps what it was told.
#[derive(Debug, Default)]
pub(super) struct Warnings(pub(super) Mutex<Vec<String>>);

impl Progress for Warnings {
    fn stage(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, _: u64, _: u64) {}
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// Captures as `user` for a moment.
async fn run(set: &Guarded, into: &Capture, user: &str, path: &str) -> (Result<CaptureReport>, Vec<String>) {
    let server = connect(&Uri::read(&set.uri(user, path)).unwrap().0, 4).await.unwrap();
    let side = Side::new(shared(Release::V6_0_5).await, "shop");
    let mut options = CaptureOptions { duration: Some(Duration::from_millis(1500)), ..into.options(&side) };
    options.selection.default_database = server.default_database().map(str::to_owned);
    let warnings = Arc::new(Warnings::default());
    let write = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let client = set.client().await;
        for name in ["orders", "events"] {
            let collection = client.database("shop").collection::<Document>(name);
            collection.insert_one(doc! { "_id": format!("for {user}{path}") }).await.unwrap();
            collection.delete_one(doc! { "_id": format!("for {user}{path}") }).await.unwrap();
        }
    };
    let (report, ()) =
        tokio::join!(capture(&server, options, Arc::clone(&warnings) as _, CancellationToken::new()), write);
    let warnings = warnings.0.lock().unwrap().clone();
    (report, warnings)
}

#[tokio::test]
async fn who_may_not_watch_the_wider_gets_the_narrower_and_is_told() {
    let set = guarded().await;
    let admin = set.client().await.database("admin");
    let actions = ["find", "changeStream"];
    let privileges = ["orders", "events"]
        .map(|name| doc! { "resource": { "db": "shop", "collection": name }, "actions": actions.as_slice() });
    admin
        .run_command(doc! { "createRole": "watching", "privileges": privileges.as_slice(), "roles": [] })
        .await
        .unwrap();
    let user = doc! { "createUser": "watcher", "pwd": crate::cli::PASSWORD, "roles": ["watching"] };
    admin.run_command(user).await.unwrap();

    let into = Capture::new();
    let (report, warnings) = run(set, &into, "reader", "/shop").await;
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(report.unwrap().streams[0].watches, "the database shop");

    let into = Capture::new();
    let (report, warnings) = run(set, &into, "reader", "/").await;
    assert_eq!(report.unwrap().streams[0].watches, "the database shop");
    assert!(warnings.iter().any(|warning| warning.contains("not authorized to watch the deployment")), "{warnings:?}");
    assert_eq!(Manifest::read(&into.directory()).unwrap().unwrap().streams.len(), 1);

    let into = Capture::new();
    let (report, warnings) = run(set, &into, "watcher", "/shop").await;
    let report = report.unwrap();
    let watches: Vec<_> = report.streams.iter().map(|stream| stream.watches.as_str()).collect();
    assert_eq!(watches.len(), 2, "{watches:?}");
    assert!(
        warnings.iter().any(|warning| warning.contains("not authorized to watch the database shop")),
        "{warnings:?}"
    );
    assert!(report.namespaces.iter().all(|lane| lane.events >= 2), "{report:?}");
}

#[tokio::test]
async fn who_may_watch_nothing_is_told_which_privilege_is_missing() {
    let set = guarded().await;
    for (user, path) in [("nobody", "/shop"), ("finder", "/shop")] {
        let into = Capture::new();
        let (report, _) = run(set, &into, user, path).await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authorization, "{error:?}");
        assert!(error.to_string().contains("not authorized"), "{error:?}");
        assert!(error.hint().unwrap().contains("role 'read'"), "{error:?}");
        assert!(!into.directory().join("log").exists());
    }
}
