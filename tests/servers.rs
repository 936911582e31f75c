//! The servers that tests share: one replica set for each release, started by the first test that wants it.
//!
//! A test keeps to a database named after itself, and lets its failpoints name its own `appName`; one that kills a
//! member or makes it step down starts a set of its own. Statics are never dropped: the servers end with the test
//! process, because the kernel kills them, and the next sandbox removes their data.

use mongodb::bson::{self, doc};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser, ServerBinary};

/// Exactly this release; the first time on a machine, it is fetched.
pub(crate) async fn binary(release: Release) -> ServerBinary {
    ServerBinary::release(release, &|notice| eprintln!("{notice}")).await.expect("a server can be fetched")
}

/// A set of this release with one member, for this test alone.
pub(crate) async fn own(release: Release) -> ReplicaSet {
    ReplicaSet::start(&ReplicaSetOptions::new(binary(release).await)).await.expect("a server starts")
}

/// A set with three members, for this test alone.
pub(crate) async fn three_members() -> ReplicaSet {
    three_members_of(Release::V6_0_5).await
}

/// The same of another release.
pub(crate) async fn three_members_of(release: Release) -> ReplicaSet {
    let mut options = ReplicaSetOptions::new(binary(release).await);
    options.members = 3;
    ReplicaSet::start(&options).await.expect("a set of three starts")
}

/// The set of this release with one member that all tests share.
pub(crate) async fn shared(release: Release) -> &'static ReplicaSet {
    static SETS: [OnceCell<ReplicaSet>; Release::ALL.len()] = [const { OnceCell::const_new() }; Release::ALL.len()];
    let place = Release::ALL.iter().position(|each| *each == release).expect("ALL has every release");
    SETS[place].get_or_init(|| own(release)).await
}

/// A set for tests with failpoints, one after the other: a server has one `failCommand` for all its clients.
pub(crate) async fn faulty() -> (MutexGuard<'static, ()>, &'static ReplicaSet) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static SET: OnceCell<ReplicaSet> = OnceCell::const_new();
    let turn = TURN.lock().await;
    (turn, SET.get_or_init(|| own(Release::V6_0_5)).await)
}

/// A set with access control, and the users that tests of privileges want. All have the same password.
pub(crate) struct Guarded {
    pub(crate) set: ReplicaSet,
}

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

    /// The set itself.
    pub(crate) fn set(&self) -> &ReplicaSet {
        &self.set
    }

    pub(crate) async fn client(&self) -> mongodb::Client {
        self.set.client().await.unwrap()
    }

    /// Fills `shop`, and makes a reader of it, a user with no role, one who may find in one collection only, and one
    /// who may read and write `copies`.
    async fn make_users(&self) {
        let client = self.client().await;
        crate::cli::fill(&client, "shop").await;
        crate::cli::fill(&client, "other").await;
        let admin = client.database("admin");
        let one = doc! { "resource": { "db": "shop", "collection": "orders" }, "actions": ["find"] };
        admin.run_command(doc! { "createRole": "finder", "privileges": [one], "roles": [] }).await.unwrap();
        for (user, roles) in [
            ("reader", bson::bson!([{ "role": "read", "db": "shop" }])),
            ("nobody", bson::bson!([])),
            ("finder", bson::bson!(["finder"])),
            ("writer", bson::bson!([{ "role": "readWrite", "db": "copies" }, { "role": "read", "db": "shop" }])),
        ] {
            let command = doc! { "createUser": user, "pwd": crate::cli::PASSWORD, "roles": roles };
            admin.run_command(command).await.unwrap();
        }
    }
}

/// The guarded set that all tests share.
pub(crate) async fn guarded() -> &'static Guarded {
    static SET: OnceCell<Guarded> = OnceCell::const_new();
    let start = async || {
        let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
        options.root = Some(RootUser::new("root", crate::cli::PASSWORD));
        let guarded = Guarded { set: ReplicaSet::start(&options).await.expect("a server starts") };
        guarded.make_users().await;
        guarded
    };
    SET.get_or_init(start).await
}
