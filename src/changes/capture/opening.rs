//! Which streams a capture begins with: one, or as few as the user's privileges allow.
//!
//! A router that knows a collection by another UUID than a shard does (SERVER-36154) opens no stream of it, nor any wider one
//! that it is in. So narrower ones are opened then too, and such a collection alone is left out.

use std::{fmt, str::FromStr};

use bson::rawdoc;
use serde::{Deserialize, Serialize};

use super::{NotFollowed, Since};
use crate::{
    catalog::{self, Catalog},
    changes::{ChangeStream, StreamFailure, StreamOptions, Watch, log::Position, stream::Start, token},
    connect::{Doing, Server},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    selection::Selection,
};

/// What one stream watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All user databases. Databases that are created later are in it.
    Deployment,
    /// A database. Collections that are created later are in it.
    Database,
    /// A collection. What is created later is not in it; each stream reads the source's whole oplog.
    Collection,
}

impl Scope {
    /// The scope of what is asked for, if nothing else is said.
    pub fn of(server: &Server) -> Self {
        if server.default_database().is_some() { Scope::Database } else { Scope::Deployment }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Deployment => "deployment",
            Scope::Database => "database",
            Scope::Collection => "collection",
        })
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "deployment" => Ok(Scope::Deployment),
            "database" => Ok(Scope::Database),
            "collection" => Ok(Scope::Collection),
            _ => Err(Error::new(ErrorKind::Usage, "is no scope: deployment, database or collection")),
        }
    }
}

/// The streams to begin with, each with its first position.
pub(super) struct Opened {
    pub(super) streams: Vec<(Watch, Position)>,
    pub(super) warnings: Vec<String>,
    /// The collections without a stream.
    pub(super) not_followed: Vec<NotFollowed>,
}

/// What has become of a stream that was to be opened.
enum Tried {
    Open,
    /// The user may not watch it; perhaps something narrower.
    NotAuthorized(Error),
    /// A collection in it, or it itself, cannot be followed.
    IdentityDiffers(Error),
}

/// Opens streams of the wanted scope, and narrower ones where the server refuses for lack of a privilege, or for the sake of a
/// collection that cannot be followed.
///
/// # Errors
/// When a stream cannot be opened, and no narrower ones in its place.
pub(super) async fn open(
    server: &Server,
    scope: Scope,
    selection: &Selection,
    since: &Since,
    options: StreamOptions,
) -> Result<Opened> {
    let opened = Opened { streams: Vec::new(), warnings: Vec::new(), not_followed: Vec::new() };
    let mut opening = Opening { server, selection, since, options, opened, last: None };
    match scope {
        Scope::Deployment if server.default_database().is_some() => {
            return Err(Error::new(ErrorKind::Usage, "one database is selected, and the scope is the deployment")
                .with_hint("leave the database out of the connection string, or the scope")
                .at("--scope"));
        }
        Scope::Deployment => opening.deployment().await?,
        Scope::Database => opening.databases().await?,
        Scope::Collection => {
            for database in opening.visible_databases().await? {
                opening.collections(&database).await?;
            }
        }
    }
    if opening.opened.streams.is_empty() {
        if let Some(error) = opening.last {
            return Err(error);
        }
        return Err(Error::new(ErrorKind::NotFound, "there is nothing to capture that is selected")
            .with_hint(
                "with --scope database, or --scope deployment, collections that do not exist yet are captured too",
            )
            .at(server.place()));
    }
    Ok(opening.opened)
}

/// Which streams a capture would have.
pub(crate) struct Streams {
    /// What they watch.
    pub(crate) watched: Vec<String>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// The collections without a stream.
    pub(crate) not_followed: Vec<NotFollowed>,
}

/// Opens the streams that a capture would begin with now, and closes them.
///
/// # Errors
/// As a capture would end with.
pub(crate) async fn try_streams(server: &Server, scope: Scope, selection: &Selection) -> Result<Streams> {
    let since = Since::Time(server.operation_time().await?);
    let options = StreamOptions { expanded_events: server.version().tells_of_collections(), full_documents: false };
    let opened = open(server, scope, selection, &since, options).await?;
    let watched = opened.streams.iter().map(|(watch, _)| watch.to_string()).collect();
    Ok(Streams { watched, warnings: opened.warnings, not_followed: opened.not_followed })
}

