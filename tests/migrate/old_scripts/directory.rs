//! Rows about what lay around of a move, and what became of it when it was begun once more.

use std::{fs, path::Path};

use bson::{Document, doc};
use transload::sandbox::Release;

use super::moving;
use crate::{
    cli::PASSWORD,
    copy::Side,
    migrate::{Migration, has},
    servers::{guarded, own, shared},
};

/// A wrong answer to one of their questions ended them with 0, and where nobody could answer they waited for ever.
#[tokio::test]
async fn a_question_that_nobody_answers_is_no_success() {
    let mut migration = moving(Release::V6_0_5, "old_asked", 10).await;
    migration.start(&[]);
    migration.until_following().await;
    let output = migration.about("cutover", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(migration.status().unwrap()["stage"], "following");
    migration.cut_over().await;
}

/// Their connection strings stood in `ps`, in logs and in the history of the shell.
#[tokio::test]
async fn a_password_is_in_no_file_and_no_output_and_on_no_command_line() {
    let guarded = guarded().await;
    let uri = guarded.uri("root", "/old_secret");
    let source = guarded.client().await.database("old_secret");
    source.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    let migration = Migration::new(
        Side::new(&guarded.set, "old_secret"),
        Side::new(shared(Release::V6_0_5).await, "old_secret_moved"),
    );
    let target = migration.target.set.uri().replace("/?", "/old_secret_moved?");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
    command.args(["migrate", "env:OLD_SECRET", &target, "--rename", "old_secret.*=old_secret_moved.*"]);
    command.args(["--cutover", "when-caught-up", "-v", "--dir"]).arg(migration.directory()).env("OLD_SECRET", uri);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&said));
    assert!(!holds(&said));
    let mut files = 0;
    walk(&migration.directory(), &mut |path, bytes| {
        files += 1;
        assert!(!holds(bytes), "{}", path.display());
    });
    assert!(files > 8, "{files}");
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes())
}

fn walk(directory: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, look);
        } else {
            look(&path, &fs::read(&path).unwrap());
        }
    }
}

/// Their logs and marks were called by the collection alone.
#[tokio::test]
async fn two_databases_with_collections_of_one_name_are_kept_apart() {
    let set = shared(Release::V6_0_5).await;
    let client = set.client().await.unwrap();
    for (name, count) in [("old_twin_a", 3), ("old_twin_b", 5)] {
        let orders = client.database(name).collection("orders");
        orders.insert_many((0..count).map(|id| doc! { "_id": id })).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("move");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
    command.args(["migrate", &set.uri(), &set.uri(), "--include", "old_twin_*.*", "--cutover", "when-caught-up"]);
    command.args(["--rename", "old_twin_*.orders=moved_twin_*.orders", "--dir"]).arg(&directory);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, count) in [("a", 3), ("b", 5)] {
        let moved = client.database(&format!("moved_twin_{name}")).collection::<Document>("orders");
        assert_eq!(moved.count_documents(doc! {}).await.unwrap(), count);
        let done = fs::read_to_string(directory.join(format!("old_twin_{name}.orders.done"))).unwrap();
        assert_eq!(done.trim(), count.to_string());
        assert!(has(&directory, &format!("logs/old_twin_{name}.orders.log")));
    }
}

/// Their dump began from zero after a failure.
#[tokio::test]
async fn what_was_read_and_loaded_is_not_read_and_loaded_again() {
    const DOCUMENTS: i64 = 3000;
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "old_anew");
    let text = "x".repeat(10_000);
    let some = (0..DOCUMENTS).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("orders").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "old_anew"));
    migration.start(&["--max-rate", "6MB"]);
    let half = |status: &serde_json::Value| status["documents"].as_i64().is_some_and(|some| some > DOCUMENTS / 2);
    migration.until("half way", half).await;
    migration.kill();
    let returned = async || {
        let status =
            set.client().await.unwrap().database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let document = status.get_document("metrics").unwrap().get_document("document").unwrap().clone();
        document.get_i64("returned").unwrap()
    };
    let before = returned().await;
    migration.start(&[]);
    migration.until_following().await;
    let again = returned().await - before;
    assert!(again < DOCUMENTS * 3 / 4, "{again} documents of {DOCUMENTS} were read again");
    migration.cut_over().await;
    migration.assert_equal().await;
}

/// A token file that was empty or gone meant "from now on": events were lost, and the exit code was 0.
#[tokio::test]
async fn a_position_that_is_gone_is_an_error_and_never_the_present() {
    let mut migration = moving(Release::V6_0_5, "old_token", 10).await;
    migration.start(&[]);
    migration.until_following().await;
    migration.kill();
    let orders = migration.source.open().await.collection("orders");
    orders.insert_one(doc! { "_id": "while nobody looked" }).await.unwrap();
    for name in ["capture.json", "log/1", "migration.json"] {
        let (path, aside) = (migration.directory().join(name), migration.directory().with_file_name("aside"));
        fs::rename(&path, &aside).unwrap();
        let (code, said) = migration.ends(&[]).await;
        assert_eq!(code, 1, "{name} is gone: {said}");
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
        if path.is_file() {
            let whole = fs::read(&path).unwrap();
            fs::write(&path, "").unwrap();
            let (code, said) = migration.ends(&[]).await;
            assert_eq!(code, 1, "{name} is empty: {said}");
            fs::write(&path, whole).unwrap();
        }
    }
    migration.start(&[]);
    migration.arrives().await;
}
