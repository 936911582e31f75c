//! The captures beside the stages: of the source until the cutover, of the target after it.

use std::{path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Migration,
    board::{Board, Waiting},
    state::EventsTo,
};
use crate::{
    changes::{
        capture::{CAPTURING, CaptureOptions, Manifest, capture, drop_events, events_of},
        cdc,
        log::LogOptions,
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    selection::SelectionOptions,
};

/// How long events may wait before they are synced.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// How often a position without an event is written: a cutover waits for one.
const IDLE: Duration = Duration::from_millis(500);

/// A capture that goes on until the migration is stopped.
pub(super) type Recording<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

impl Migration {
    /// Records the source's changes until `stop`. Tells `opened` when they are recorded.
    pub(super) async fn capture_source(&self, opened: watch::Sender<bool>, stop: CancellationToken) -> Result<()> {
        let target = (self.state().events_to == EventsTo::Target).then(|| self.target.clone());
        let options = CaptureOptions {
            target,
            ..self.capture_options(self.paths.directory().to_owned(), self.selection.clone())
        };
        self.record(&self.source, options, opened, stop).await
    }

    /// Refuses to begin a way back after the cutover: what has happened on the target since would be missing.
    pub(super) fn check_way_back(&self) -> Result<()> {
        if Manifest::read(&self.paths.reverse())?.is_some_and(|manifest| manifest.way_back.is_some()) {
            return Ok(());
        }
        let message =
            "the migration is over, and the target's changes since were not recorded: they are in no way back";
        Err(Error::new(ErrorKind::Usage, message)
            .with_hint("leave it out; the way back is another migration, from the target to the source")
            .at("--reverse-capture"))
    }

    /// Begins to record the target's changes; what is given back goes on with it until the migration is stopped.
    pub(super) async fn capture_target(&self) -> Result<Recording<'_>> {
        let exclude = match events_of(self.paths.directory())? {
            // Of the source's changes nobody wants the changes.
            Some(events) => [cdc::EVENTS, cdc::POSITIONS].map(|name| format!("{}.{name}", events.database)).to_vec(),
            None => Vec::new(),
        };
        let default_database = self.target.default_database().map(str::to_owned);
        let selection = SelectionOptions { default_database, exclude, ..SelectionOptions::default() };
        let options = CaptureOptions {
            moved_here: Some(self.selection.clone()),
            ..self.capture_options(self.paths.reverse(), selection)
        };
        let (opened, mut is_open) = watch::channel(false);
        let mut recording: Recording<'_> = Box::pin(self.record(&self.target, options, opened, self.cancel.clone()));
        tokio::select! {
            // It has ended before it was open, and says why.
            ended = &mut recording => Err(ended.err().unwrap_or_else(Error::interrupted)),
            _ = is_open.wait_for(|open| *open) => Ok(recording),
        }
    }

    /// Records changes, over whatever can be waited for.
    async fn record(
        &self,
        server: &Server,
        options: CaptureOptions,
        opened: watch::Sender<bool>,
        stop: CancellationToken,
    ) -> Result<()> {
        let listener: Arc<dyn Progress> = Arc::new(Opened { opened, board: Arc::clone(&self.board) });
        loop {
            match capture(server, options.clone(), Arc::clone(&listener), stop.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    self.wait_for(Waiting::Capture, &error, &stop).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the source's changes out of the target, now that nobody needs them.
    pub(super) async fn drop_events(&self) {
        if let Err(error) = drop_events(self.paths.directory(), &self.target).await {
            self.board.warn(&format!("{error}; '_cdc' and '_cdc_positions' may be dropped by hand"));
        }
    }

    fn capture_options(&self, directory: PathBuf, selection: SelectionOptions) -> CaptureOptions {
        CaptureOptions {
            directory,
            selection,
            scope: None,
            since: None,
            full_documents: false,
            sync_interval: SYNC_EVERY,
            until: None,
            duration: None,
            moved_here: None,
            log: LogOptions { codec: self.options.codec, idle: IDLE, ..LogOptions::default() },
            target: None,
        }
    }
}

/// Hears from a capture that its streams are open.
#[derive(Debug)]
struct Opened {
    opened: watch::Sender<bool>,
    board: Arc<Board>,
}

impl Progress for Opened {
    fn stage(&self, name: &str, _: Option<u64>, _: Option<u64>) {
        if name == CAPTURING {
            self.board.waits_for(Waiting::Capture, None);
            self.opened.send_replace(true);
        }
    }

    fn advance(&self, _: u64, _: u64) {}

    fn warn(&self, message: &str) {
        self.board.warn(message);
    }
}
