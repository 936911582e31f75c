//! Ends of a move where nobody answers, or nobody lets us in: lines like any other.

use super::{findings, found, verdicts};
use crate::{
    cli::{
        data::{empty, shop},
        terminal::{Ran, Terminal},
    },
    servers::guarded,
};

/// What is said of one side's ends: `verdict what`.
fn ends(ran: &Ran, side: &str) -> Vec<String> {
    let of_side: Vec<_> = verdicts(ran).into_iter().filter(|line| line.contains(&format!(" {side} "))).collect();
    let lines = of_side.iter().map(|line| line.replace(&format!(" {side}"), ""));
    lines.filter(|line| line.ends_with("reachable") || line.ends_with("authenticated")).collect()
}

#[tokio::test]
async fn a_port_that_is_dead_is_refused_and_the_other_end_looked_at() {
    let (terminal, source) = (Terminal::new(), shop("cli_check_dead").await);
    let target = empty("cli_check_dead_copy").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = format!("mongodb://127.0.0.1:{port}/shop?directConnection=true&serverSelectionTimeoutMS=500");
    let well = ["ok reachable", "ok authenticated"];
    let ran = terminal.run(&["check", &dead, &target, "--json", "--retry-for", "0"]).ends_with(1);
    assert_eq!(ends(&ran, "source"), ["refused reachable"], "{ran}");
    assert_eq!(ends(&ran, "target"), well, "{ran}");
    assert!(verdicts(&ran).contains(&"ok target members".to_owned()), "{ran}");
    assert!(found(&ran, "reachable").contains("firewall") && ran.stderr.is_empty(), "{ran}");
    let ran = terminal.run(&["check", &source, &dead, "--json", "--retry-for", "0"]).ends_with(1);
    assert_eq!(
        (ends(&ran, "source"), ends(&ran, "target")),
        (well.map(str::to_owned).into(), vec!["refused reachable".to_owned()]),
        "{ran}"
    );
    assert!(verdicts(&ran).contains(&"ok source change streams".to_owned()), "{ran}");
    // For people as well, with the place.
    let ran = terminal.run(&["check", &dead, "--retry-for", "0"]).ends_with(1);
    assert!(ran.stderr.contains("REFUSED  source  reachable") && ran.stderr.contains(&port.to_string()), "{ran}");
    assert!(!ran.stderr.contains("error:"), "{ran}");
    // What is no connection string at all is no finding.
    terminal.run(&["check", "mongodb://", "--json"]).ends_with(2);
}

#[tokio::test]
async fn a_password_that_is_wrong_and_a_user_that_is_missing_are_refused() {
    let (terminal, guarded, source) = (Terminal::new(), guarded().await, shop("cli_check_strange").await);
    let wrong = format!("mongodb://root:no-such-password@{}/?directConnection=true", guarded.address());
    let nobody = format!("mongodb://{}/?directConnection=true", guarded.address());
    for stranger in [&wrong, &nobody] {
        for arguments in [&["check", stranger, &source, "--json"], &["check", &source, stranger, "--json"]] {
            let ran = terminal.run(arguments).ends_with(1);
            let side = if arguments[1] == stranger { "source" } else { "target" };
            assert_eq!(ends(&ran, side), ["ok reachable", "refused authenticated"], "{ran}");
            let of_side = |finding: &&serde_json::Value| finding["side"] == side;
            assert_eq!(findings(&ran).iter().filter(of_side).count(), 2, "nothing more can be said: {ran}");
        }
    }
    let ran = terminal.run(&["check", &wrong, "--json"]).ends_with(1);
    assert!(found(&ran, "authenticated").contains("authSource=admin"), "{ran}");
}
