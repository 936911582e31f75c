//! Sandbox servers: they start, answer, fail when told to, and never stay behind.

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use mongodb::{
    Client,
    bson::{Document, doc},
    error::ErrorKind as DriverErrorKind,
};
use rustix::{io::Errno, process::Pid};
use transload::{
    error::ErrorKind,
    sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser, ServerBinary},
};

use crate::servers::{binary, own, shared};

async fn version(client: &Client) -> String {
    let reply = client.database("admin").run_command(doc! { "buildInfo": 1 }).await.unwrap();
    reply.get_str("version").unwrap().to_owned()
}

fn exists(process: u32) -> bool {
    let id = Pid::from_raw(process.try_into().unwrap()).unwrap();
    rustix::process::test_kill_process(id) != Err(Errno::SRCH)
}

fn data_directory(set: &ReplicaSet) -> &Path {
    set.log(0).unwrap().parent().unwrap()
}

/// Whether it becomes true within ten seconds.
fn soon(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}

#[tokio::test]
async fn every_release_answers_with_its_version() {
    for release in Release::ALL {
        let begun = Instant::now();
        let set = shared(release).await;
        eprintln!("MongoDB {release}: a set of one after {:?}", begun.elapsed());
        assert_eq!(version(&set.client().await.unwrap()).await, release.version());
    }
}

#[tokio::test]
async fn every_release_fails_a_command_when_told_to() {
    for release in Release::ALL {
        let set = shared(release).await;
        let mut options = mongodb::options::ClientOptions::parse(set.uri()).await.unwrap();
        options.app_name = Some("fails_when_told_to".to_owned());
        let client = Client::with_options(options).unwrap();
        set.fail_point(doc! {
            "configureFailPoint": "failCommand",
            "mode": { "times": 1 },
            "data": { "failCommands": ["count"], "errorCode": 8000, "appName": "fails_when_told_to" },
        })
        .await
        .unwrap();

        let count = doc! { "count": "orders" };
        let error = client.database("fails_when_told_to").run_command(count.clone()).await.unwrap_err();
        let DriverErrorKind::Command(command) = error.kind.as_ref() else { panic!("{release}: {error}") };
        assert_eq!(command.code, 8000, "{release}");
        client.database("fails_when_told_to").run_command(count).await.unwrap();
    }
}

#[tokio::test]
async fn equal_data_has_equal_hashes_on_different_servers() {
    let mut hashes = Vec::new();
    for release in [Release::V6_0_5, Release::V6_0_27] {
        let set = shared(release).await;
        let database = set.client().await.unwrap().database("equal_hashes");
        let orders = database.collection::<Document>("orders");
        orders.insert_many((0..100).map(|id| doc! { "_id": id, "text": "x" })).await.unwrap();
        let before = set.db_hash("equal_hashes").await.unwrap();
        hashes.push((before.get_str("md5").unwrap().to_owned(), before.get_document("collections").unwrap().clone()));
        orders.delete_one(doc! { "_id": 7 }).await.unwrap();
        assert_ne!(set.db_hash("equal_hashes").await.unwrap().get_str("md5").unwrap(), hashes[0].0);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert!(hashes[0].1.contains_key("orders"));
}

#[tokio::test]
async fn with_a_root_user_nobody_else_gets_in() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let mut options = ReplicaSetOptions::new(binary(release).await);
        options.root = Some(RootUser::new("root", "p@ss:w/ö%"));
        let set = ReplicaSet::start(&options).await.unwrap();
        let names = set.client().await.unwrap().list_database_names().await.unwrap();
        assert!(names.contains(&"admin".to_owned()));
        set.db_hash("admin").await.unwrap();

        let address = set.member_uri(0).unwrap().split_once('@').unwrap().1.to_owned();
        let stranger = Client::with_uri_str(format!("mongodb://{address}")).await.unwrap();
        let error = stranger.list_database_names().await.unwrap_err();
        assert!(error.to_string().contains("requires authentication"), "{error}");
        assert!(!format!("{set:?}{options:?}").contains("p@ss"));
    }
}