struct Opening<'a> {
    server: &'a Server,
    selection: &'a Selection,
    since: &'a Since,
    options: StreamOptions,
    opened: Opened,
    /// Why the last collection that cannot be followed cannot.
    last: Option<Error>,
}

impl Opening<'_> {
    async fn deployment(&mut self) -> Result<()> {
        let (error, which) = match self.stream(Watch::Deployment).await? {
            Tried::Open => return Ok(()),
            Tried::NotAuthorized(error) => (error, "that this user may see "),
            Tried::IdentityDiffers(error) => (error, ""),
        };
        self.opened.warnings.push(format!(
            "{}; one stream for each database {which}is captured instead, and databases that are created later are not",
            error.message()
        ));
        self.databases().await
    }

    async fn databases(&mut self) -> Result<()> {
        for database in self.visible_databases().await? {
            let tried = self.stream(Watch::Database(database.clone())).await?;
            let (Tried::NotAuthorized(error) | Tried::IdentityDiffers(error)) = &tried else { continue };
            let before = self.opened.streams.len();
            self.collections(&database).await?;
            let message = error.message().to_owned();
            if self.opened.streams.len() == before
                && let Tried::NotAuthorized(error) = tried
            {
                return Err(error);
            }
            self.opened.warnings.push(format!(
                "{message}; one stream for each collection of {database} is captured instead, and collections that are \
                 created later are not"
            ));
        }
        Ok(())
    }

    async fn collections(&mut self, database: &str) -> Result<()> {
        let doing = Doing::new(format!("list the collections of {database}"), "listCollections", database);
        let list = rawdoc! { "listCollections": 1, "nameOnly": true, "authorizedCollections": true, "cursor": {} };
        for info in self.server.documents(database, list, &doing).await? {
            let text = |name: &[u8]| {
                let text = document::find(&info, name)?.string()?;
                std::str::from_utf8(text).ok().map(str::to_owned)
            };
            let (Some(name), Some(kind)) = (text(b"name"), text(b"type")) else { continue };
            let namespace = Namespace::new(database, name)?;
            if kind == "collection" && catalog::is_copied(namespace.collection()) && self.selection.takes(&namespace) {
                match self.stream(Watch::Collection(namespace.clone())).await? {
                    Tried::Open => {}
                    Tried::NotAuthorized(error) => return Err(error),
                    Tried::IdentityDiffers(error) => {
                        let reason = error.message().to_owned();
                        self.opened.not_followed.push(NotFollowed { namespace, reason });
                        self.last = Some(error);
                    }
                }
            }
        }
        Ok(())
    }

    async fn visible_databases(&mut self) -> Result<Vec<String>> {
        let mut catalog = Catalog::default();
        let databases = catalog::databases(self.server, &mut catalog).await?;
        self.opened.warnings.extend(catalog.missing.into_iter().map(|missing| format!("missing: {missing}")));
        Ok(databases.into_iter().filter(|database| self.selection.takes_of(database)).collect())
    }

    async fn stream(&mut self, watch: Watch) -> Result<Tried> {
        let start = match self.since {
            Since::Time(time) => Start::At(*time),
            Since::Token(token) => Start::After(token.clone()),
        };
        // The server says here whether it may be watched, and whether the oplog reaches back that far.
        let mut stream = ChangeStream::new(self.server, watch.clone(), start, self.options);
        let first = match stream.next().await {
            Err(error) if error.kind() == ErrorKind::Authorization && !self.server.is_nobody() => {
                return Ok(Tried::NotAuthorized(error));
            }
            Err(error) if stream.ended_by() == Some(StreamFailure::IdentityDiffers) => {
                return Ok(Tried::IdentityDiffers(error));
            }
            first => first?,
        };
        let position = match self.since {
            // What happened at that time itself is still to come.
            Since::Time(time) if first.time <= *time => Position { token: first.token, time: time.saturating_sub(1) },
            Since::Time(_) => Position { token: first.token, time: first.time },
            // The reply may hold events already, which are behind the token.
            Since::Token(token) => Position { token: token.clone(), time: token::time(token).unwrap_or(0) },
        };
        self.opened.streams.push((watch, position));
        Ok(Tried::Open)
    }
}
