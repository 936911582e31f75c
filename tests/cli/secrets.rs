//! The password is in no output, whatever is run. Every other test of the command line looks for it, too.

use super::terminal::{PASSWORD, Terminal};
use crate::servers::guarded;

#[tokio::test]
async fn no_output_holds_a_password() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let good = set.uri("reader", "/shop");
    let wrong = good.replace(PASSWORD, &format!("{PASSWORD}x"));
    let dead = format!("mongodb://ann:{PASSWORD}@127.0.0.1:1/?serverSelectionTimeoutMS=300");
    let bad_option = format!("{good}&bogus={PASSWORD}");
    let key = format!("{good}&tls=true&tlsCertificateKeyFile=/no/such&tlsCertificateKeyFilePassword={PASSWORD}");
    terminal.write("uri", &dead);
    let mut succeeded = 0;
    for flags in [&[][..], &["-v"], &["--json"], &["-v", "--json"], &["-q"]] {
        for arguments in [
            &["dump", &good, "a.tlz", "--force"][..],
            &["restore", "a.tlz", &good],
            &["restore", "a.tlz", &good, "--rename", "shop.*=shop.new_*"],
            &["dump", &wrong, "b.tlz"],
            &["dump", &dead, "b.tlz"],
            &["dump", "@uri", "b.tlz"],
            &["dump", &bad_option, "b.tlz"],
            &["dump", &key, "b.tlz"],
            &["dump", &good, &dead],
            &["restore", &dead, &good],
            &["verify", &good],
            &["inspect", "a.tlz", &good],
            &["recover", &good, &dead],
            &["dump", &good, "b.tlz", "--include", &dead],
            &["dump", &good, "b.tlz", "--collections-file", &dead],
            &["dump", &good, "b.tlz", "--codec", &dead],
        ] {
            // Each run is searched; see `Ran::check`.
            let ran = terminal.run(&[flags, arguments].concat());
            succeeded += u32::from(ran.code == 0);
            assert!(ran.code <= 3, "{ran}");
        }
        let _ = terminal.run_with(&[("TRANSLOAD_PARALLEL", &dead)], &["dump", "env:X", "b.tlz"]).ends_with(2);
    }
    assert_eq!(succeeded, 5, "the dumps succeed");
}
