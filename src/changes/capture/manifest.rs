//! `capture.json`: what a work directory records, of which source, in which streams.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use bson::{Bson, Document, rawdoc};
use serde::{Deserialize, Serialize};

use crate::{
    changes::{StreamOptions, Watch},
    connect::{Doing, Server, Version},
    error::{Error, ErrorKind, Result},
    namespace::{Namespace, printable},
    replace::replace,
    selection::SelectionOptions,
};

/// The newest version of a manifest: some collections are not followed, which older versions of this program would not heed.
const VERSION: u32 = 3;
/// That of a manifest whose events are in a target.
const VERSION_OF_TARGET: u32 = 2;
/// That of a manifest whose events are in logs beside it, which older versions read too.
const VERSION_OF_LOGS: u32 = 1;

/// What a capture is about, written before its first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1; 2 where the events are in a target; 3 where collections are not followed.
    pub version: u32,
    /// Whether the logs have their first positions.
    pub state: State,
    /// The deployment that is recorded.
    pub source: SourceId,
    /// Its version when the capture began: what a dot in an event means depends on it.
    pub server: String,
    /// Which namespaces are recorded.
    pub selection: SelectionOptions,
    /// How events are.
    pub options: StreamOptions,
    /// The streams; the log of the first one is `log/1`.
    pub streams: Vec<Watch>,
    /// Where the changes lead back to, if this is the recording of a target that has taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<WayBack>,
    /// The target that has the events, if they are not in the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTarget>,
    /// What is selected, and not recorded, or not any more. Once here, it stays here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_followed: Vec<NotFollowed>,
}

/// A collection without a stream. Nobody knows what happens to it: only a copy that is made anew, while nobody writes to it,
/// is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFollowed {
    /// The collection.
    pub namespace: Namespace,
    /// Why its stream could not be opened, or did not go on.
    pub reason: String,
}

impl fmt::Display for NotFollowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.namespace.to_string()), self.reason)
    }
}

/// What makes the changes of a target that has taken over the way back to its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// The cluster time at which both sides were equal: every later event is to be applied, and no other.
    pub equal_at: u64,
    /// What was moved, and under which names it has come: what leads back, and under which.
    pub moved: SelectionOptions,
}

/// Where events are that go to a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsTarget {
    /// The deployment.
    pub target: SourceId,
    /// The database whose `_cdc` collection has them.
    pub database: String,
    /// What the capture is known by in it.
    pub capture: String,
}

/// How far a capture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The first positions are being written: nothing of value is there yet, and a new start begins anew.
    Beginning,
    /// The logs hold their positions, and nothing but them says where to go on.
    Begun,
}

/// What a deployment is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceId {
    /// The name of the replica set; none behind a `mongos`.
    pub set: Option<String>,
    /// The server's id of the set or cluster, where this user may read it.
    pub id: Option<String>,
    /// The members that it shows, or the hosts of the connection string.
    pub hosts: Vec<String>,
}

impl SourceId {
    /// Asks the deployment.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn of(server: &Server) -> Result<Self> {
        let reply = server.hello().await?;
        let hosts = reply.get_array("hosts").into_iter().flatten().filter_map(Bson::as_str).map(str::to_owned);
        let mut hosts: Vec<String> = hosts.collect();
        if hosts.is_empty() {
            hosts = server.place().split(',').map(str::to_owned).collect();
        }
        let set = reply.get_str("setName").ok().map(str::to_owned);
        let id = match &set {
            Some(_) => set_id(server).await,
            None => cluster_id(server).await,
        };
        Ok(SourceId { set, id, hosts })
    }

    /// Whether both are the same deployment. An id says it for sure; where one of them has none, it is the set's name
    /// with at least one member that both know: members come and go, but not all between two starts.
    pub fn is(&self, other: &SourceId) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(two)) => one == two,
            _ => self.set == other.set && self.hosts.iter().any(|host| other.hosts.contains(host)),
        }
    }

    /// Its name for messages.
    pub(crate) fn shown(&self) -> String {
        let hosts = self.hosts.join(",");
        self.set.as_ref().map_or(hosts.clone(), |set| format!("{set}/{hosts}"))
    }
}

/// Few users may read it: any failure is no id.
async fn set_id(server: &Server) -> Option<String> {
    let doing = Doing::unprivileged("read the configuration of the replica set");
    let reply = server.run("admin", rawdoc! { "replSetGetConfig": 1 }, &doing).await.ok()?;
    let settings = reply.get_document("config").ok()?.get_document("settings").ok()?;
    settings.get_object_id("replicaSetId").ok().map(|id| id.to_hex())
}

async fn cluster_id(server: &Server) -> Option<String> {
    let doing = Doing::unprivileged("read the id of the cluster");
    let found = server.documents("config", rawdoc! { "find": "version" }, &doing).await.ok()?;
    let version: Document = bson::deserialize_from_slice(found.first()?).ok()?;
    version.get_object_id("clusterId").ok().map(|id| id.to_hex())
}

