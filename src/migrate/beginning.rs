//! The beginning of a migration: nothing is there that could be mistaken for a part of it, and it can succeed.

use std::{fs, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    FENCED, Listener, MigrateOptions,
    directory::Paths,
    predecessor::{LATE, may_be_left, sweep},
    state::{EventsTo, Pair, State},
};
use crate::{
    catalog::{
        INTERNAL_DATABASES,
        sharding::{ShardKeyOf, wanted_keys},
    },
    changes::capture::drop_events,
    connect::Server,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    preflight::{CheckOptions, CheckReport, Reached, Verdict, Wishes, check},
    progress::Progress,
    replace::remove,
    selection::{Selection, SelectionOptions},
};

/// How often catalogs are read until they stand still for so long.
const READINGS: usize = 10;
/// The pause between two readings.
const PAUSE: Duration = Duration::from_millis(50);

/// A migration that is to begin.
pub(super) struct Beginning<'a> {
    pub(super) source: &'a Server,
    pub(super) target: &'a Server,
    pub(super) pair: Pair,
    pub(super) options: &'a MigrateOptions,
    pub(super) paths: &'a Paths,
}

impl Beginning<'_> {
    /// Checks whether it can succeed, gives up the one that `is_known` to be in the directory, and writes down that another one
    /// is begun.
    ///
    /// # Errors
    /// When it cannot, or when the directory holds something else: nothing was written then, and nothing given up. And when giving up
    /// fails on its way, which the same command goes on with.
    pub(super) async fn begin(
        self,
        is_known: bool,
        listener: &dyn Listener,
        progress: &Arc<dyn Progress>,
        cancel: &CancellationToken,
    ) -> Result<State> {
        if !is_known {
            self.check_directory()?;
        }
        progress.stage("checking", None, None);
        let selection = self.options.selection.clone().with_file_read()?;
        check_database(self.target, &selection)?;
        let (report, sharding) = tokio::select! {
            checked = self.check(&selection, listener) => checked?,
            () = cancel.cancelled() => return Err(Error::interrupted()),
        };
        let mut number = None;
        if is_known {
            number = tokio::select! {
                number = self.look_what_is_left(progress) => number?,
                () = cancel.cancelled() => return Err(Error::interrupted()),
            };
            self.paths.give_up()?;
            match drop_events(self.paths.directory(), self.target).await {
                // What is given up need not be understood.
                Err(error) if error.kind() == ErrorKind::Damaged => progress.warn(&error.to_string()),
                dropped => dropped?,
            }
            self.paths.clear()?;
        }
        let mut state =
            State::beginning(self.pair, selection, report.taken, self.options.events_to.unwrap_or_default())?;
        // A command that its last process has left to the target may come late: what it makes then is found.
        state.number = number.unwrap_or(state.number);
        (state.shard_keys, state.sharding) = (self.options.shard_keys.clone(), sharding);
        state.write(&self.paths.state())?;
        if is_known {
            remove(&self.paths.given_up())?;
        }
        Ok(state)
    }

    /// Waits for what the one that is given up has under way on this target, drops what it was only trying there, and says what it
    /// leaves on another. Gives what its scratch collections are known by. What it was need not be understood.
    async fn look_what_is_left(&self, progress: &Arc<dyn Progress>) -> Result<Option<u32>> {
        let known = State::read(&self.paths.state()).ok().flatten();
        let given_up = known.or_else(|| State::read(&self.paths.given_up()).ok().flatten());
        self.target.writes_end(|database| !INTERNAL_DATABASES.contains(&database), || progress.warn(LATE)).await?;
        let Some(given_up) = given_up else { return Ok(None) };
        if given_up.fenced {
            progress.warn(&format!("a cutover has had the source refuse writes: {FENCED}"));
        }
        if let Some(other) = given_up.other_target(&self.pair.target) {
            progress.warn(&format!("what the migration that is given up has made on {other} stays there"));
            return Ok(None);
        }
        if let Err(error) = sweep(&given_up, self.paths, &self.target.reading_primary()).await {
            progress.warn(&may_be_left(&error));
        }
        Ok((given_up.number != 0).then_some(given_up.number))
    }

    /// Refuses a directory in which there is something of another kind, and `--restart` where there is nothing.
    fn check_directory(&self) -> Result<()> {
        let place = self.paths.directory().display().to_string();
        if self.paths.given_up().exists() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "holds what is left of a migration that was being given up",
            )
            .with_hint("--restart begins anew")
            .at(place));
        }
        if self.options.restart {
            return Err(Error::new(ErrorKind::Usage, "there is no migration in it that could be given up")
                .with_hint("leave out --restart")
                .at(place));
        }
        match self.paths.first_of_another_kind()? {
            None => Ok(()),
            Some(name) => Err(Error::new(ErrorKind::AlreadyExists, format!("holds {name}, and no migration"))
                .with_hint("name a directory that is empty, or not there yet")
                .at(place)),
        }
    }

    /// Checks whether it can succeed; gives what was found, and what will be sharded on the target.
    async fn check(
        &self,
        selection: &SelectionOptions,
        listener: &dyn Listener,
    ) -> Result<(CheckReport, Vec<ShardKeyOf>)> {
        let wishes = Wishes {
            fences_source: self.options.cutover.as_ref().is_some_and(|request| request.fence_source),
            records_target: self.options.reverse_capture,
            events_to_target: self.options.events_to == Some(EventsTo::Target),
        };
        let (directory, replaces) = (Some(self.options.directory.clone()), self.options.replaces);
        let (codec, max_rate) = (self.options.codec, self.options.max_rate);
        let (selected, shard_keys) = (selection.clone(), self.options.shard_keys.clone());
        let options = CheckOptions { selection: selected, directory, replaces, wishes, codec, max_rate, shard_keys };
        let [source, target] = [self.source, self.target].map(|server| Reached::from(server.clone()));
        let report = still(|| check(&source, Some(&target), &options)).await?;
        listener.checked(&report);
        if report.verdict == Verdict::Refused {
            let refused = report.findings.iter().filter(|finding| finding.verdict == Verdict::Refused);
            let refused: Vec<String> = refused.map(|one| format!("{} {}: {}", one.side, one.what, one.found)).collect();
            let remedies = report.findings.iter().filter(|finding| finding.verdict == Verdict::Refused);
            let remedies: Vec<&str> = remedies.filter_map(|finding| finding.remedy.as_deref()).collect();
            return Err(Error::new(ErrorKind::Server, format!("the move cannot succeed: {}", refused.join("; ")))
                .with_hint(format!("{}; nothing was written", remedies.join("; "))));
        }
        let understood = Selection::new(selection)?;
        let wanted = wanted_keys(self.source, self.target, &understood, &self.options.shard_keys).await?;
        Ok((report, wanted.keys))
    }
}

