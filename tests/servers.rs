//! The servers that tests share: one replica set for each release, started by the first test that wants it.
//!
//! A test keeps to a database named after itself, and lets its failpoints name its own `appName`; one that kills a
//! member or makes it step down starts a set of its own. Statics are never dropped: the servers end with the test
//! process, because the kernel kills them, and the next sandbox removes their data.

use tokio::sync::OnceCell;
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser, ServerBinary};

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

/// A set with access control, and the users that tests of privileges want. All have the same password.
pub(crate) struct Guarded {
    set: ReplicaSet,
}

#[allow(dead_code)]
impl Guarded {
    /// `host:port` of its one member.
    pub(crate) fn address(&self) -> String {
        let uri = self.set.member_uri(0).unwrap();
        let (_, address) = uri.rsplit_once('@').unwrap();
        address.split('/').next().unwrap().to_owned()
    }

    /// A connection string for a user; `path` is what stands behind the host, as `/shop`.
    pub(crate) fn uri(&self, user: &str, path: &str) -> String {
        let password = crate::cli::PASSWORD;
        format!("mongodb://{user}:{password}@{}{path}?directConnection=true&authSource=admin", self.address())
    }

    pub(crate) async fn client(&self) -> mongodb::Client {
        self.set.client().await.unwrap()
    }
}

/// The guarded set that all tests share.
pub(crate) async fn guarded() -> &'static Guarded {
    static SET: OnceCell<Guarded> = OnceCell::const_new();
    let start = async || {
        let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
        options.root = Some(RootUser::new("root", crate::cli::PASSWORD));
        Guarded { set: ReplicaSet::start(&options).await.expect("a server starts") }
    };
    SET.get_or_init(start).await
}
