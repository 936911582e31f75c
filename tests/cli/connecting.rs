//! Connection strings, and servers that do not answer or do not want us.

use std::os::unix::fs::PermissionsExt;

use mongodb::bson::doc;
use transload::sandbox::Release;

use super::terminal::{PASSWORD, Ran, Terminal, snapshot};
use crate::{
    copy::Side,
    odd_documents::numbered,
    servers::{guarded, own, shared},
};

/// A port on which nothing listens: reserved, and not given to anyone by a test.
const NOBODY: &str = "127.0.0.1:1";
const SOON: &str = "serverSelectionTimeoutMS=500";

fn dump(terminal: &Terminal, source: &str) -> Ran {
    terminal.run(&["dump", source, "a.tlz"])
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_not_accepted() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let address = set.address();
    let as_user = |user: &str| dump(&terminal, &format!("mongodb://{user}@{address}/?directConnection=true"));
    snapshot(
        "not-accepted",
        &[
            as_user("root:no-such-password").ends_with(1),
            as_user("nemo:no-such-password").ends_with(1),
            dump(&terminal, &format!("mongodb://{address}/?directConnection=true")).ends_with(1),
        ],
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_with_the_cause() {
    let terminal = Terminal::new();
    let set = shared(Release::V6_0_5).await;
    let address = set.member_uri(0).unwrap().replace("mongodb://", "");
    let address = address.split('/').next().unwrap();
    let runs: Vec<Ran> = [
        format!("mongodb://{NOBODY}/?{SOON}"),
        format!("mongodb://{NOBODY},127.0.0.1:2/shop?{SOON}"),
        format!("mongodb://no-such-host.invalid/?{SOON}"),
        format!("mongodb://{address}/?replicaSet=another&{SOON}"),
        format!("mongodb://{address}/?readPreference=secondary&replicaSet={}&{SOON}", set_name(&set.uri())),
        format!("mongodb://{address}/?tls=true&{SOON}"),
    ]
    .map(|uri| terminal.run(&["dump", &uri, "a.tlz", "--retry-for", "0"]).ends_with(1))
    .into();
    for run in &runs {
        assert!(run.took.as_secs() < 10, "{run}");
    }
    snapshot("unreachable", &runs);
}

/// What goes over the wire is compressed where the connection string says so, and nowhere else.
#[tokio::test]
async fn the_wire_is_compressed_where_the_connection_string_wants_it() {
    let (set, terminal) = (own(Release::V6_0_5).await, Terminal::new());
    let side = Side::new(&set, "wire");
    let text = "compresses well ".repeat(60);
    let document = |n: i32| {
        numbered(n, |document| {
            document.string("text", &text);
        })
    };
    side.insert("items", &(0..2000).map(document).collect::<Vec<_>>()).await;
    let admin = set.client().await.unwrap().database("admin");
    // Bytes that the server has compressed, before that, and those that were compressed for it, after.
    let compressed = async |with: &str| {
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let of =
            status.get_document("network").unwrap().get_document("compression").unwrap().get_document(with).unwrap();
        let bytes = |way: &str| of.get_document(way).unwrap().get_i64("bytesIn").unwrap();
        (bytes("compressor"), bytes("decompressor"))
    };
    let uri = format!("{}&appName=wire", set.uri().replacen("/?", "/wire?", 1));
    terminal.run(&["dump", &uri, "plain.tlz"]).ends_with(0);
    for with in ["zstd", "snappy", "zlib"] {
        assert_eq!(compressed(with).await, (0, 0), "{with}");
    }
    let all = 2000 * text.len() as i64;
    for with in ["zstd", "snappy", "zlib"] {
        let (uri, archive) = (format!("{uri}&compressors={with}"), format!("{with}.tlz"));
        terminal.run(&["dump", &uri, &archive]).ends_with(0);
        let dumped = compressed(with).await;
        assert!(dumped.0 > all, "{with}: {dumped:?}");
        // The copy goes to a database of its own.
        let (uri, renamed) = (uri.replacen("/wire?", "/?", 1), format!("wire.*=wire_{with}.*"));
        terminal.run(&["restore", &archive, &uri, "--rename", &renamed]).ends_with(0);
        let restored = compressed(with).await;
        assert!(restored.1 - dumped.1 > 1000 && restored.1 - dumped.1 < all / 2, "{with}: {dumped:?} {restored:?}");
        terminal.run(&["verify", &archive, &uri, "--rename", &renamed]).ends_with(0);
    }
}

fn set_name(uri: &str) -> &str {
    uri.split_once("replicaSet=").unwrap().1
}

#[test]
fn a_connection_string_that_cannot_be_used_is_not_repeated() {
    let terminal = Terminal::new();
    let runs = [
        format!("mongodb://ann:{PASSWORD}@{NOBODY}:x/"),
        format!("mongodb://ann:{PASSWORD}@a:99999/"),
        format!("mongodb://ann:{PASSWORD}%zz@a/"),
        format!("mongodb://ann:{PASSWORD}:x@a/"),
        format!("mongodb://ann:{PASSWORD}/x@a/"),
        format!("mongodb://ann:{PASSWORD}?x@a/"),
        format!("mongodb://ann:{PASSWORD}"),
        format!("ann:{PASSWORD}@a"),
        format!("mongodb://ann:{PASSWORD}@a/?fooBar=1"),
        format!("mongodb://ann:{PASSWORD}@a/?serverSelectionTimeoutMS=soon"),
        format!("mongodb://ann:{PASSWORD}@a/?tls=true&tlsInsecure=true&tlsAllowInvalidCertificates=true"),
        "mongodb://".to_owned(),
        String::new(),
    ];
    let runs: Vec<Ran> = runs.iter().map(|uri| dump(&terminal, uri).ends_with(2)).collect();
    let shown: Vec<String> = runs.iter().map(|run| run.stderr.clone()).collect();
    super::terminal::snapshot_text("unusable", &shown.join("\n"));
}

#[test]
fn connection_strings_in_the_wrong_place_are_not_repeated() {
    let terminal = Terminal::new();
    let uri = format!("mongodb://ann:{PASSWORD}@a/");
    let srv = format!("mongodb+srv://ann:{PASSWORD}@a/");
    let runs: Vec<Ran> = [
        &["dump", "a.tlz", &uri][..],
        &["dump", &uri, &srv],
        &["restore", &uri, "a.tlz"],
        &["verify", &uri],
        &["inspect", &srv],
        &[&uri],
        &["dump", &uri, "a.tlz", &srv],
        &["dump", &uri, "a.tlz", "--parallel", &uri],
        &["dump", "--json", &uri, "a.tlz", &format!("--source={uri}")],
    ]
    .map(|arguments| terminal.run(arguments).ends_with(2))
    .into();
    let shown: Vec<String> = runs.iter().map(|run| format!("{}{}", run.out(), run.stderr)).collect();
    super::terminal::snapshot_text("wrong-place", &shown.join("\n"));
}

#[tokio::test]
async fn options_of_other_drivers_are_left_out_with_a_warning() {
    let terminal = Terminal::new();
    let uri = format!("{}&useUnifiedTopology=true", shared(Release::V6_0_5).await.uri());
    let uri = uri.replace("/?", "/no_such_database?");
    let ran = dump(&terminal, &uri).ends_with(1).says("warning: the option 'useUnifiedTopology'");
    assert!(ran.stderr.contains("error: 127.0.0.1:"), "{ran}");
    let ran = terminal.run(&["--json", "dump", &uri, "a.tlz"]).ends_with(1);
    let types: Vec<_> = ran.lines().iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["warning", "error"]);
}

#[test]
fn a_connection_string_may_stand_in_a_variable_or_a_file() {
    let terminal = Terminal::new();
    let uri = format!("mongodb://ann:{PASSWORD}@{NOBODY}/?{SOON}");
    terminal.write("uri", format!("{uri}\n")).write("junk", PASSWORD).write("empty", "");
    let allow = |name: &str, mode| std::fs::set_permissions(terminal.path(name), std::fs::Permissions::from_mode(mode));
    allow("uri", 0o644).unwrap();
    let readable_by_others = dump(&terminal, "@uri").ends_with(1).says("warning: uri can be read by other users");
    for name in ["uri", "junk", "empty"] {
        allow(name, 0o600).unwrap();
    }
    let private = dump(&terminal, "@uri").ends_with(1);
    assert!(!private.stderr.contains("warning"), "{private}");
    let variable = terminal.run_with(&[("SOURCE_URI", &uri)], &["dump", "env:SOURCE_URI", "a.tlz"]).ends_with(1);
    snapshot(
        "elsewhere",
        &[
            readable_by_others,
            variable,
            dump(&terminal, "env:NOT_SET").ends_with(2),
            dump(&terminal, "@missing").ends_with(1),
            dump(&terminal, "@junk").ends_with(2),
            dump(&terminal, "@empty").ends_with(2),
            terminal.run_with(&[("SOURCE_URI", PASSWORD)], &["dump", "env:SOURCE_URI", "a.tlz"]).ends_with(2),
            terminal.run(&["restore", "a.tlz", "env:NOT_SET"]).ends_with(1),
        ],
    );
}

#[test]
fn a_user_without_a_password_and_no_terminal_to_ask_on() {
    let terminal = Terminal::new();
    snapshot("no-password", &[dump(&terminal, &format!("mongodb://ann@{NOBODY}/?{SOON}")).ends_with(2)]);
}
