//! The servers that tests share: one replica set for each release, started by the first test that wants it.
//!
//! A test keeps to a database named after itself, and lets its failpoints name its own `appName`; one that kills a
//! member or makes it step down starts a set of its own. Statics are never dropped: the servers end with the test
//! process, because the kernel kills them, and the next sandbox removes their data.

use tokio::sync::OnceCell;
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, ServerBinary};

/// Exactly this release; the first time on a machine, it is fetched.
pub(crate) async fn binary(release: Release) -> ServerBinary {
    ServerBinary::release(release, &|notice| eprintln!("{notice}")).await.expect("a server can be fetched")
}

/// A set of this release with one member, for this test alone.
pub(crate) async fn own(release: Release) -> ReplicaSet {
    ReplicaSet::start(&ReplicaSetOptions::new(binary(release).await)).await.expect("a server starts")
}

/// The set of this release with one member that all tests share.
pub(crate) async fn shared(release: Release) -> &'static ReplicaSet {
    static SETS: [OnceCell<ReplicaSet>; Release::ALL.len()] = [const { OnceCell::const_new() }; Release::ALL.len()];
    let place = Release::ALL.iter().position(|each| *each == release).expect("ALL has every release");
    SETS[place].get_or_init(|| own(release)).await
}
