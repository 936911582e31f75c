//! Events that go to a target: which database gets them, and what is refused.

use std::path::Path;

use super::{CaptureOptions, EventsTarget, Manifest, SourceId, work_directory::WorkDirectory};
use crate::{
    changes::{
        Store,
        cdc::{self, Cdc},
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    hex::hex,
};

impl Manifest {
    /// The stores of all streams. `target` is the server that has the events, if a target has them.
    pub(crate) fn stores(&self, directory: &Path, target: Option<&Server>) -> Vec<Store> {
        let stores = (1..).zip(&self.streams).map(|(number, _): (u32, _)| {
            let folder = directory.join("log").join(number.to_string());
            match (&self.events, target) {
                (Some(events), Some(target)) => {
                    Store::Cdc(Box::new(Cdc::new(target, &events.database, &events.capture, number, &folder)))
                }
                _ => Store::Log(folder),
            }
        });
        stores.collect()
    }
}

/// Where the events of the capture in a directory are, if a target has them.
///
/// # Errors
/// When its manifest cannot be read.
pub(crate) fn events_of(directory: &Path) -> Result<Option<EventsTarget>> {
    Ok(Manifest::read(directory)?.and_then(|manifest| manifest.events))
}

/// Takes the events of the capture in a directory out of the target that has them. Nothing of anybody else's.
///
/// # Errors
/// When the manifest cannot be read, or what the server says.
pub(crate) async fn drop_events(directory: &Path, target: &Server) -> Result<()> {
    let Some(events) = events_of(directory)? else { return Ok(()) };
    if !events.target.is(&SourceId::of(target).await?) {
        return Ok(());
    }
    Cdc::new(target, &events.database, &events.capture, 1, directory).drop().await
}

/// The database of a target that gets the events of a capture that is to begin.
///
/// # Errors
/// When it is the source, is no member of a replica set, or has the events of another capture than that of the directory.
pub(crate) async fn check_events_target(server: &Server, target: &Server, directory: &Path) -> Result<String> {
    let source = SourceId::of(server).await?;
    let events = decide(server, &source, target, events_of(directory)?, directory).await?;
    Ok(events.database)
}

/// Decides where the events of a new capture go.
///
/// # Errors
/// When the target is the source, or has the events of another capture.
pub(super) async fn begin(
    server: &Server,
    source: &SourceId,
    work: &WorkDirectory,
    options: &CaptureOptions,
) -> Result<Option<EventsTarget>> {
    match &options.target {
        None => Ok(None),
        Some(target) => decide(server, source, target, work.beginning()?, &options.directory).await.map(Some),
    }
}

async fn decide(
    server: &Server,
    source: &SourceId,
    target: &Server,
    known: Option<EventsTarget>,
    directory: &Path,
) -> Result<EventsTarget> {
    let id = SourceId::of(target).await?;
    if id.is(source) {
        let message = "the target is the source itself: a capture would record its own writes for ever";
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint("name the server that the copy goes to, or leave --events-to out")
            .at("--events-to target"));
    }
    if !target.replicates() {
        let message = "is not a member of a replica set, so nothing there is safe from the loss of one server";
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint("make it a replica set, if of one member (rs.initiate()), or leave --events-to out")
            .at(target.place()));
    }
    let database = target.default_database().or(server.default_database()).unwrap_or(cdc::DATABASE);
    let known = known.filter(|known| known.target.is(&id) && known.database == database);
    let capture = known.map_or_else(random, |known| Ok(known.capture))?;
    Cdc::new(target, database, &capture, 1, directory).check_free().await?;
    Ok(EventsTarget { target: id, database: database.to_owned(), capture })
}

/// Refuses to go on with a capture whose events are somewhere else.
///
/// # Errors
/// Of kind [`Usage`](ErrorKind::Usage).
pub(super) async fn check(manifest: &Manifest, options: &CaptureOptions) -> Result<()> {
    let refused = |message: String, hint: &str| {
        let error = Error::new(ErrorKind::Usage, message).with_hint(hint);
        Err(error.at(options.directory.display().to_string()))
    };
    match (&manifest.events, &options.target) {
        (None, None) => Ok(()),
        (None, Some(_)) => refused(
            "a capture was begun here with its events in this directory".to_owned(),
            "leave --events-to out to go on, or capture into a new directory",
        ),
        (Some(events), None) => refused(
            format!("the events of this capture are in {}", events.target.shown()),
            "go on with --events-to target --target TARGET",
        ),
        (Some(events), Some(target)) => {
            let given = SourceId::of(target).await?;
            if !events.target.is(&given) {
                let message =
                    format!("the events are in {}, and the target is {}", events.target.shown(), given.shown());
                return refused(message, "name the target that the capture was begun with");
            }
            match target.default_database() {
                Some(database) if database != events.database => refused(
                    format!("the events are in the database {}, and the target names {database}", events.database),
                    "leave the database out of --target to go on",
                ),
                _ => Ok(()),
            }
        }
    }
}

fn random() -> Result<String> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes: {error}")))?;
    Ok(hex(&id))
}
