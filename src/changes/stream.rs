//! One change stream, read as raw replies, and opened again behind its last token whenever it breaks.
//!
//! Not the driver's `watch()`: that resumes without limit or pause, and gives no replies. Any error of a cursor ends it;
//! polling it once more could skip a reply. So each reply moves the token that the next cursor starts behind, and of what
//! breaks in between nothing is lost or doubled.

mod failure;
mod large;
mod reply;
mod watch;

use std::time::Duration;

use bson::RawDocumentBuf;
use futures_util::StreamExt;
use mongodb::{
    error::Error as DriverError,
    raw_batch_cursor::{RawBatch, RawBatchCursor},
};

use self::{
    failure::{Step, splits_events},
    large::{Fragments, LARGE_FIELDS, reduced},
    reply::{post_batch_token, time_behind},
    watch::{Form, command},
};
use super::token;
use crate::{
    connect::{Doing, Patience, Retry, Server, batch_documents},
    document,
    error::{Error, ErrorKind, Result},
};

pub use failure::{StreamFailure, standalone};
pub use reply::Reply;
pub use watch::{Start, StreamOptions, Watch};

/// How long a server waits for an event before it sends an empty reply, which shows that the events before it are whole.
const AWAIT: Duration = Duration::from_millis(500);
/// Events of a reply, when one of those that come is too large to be sent: from here down to that event itself.
const NARROW: u32 = 1024;
/// How much smaller each try is.
const NARROWER: u32 = 8;

/// A stream being read.
#[allow(missing_debug_implementations, reason = "the driver's cursor has none")]
pub struct ChangeStream {
    server: Server,
    watch: Watch,
    options: StreamOptions,
    start: Start,
    time: u64,
    form: Form,
    /// The most events of a reply, near one that is too large.
    narrow: Option<u32>,
    cursor: Option<RawBatchCursor>,
    /// Whether the cursor has given its first reply, that of the command that opened it.
    is_open: bool,
    fragments: Fragments,
    patience: Patience,
    ended_by: Option<StreamFailure>,
}

impl ChangeStream {
    /// A stream that will be opened by the first [`next`](Self::next).
    pub fn new(server: &Server, watch: Watch, start: Start, options: StreamOptions) -> Self {
        let time = match &start {
            Start::At(time) => *time,
            Start::After(token) | Start::AfterInvalidate(token) => token::time(token).unwrap_or(0),
        };
        ChangeStream {
            server: server.clone(),
            watch,
            options,
            start,
            time,
            form: Form::Whole,
            narrow: None,
            cursor: None,
            is_open: false,
            fragments: Fragments::default(),
            patience: server.patience(),
            ended_by: None,
        }
    }

    /// What it watches.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Why it cannot go on, if that is so.
    pub fn ended_by(&self) -> Option<StreamFailure> {
        self.ended_by
    }

    /// The next reply. One comes at least every second or so, empty when nothing has happened; its token has moved with
    /// the deployment all the same. The first one of a stream that starts at a time is always empty.
    ///
    /// Replies come in order and join without gap or overlap: whoever starts a new stream behind the token of one gets
    /// exactly the events of those after it. To drop the future while it waits loses nothing but the stream.
    ///
    /// # Errors
    /// When the stream cannot go on: [`StreamFailure`] has the cases, each with a hint for the operator.
    pub async fn next(&mut self) -> Result<Reply> {
        loop {
            match self.advance().await {
                Ok(Some(batch)) => {
                    if let Some(reply) = self.deliver(batch)? {
                        return Ok(reply);
                    }
                }
                // It was invalidated, or the server closed it.
                Ok(None) => {
                    self.close();
                    if !self.patience.wait(Retry::Now).await {
                        let message = format!("the server closes the stream of {} again and again", self.watch);
                        return Err(Error::new(ErrorKind::Server, message).at(self.server.place()));
                    }
                }
                Err(error) => {
                    self.close();
                    self.recover(error).await?;
                }
            }
        }
    }

    fn close(&mut self) {
        self.cursor = None;
        self.fragments.clear();
    }

    async fn advance(&mut self) -> mongodb::error::Result<Option<RawBatch>> {
        if self.cursor.is_none() {
            self.is_open = false;
            self.cursor = Some(self.open().await?);
        }
        match &mut self.cursor {
            Some(cursor) => self.server.watched(async { cursor.next().await.transpose() }).await,
            None => Ok(None),
        }
    }

    async fn open(&mut self) -> mongodb::error::Result<RawBatchCursor> {
        // Once it has begun, the reply that opens a cursor may bring events, so that even a stream whose cursors break at
        // every getMore gets on.
        let at_once = self.narrow.is_none() && !matches!(self.start, Start::At(_));
        let command = command(&self.watch, &self.start, self.options, self.form, at_once);
        let database = self.server.database(self.watch.database());
        let mut run = database.run_raw_cursor_command(RawDocumentBuf::from_bytes(command)?).max_time(AWAIT);
        if let Some(most) = self.narrow {
            run = run.batch_size(most);
        }
        self.server.watched(run.selection_criteria(self.server.reads()).batch()).await
    }