/// What a status has told of a migration that may be given up. It is put back unless that comes to pass.
pub(super) struct Told {
    paths: Paths,
    is_away: bool,
}

impl Told {
    /// Puts a status away, if there is one.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn put_away(paths: &Paths) -> Result<Self> {
        let is_away = match fs::rename(paths.status(), paths.told()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            renamed => renamed.map(|()| true).map_err(|error| Error::io(paths.status(), error))?,
        };
        Ok(Told { paths: paths.clone(), is_away })
    }

    /// The migration is given up.
    pub(super) fn forget(mut self) {
        self.is_away = false;
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if self.is_away {
            // Without it a status tells less, and nothing else.
            let _ = fs::rename(self.paths.told(), self.paths.status());
        }
    }
}

/// Reads catalogs until nothing comes and goes meanwhile; a few times.
///
/// # Errors
/// What the reading fails with, in the end.
pub(super) async fn still<T, F: Future<Output = Result<T>>>(read: impl Fn() -> F) -> Result<T> {
    for _ in 1..READINGS {
        match read().await {
            Err(error) if error.kind() == ErrorKind::NotFound => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    read().await
}

/// A database in the target's connection string is where everything has to go, whatever is born later.
fn check_database(target: &Server, selection: &SelectionOptions) -> Result<()> {
    let Some(only) = target.default_database() else { return Ok(()) };
    let understood = Selection::new(selection)?;
    let Some(source) = &selection.default_database else {
        let message = format!("the target's connection string names a database, '{only}', and the source's does not");
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint(format!("name one in both, or in none; ?authSource={only} only authenticates there"))
            .at("TARGET"));
    };
    let probe = Namespace::new(source.as_str(), "any")?;
    let goes_to = understood.target(&probe)?.map(|target| target.database().to_owned());
    match goes_to {
        Some(database) if database != only => {
            let message =
                format!("'{source}' would go to '{database}', and the target's connection string names '{only}'");
            Err(Error::new(ErrorKind::Usage, message)
                .with_hint(format!("--rename '{source}.*={only}.*' moves it there"))
                .at("TARGET"))
        }
        _ => Ok(()),
    }
}
