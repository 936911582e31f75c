//! The captures beside the stages: of the source until the cutover, of the target after it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Migration,
    board::{Board, Waiting},
};
use crate::{
    changes::{
        capture::{CAPTURING, CaptureOptions, capture},
        log::LogOptions,
    },
    error::{Error, ErrorKind, Result},
    progress::Progress,
    selection::SelectionOptions,
};

/// How long events may wait before they are synced.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// How often a position without an event is written: a cutover waits for one.
const IDLE: Duration = Duration::from_millis(500);

impl Migration {
    /// Records the source's changes until `stop`, over whatever can be waited for. Tells `opened` when they are recorded.
    pub(super) async fn capture_source(&self, opened: watch::Sender<bool>, stop: CancellationToken) -> Result<()> {
        let listener: Arc<dyn Progress> = Arc::new(Opened { opened, board: Arc::clone(&self.board) });
        loop {
            let options = self.capture_options(self.paths.directory().to_owned(), self.selection.clone());
            match capture(&self.source, options, Arc::clone(&listener), stop.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    self.wait_for(Waiting::Capture, &error, &stop).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins to record the target's changes; what is given back goes on with it until the migration is stopped.
    pub(super) async fn capture_target(&self) -> Result<impl Future<Output = Result<()>>> {
        let default_database = self.target.default_database().map(str::to_owned);
        let selection = SelectionOptions { default_database, ..SelectionOptions::default() };
        let options = self.capture_options(self.paths.reverse(), selection);
        let (opened, mut is_open) = watch::channel(false);
        let listener: Arc<dyn Progress> = Arc::new(Opened { opened, board: Arc::clone(&self.board) });
        let (target, cancel) = (self.target.clone(), self.cancel.clone());
        let recording = tokio::spawn(async move { capture(&target, options, listener, cancel).await });
        let is_open = is_open.wait_for(|open| *open).await.is_ok();
        let ended = async move {
            let died = |panic| Err(Error::new(ErrorKind::Internal, format!("the capture died: {panic}")));
            recording.await.unwrap_or_else(died).map(drop)
        };
        match is_open {
            true => Ok(ended),
            // It has ended before it was open, and says why.
            false => Err(ended.await.err().unwrap_or_else(Error::interrupted)),
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