    /// Moves behind a reply, and makes whole events of it. None when it holds only a part of an event.
    fn deliver(&mut self, batch: RawBatch) -> Result<Option<Reply>> {
        let token = post_batch_token(&batch).map_err(|error| error.at(self.server.place()))?;
        let events = batch_documents(&batch)?;
        if self.form == Form::Whole {
            let last = events.last();
            let token = of_invalidate(last).unwrap_or(token);
            let time = time_behind(&token, last, self.time);
            let is_pause = last.is_none() && self.is_open;
            self.passed(&token, time, last);
            return Ok(Some(Reply::sent(batch, token, time, is_pause)));
        }
        let mut made = Vec::new();
        for event in events {
            let joined = match self.form {
                Form::Reduced(_) => Some(reduced(event)),
                Form::Whole | Form::Split => self.fragments.join(event)?,
            };
            made.extend(joined);
        }
        let last = made.last().map(Vec::as_slice);
        let token = match last.and_then(document::id) {
            // What is behind the last whole event is a part of the next: the stream has not passed it.
            Some(id) if self.fragments.is_inside() => id.value.to_vec(),
            None if self.fragments.is_inside() => {
                self.patience.progress();
                return Ok(None);
            }
            _ => of_invalidate(last).unwrap_or(token),
        };
        let time = time_behind(&token, last, self.time);
        let is_pause = last.is_none() && self.is_open;
        self.passed(&token, time, last);
        if matches!(self.form, Form::Reduced(_)) && last.is_some() {
            // What was too large is behind.
            self.close();
            (self.form, self.narrow) = (Form::Whole, None);
        }
        Ok(Some(Reply::made(made, token, time, is_pause)))
    }

    /// The next cursor starts here.
    fn passed(&mut self, token: &[u8], time: u64, last: Option<&[u8]>) {
        let (has_events, ends) = (last.is_some(), of_invalidate(last).is_some());
        // The reply that opens a cursor shows only that the server is there, if it has nothing new.
        if has_events || self.is_open {
            self.patience.progress();
        }
        if has_events {
            // Nothing was too large: dare more.
            self.narrow = self.narrow.map(|most| most.saturating_mul(2)).filter(|most| *most <= NARROW);
        }
        self.is_open = true;
        self.time = time;
        self.start = match (&self.start, ends) {
            (_, true) => Start::AfterInvalidate(token.to_vec()),
            // A new stream that has nothing yet gives the token of the one that ended.
            (Start::AfterInvalidate(ended), false) if ended == token => return,
            (_, false) => Start::After(token.to_vec()),
        };
    }

    /// Makes ready to open the stream again, or says why that is of no use.
    async fn recover(&mut self, error: DriverError) -> Result<()> {
        let failure = StreamFailure::of(&error);
        let again = match (failure.step(), &self.start) {
            (Step::Reopen(retry), _) => self.patience.wait(retry).await,
            (Step::StartAfter, Start::After(token)) => {
                self.start = Start::AfterInvalidate(token.clone());
                self.patience.wait(Retry::Now).await
            }
            (Step::AskForLess, _) => self.ask_for_less(failure) && self.patience.wait(Retry::Now).await,
            (Step::StartAfter | Step::Stop, _) => false,
        };
        if again { Ok(()) } else { Err(self.explained(failure, error).await) }
    }

    /// Whether there is still less to ask for.
    fn ask_for_less(&mut self, failure: StreamFailure) -> bool {
        match (self.form, self.narrow) {
            (Form::Whole, _) if splits_events(self.server.version()) => self.form = Form::Split,
            (Form::Reduced(fields), _) if fields < LARGE_FIELDS.len() => self.form = Form::Reduced(fields + 1),
            (Form::Split | Form::Reduced(_), _) => return false,
            (Form::Whole, _) if failure == StreamFailure::InsideFragments => return false,
            (Form::Whole, None) => self.narrow = Some(NARROW),
            // The next event is the one.
            (Form::Whole, Some(1)) => self.form = Form::Reduced(2),
            (Form::Whole, Some(most)) => self.narrow = Some((most / NARROWER).max(1)),
        }
        true
    }

    async fn explained(&mut self, failure: StreamFailure, error: DriverError) -> Error {
        self.ended_by = Some(failure);
        let doing = Doing::new(format!("watch {}", self.watch), "changeStream", self.watch.database());
        let Some(explained) = failure.explained(&self.watch) else {
            return self.server.failure(error, &doing);
        };
        let nobody = failure == StreamFailure::NotAuthorized && self.server.is_nobody();
        let explained = match failure {
            _ if nobody => return self.server.failure(error, &doing),
            StreamFailure::HistoryLost | StreamFailure::PositionLost => self.with_window(explained).await,
            _ => explained,
        };
        explained.at(self.server.place()).with_source(error)
    }

    /// Says how far back the oplog does not reach.
    async fn with_window(&mut self, error: Error) -> Error {
        let Ok(now) = self.server.operation_time().await else { return error };
        let seconds = (now >> 32).saturating_sub(self.time >> 32);
        let hint = error.hint().unwrap_or_default().to_owned();
        error.with_hint(format!(
            "the position is {seconds} s behind the source's last write, and its oplog holds less; {hint}"
        ))
    }
}

/// The token of an event that ends its stream. The reply's own may be that of the event before it (6.0.27 with
/// fragments), behind which the end would come again and again.
fn of_invalidate(event: Option<&[u8]>) -> Option<Vec<u8>> {
    let event = event?;
    let operation = document::find(event, b"operationType")?.string()?;
    (operation == b"invalidate").then(|| document::id(event).map(|id| id.value.to_vec()))?
}