#[tokio::test]
async fn dropping_a_set_ends_its_servers_and_removes_its_data() {
    let set = own(Release::V6_0_5).await;
    let process = set.process_id(0).unwrap().unwrap();
    let directory = data_directory(&set).to_owned();
    assert!(exists(process) && directory.exists());
    drop(set);
    assert!(!exists(process) && !directory.exists());
}

/// No test, but the process that the next test kills.
#[tokio::test]
#[ignore = "a process to be killed, which asserts nothing; `cargo test --test main a_killed_parent` runs it"]
async fn a_parent_to_be_killed() {
    if env::var_os("TRANSLOAD_TEST_PARENT").is_some() {
        let set = own(Release::V6_0_5).await;
        println!("\nstarted {} {}", set.member_uri(0).unwrap(), data_directory(&set).display());
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_killed_parent_leaves_nothing_behind() {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "sandbox::a_parent_to_be_killed", "--nocapture"])
        .env("TRANSLOAD_TEST_PARENT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
    let started = lines.find_map(|line| Some(line.strip_prefix("started ")?.to_owned()));
    let (uri, directory) = started.as_deref().unwrap().split_once(' ').unwrap();
    let address = uri.trim_start_matches("mongodb://").split('/').next().unwrap();
    assert!(TcpStream::connect(address).is_ok());

    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(soon(|| TcpStream::connect(address).is_err()), "the server outlived its parent");
    let _next = own(Release::V6_0_5).await;
    assert!(!Path::new(directory).exists(), "the next sandbox left the data of a dead one");
}

#[tokio::test]
async fn a_killed_member_comes_back_with_its_data() {
    let set = own(Release::V5_0_4).await;
    let orders = set.client().await.unwrap().database("shop").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    set.kill(0).unwrap();
    assert_eq!(set.process_id(0).unwrap(), None);
    set.restart(0).await.unwrap();
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn after_a_step_down_there_is_a_primary_again() {
    for release in [Release::V4_2_6, Release::V6_0_27] {
        let set = own(release).await;
        set.step_down().await.unwrap();
        let orders = set.client().await.unwrap().database("shop").collection::<Document>("orders");
        orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn a_set_of_three_survives_its_primary() {
    let begun = Instant::now();
    let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
    options.members = 3;
    options.root = Some(RootUser::new("root", "secret"));
    let set = ReplicaSet::start(&options).await.unwrap();
    eprintln!("a set of three after {:?}", begun.elapsed());
    let orders = set.client().await.unwrap().database("shop").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();

    let first = set.primary().await.unwrap();
    set.step_down().await.unwrap();
    let second = set.primary().await.unwrap();
    assert_ne!(first, second);
    set.kill(second).unwrap();
    let begun = Instant::now();
    assert_ne!(set.primary().await.unwrap(), second);
    eprintln!("a new primary after {:?}", begun.elapsed());
    set.restart(second).await.unwrap();
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn two_sets_at_once_do_not_meet() {
    let binary = binary(Release::V6_0_5).await;
    let options = ReplicaSetOptions::new(binary);
    let (left, right) = tokio::try_join!(ReplicaSet::start(&options), ReplicaSet::start(&options)).unwrap();
    let orders = left.client().await.unwrap().database("shop").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let others = right.client().await.unwrap().database("shop").collection::<Document>("orders");
    assert_eq!(others.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_its_last_words() {
    let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
    options.set_parameters = vec![("noSuchParameter".to_owned(), "1".to_owned())];
    let error = ReplicaSet::start(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("noSuchParameter"), "{error}");

    let missing = ReplicaSetOptions::new(ServerBinary::at("/no/such/mongod"));
    let error = ReplicaSet::start(&missing).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/mongod"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("TRANSLOAD_MONGOD")));
}
