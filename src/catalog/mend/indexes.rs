//! The indexes of a collection: which are built, changed and dropped, so that it has those of the source.

use super::{Mended, change};
use crate::{
    catalog::{
        build::create_indexes,
        index_spec::Verdict,
        meaning::{MeantIndex, number, unlike},
    },
    connect::{Doing, Server},
    document::{self, RawBuilder},
    error::Result,
    namespace::Namespace,
};

/// `IndexNotFound`: it is gone already.
const GONE: [i32; 1] = [27];
/// When documents expire by an index, which is held back while a migration runs.
const EXPIRY: &[u8] = b"expireAfterSeconds";
/// Whether the planner looks at an index.
const HIDDEN: &[u8] = b"hidden";

/// What is to be done about the indexes of one collection.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What the source has not.
    drop: Vec<String>,
    /// What `collMod` can change.
    alter: Vec<Alteration>,
    /// What is another one on the target, or none.
    build: Vec<Build>,
    /// What no such target can build, and why.
    refused: Vec<(String, String)>,
}

/// An index to be changed as it is.
#[derive(Debug)]
struct Alteration {
    name: String,
    spec: Vec<u8>,
    expires: bool,
    hides: bool,
}

/// An index to be built.
#[derive(Debug)]
struct Build {
    name: String,
    spec: Vec<u8>,
    /// Whether another one has its name.
    replaces: bool,
}

impl Plan {
    /// What makes `there` what is `wanted`.
    pub(super) fn new(wanted: Vec<MeantIndex>, there: &[MeantIndex]) -> Self {
        let mut plan = Plan::default();
        let is_extra = |index: &&MeantIndex| {
            index.verdict != Verdict::Inherent && !wanted.iter().any(|wanted| wanted.name == index.name)
        };
        plan.drop = there.iter().filter(is_extra).map(|index| index.name.clone()).collect();
        for index in wanted {
            let other = there.iter().find(|other| other.name == index.name);
            let differing = other.map(|other| unlike(&index.spec, &other.spec));
            if index.verdict == Verdict::Inherent || differing.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let name = index.name;
            let spec = match index.verdict {
                Verdict::Build(spec) => spec,
                Verdict::Refused(reason) => {
                    plan.refused.push((name, reason));
                    continue;
                }
                Verdict::Inherent | Verdict::Merged(_) => continue,
            };
            let Some(differing) = differing else {
                plan.build.push(Build { name, spec, replaces: false });
                continue;
            };
            let differs = |field: &[u8]| differing.contains(&field);
            // No server takes the expiry away from an index.
            let can_expire = !differs(EXPIRY) || document::find(&spec, EXPIRY).is_some();
            if can_expire && differing.iter().all(|field| [EXPIRY, HIDDEN].contains(field)) {
                let (expires, hides) = (differs(EXPIRY), differs(HIDDEN));
                plan.alter.push(Alteration { name, spec, expires, hides });
            } else {
                plan.build.push(Build { name, spec, replaces: true });
            }
        }
        plan
    }

    /// Whether an index will be built, which may take its time.
    pub(super) fn builds(&self) -> bool {
        !self.build.is_empty()
    }

    /// The names of the indexes that will be built.
    pub(super) fn names(&self) -> Vec<String> {
        self.build.iter().map(|index| index.name.clone()).collect()
    }

    /// Does it to a collection of about so many documents.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn apply(self, server: &Server, namespace: &Namespace, documents: u64) -> Result<Vec<Mended>> {
        let of = |name: &str, done: &str, failed| Mended::new(namespace, format!("index {name}: {done}"), failed);
        let mut mended: Vec<Mended> =
            self.refused.into_iter().map(|(name, reason)| of(&name, "built", Some(reason))).collect();
        // First what is in the way: of a name, of a key, or of the number that a collection may have.
        for name in &self.drop {
            mended.push(of(name, "dropped", drop(server, namespace, name).await?));
        }
        let mut build = self.build;
        for alteration in self.alter {
            match alteration.apply(server, namespace).await? {
                None => mended.push(of(&alteration.name, &alteration.done(), None)),
                // Releases that cannot change it can build it.
                Some(_) => build.push(Build { name: alteration.name, spec: alteration.spec, replaces: true }),
            }
        }
        let mut free = Vec::new();
        for index in build {
            match index.replaces {
                true => match drop(server, namespace, &index.name).await? {
                    None => free.push(index),
                    failed => mended.push(of(&index.name, "built anew", failed)),
                },
                false => free.push(index),
            }
        }
        let specs: Vec<Vec<u8>> = free.iter().map(|index| index.spec.clone()).collect();
        for (index, failed) in free.iter().zip(create_indexes(server, namespace, &specs, documents).await?) {
            mended.push(of(&index.name, if index.replaces { "built anew" } else { "built" }, failed));
        }
        Ok(mended)
    }
}

impl Alteration {
    /// Changes it; why not, where the server would not.
    async fn apply(&self, server: &Server, namespace: &Namespace) -> Result<Option<String>> {
        let mut command = RawBuilder::new();
        command.string("collMod", namespace.collection()).embed("index", |index| {
            index.string("name", &self.name);
            if let Some(expiry) = document::find(&self.spec, EXPIRY).filter(|_| self.expires) {
                index.append(&expiry);
            }
            if self.hides {
                index.bool("hidden", self.is_hidden());
            }
        });
        let doing = Doing::new(format!("change an index of {namespace}"), "collMod", namespace.database());
        change(server, namespace, command, &doing, &[]).await
    }

    fn is_hidden(&self) -> bool {
        document::find(&self.spec, HIDDEN).is_some_and(|hidden| hidden.value != [0])
    }

    /// What is said of it when it is done.
    fn done(&self) -> String {
        let seconds = document::find(&self.spec, EXPIRY).filter(|_| self.expires).and_then(|expiry| number(&expiry));
        let expiry = seconds.map(|seconds| format!("expireAfterSeconds restored to {seconds}"));
        let hidden = self.hides.then(|| if self.is_hidden() { "hidden" } else { "hidden no more" }.to_owned());
        expiry.into_iter().chain(hidden).collect::<Vec<_>>().join(", ")
    }
}

/// Drops an index; why not, where the server would not.
async fn drop(server: &Server, namespace: &Namespace, name: &str) -> Result<Option<String>> {
    let mut command = RawBuilder::new();
    command.string("dropIndexes", namespace.collection()).string("index", name);
    let doing = Doing::new(format!("drop an index of {namespace}"), "dropIndex", namespace.database());
    change(server, namespace, command, &doing, &GONE).await
}