impl Manifest {
    /// Of a capture that begins.
    pub(super) fn beginning(
        source: SourceId,
        server: Version,
        selection: SelectionOptions,
        options: StreamOptions,
        streams: Vec<Watch>,
        events: Option<EventsTarget>,
    ) -> Self {
        let server = server.to_string();
        let version = if events.is_some() { VERSION_OF_TARGET } else { VERSION_OF_LOGS };
        let (state, way_back, not_followed) = (State::Beginning, None, Vec::new());
        Manifest { version, state, source, server, selection, options, streams, way_back, events, not_followed }
    }

    /// The same without a stream of these collections.
    #[must_use]
    pub(super) fn without(mut self, mut collections: Vec<NotFollowed>) -> Self {
        if !collections.is_empty() {
            self.version = VERSION;
            self.not_followed.append(&mut collections);
        }
        self
    }

    /// Whether one of the streams watches a collection.
    pub(crate) fn watches(&self, namespace: &Namespace) -> bool {
        self.streams.iter().any(|watch| match watch {
            Watch::Deployment => true,
            Watch::Database(database) => database == namespace.database(),
            Watch::Collection(one) => one == namespace,
        })
    }

    /// Whether what a stream watches is still recorded.
    pub(crate) fn follows(&self, watch: &Watch) -> bool {
        match watch {
            Watch::Collection(namespace) => !self.not_followed.iter().any(|one| one.namespace == *namespace),
            Watch::Deployment | Watch::Database(_) => true,
        }
    }

    /// The version of the source when the capture began.
    pub fn server_version(&self) -> Option<Version> {
        self.server.parse().ok()
    }

    /// The manifest of a work directory; none when there is none.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = path(directory);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, error)),
        };
        let damaged = |error| {
            Error::new(ErrorKind::Damaged, "is not what a capture has written")
                .with_hint("without it nobody knows what the log records: capture into a new directory, and copy anew")
                .with_source(error)
                .at(path.display().to_string())
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        if value.get("version").and_then(serde_json::Value::as_u64).is_some_and(|version| version > VERSION.into()) {
            return Err(Error::new(ErrorKind::NewerVersion, "was written by a newer version of transload")
                .at(path.display().to_string()));
        }
        serde_json::from_value(value).map(Some).map_err(damaged)
    }

    /// Writes it, in one step.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Internal, "a manifest is no JSON").with_source(error))?;
        text.push(b'\n');
        replace(&path(directory), &text)
    }

    /// Refuses another source than the one that is recorded.
    pub(super) fn check_source(&self, source: &SourceId, directory: &Path) -> Result<()> {
        if self.source.is(source) {
            return Ok(());
        }
        let message = format!("holds changes of {}, and the source is {}", self.source.shown(), source.shown());
        Err(Error::new(ErrorKind::Usage, message)
            .with_hint("each source needs a directory of its own")
            .at(directory.display().to_string()))
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("capture.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(set: &str, id: Option<&str>, hosts: &[&str]) -> SourceId {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        SourceId { set: Some(set.to_owned()), id: id.map(str::to_owned), hosts }
    }

    #[test]
    fn a_deployment_is_known_by_its_id_or_by_its_members() {
        assert!(id("rs", Some("1"), &["a:1"]).is(&id("rs", Some("1"), &["b:1"])));
        assert!(!id("rs", Some("1"), &["a:1"]).is(&id("rs", Some("2"), &["a:1"])));
        assert!(id("rs", None, &["a:1", "b:1"]).is(&id("rs", Some("1"), &["b:1", "c:1"])));
        assert!(!id("rs", None, &["a:1"]).is(&id("other", None, &["a:1"])));
        assert!(!id("rs", None, &["a:1"]).is(&id("rs", None, &["b:1"])));
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        let streams = vec![Watch::Deployment, Watch::Database("shop".to_owned())];
        let source = id("rs", None, &["a:1"]);
        let manifest = Manifest::beginning(
            source,
            Version::new(6, 0, 5),
            SelectionOptions::default(),
            StreamOptions::default(),
            streams,
            None,
        );
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(manifest));
        for (text, kind) in [
            ("{", ErrorKind::Damaged),
            ("{}", ErrorKind::Damaged),
            (r#"{"version": 4, "state": "new"}"#, ErrorKind::NewerVersion),
        ] {
            std::fs::write(path(folder.path()), text).unwrap();
            assert_eq!(Manifest::read(folder.path()).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn a_collection_that_is_not_followed_is_not_followed_for_good() {
        let watch = |name: &str| Watch::Collection(Namespace::parse(name).unwrap());
        let streams = vec![watch("shop.a"), watch("shop.b")];
        let (selection, options) = (SelectionOptions::default(), StreamOptions::default());
        let whole =
            Manifest::beginning(id("rs", None, &["a:1"]), Version::new(6, 0, 5), selection, options, streams, None);
        assert_eq!(whole.clone().without(Vec::new()), whole, "older versions read it as well");
        let reason = "two UUIDs".to_owned();
        let lost = NotFollowed { namespace: Namespace::parse("shop.b").unwrap(), reason };
        assert_eq!(lost.to_string(), "shop.b: two UUIDs");
        let folder = tempfile::tempdir().unwrap();
        whole.without(vec![lost.clone()]).write(folder.path()).unwrap();
        let read = Manifest::read(folder.path()).unwrap().unwrap();
        assert_eq!((read.version, &read.not_followed), (3, &vec![lost]));
        assert!(read.follows(&watch("shop.a")) && !read.follows(&watch("shop.b")));
    }
}
