//! Renames where each collection has a stream, and so a log, of its own: both logs tell of it, and neither knows how far the
//! other is.
//!
//! So the documents cannot go along on the target. What has gone is dropped there, what has come is copied anew at the cutover.

use crate::{
    changes::{
        Event,
        replay::{dead_letter::DeadLetter, dispatch::Dispatch},
    },
    error::Result,
    namespace::Namespace,
    progress::News,
};

impl Dispatch {
    /// The log's collection has got another name. Whether it was one that the target has.
    pub(super) async fn renamed_away(
        &mut self,
        event: &Event<'_>,
        from: &Namespace,
        old: Option<Namespace>,
    ) -> Result<bool> {
        let Some(old) = old.filter(|_| self.knows(from)) else { return Ok(false) };
        if !self.is_copied(from, event.time) {
            self.drop_on_target(from, &old).await?;
            self.shared.progress.of(from, &News::Dropped);
        }
        Ok(true)
    }

    /// Another collection has got the name of the log's. Whether it was one that the target has.
    pub(super) async fn renamed_onto(
        &mut self,
        event: &Event<'_>,
        from: &Namespace,
        to: &Namespace,
        new: Option<Namespace>,
    ) -> Result<bool> {
        let Some(new) = new.filter(|_| !self.is_copied(to, event.time)) else { return Ok(false) };
        let letter = if self.shared.until_cutover {
            DeadLetter::of_all(
                to,
                &format!("it was {from}, which has a stream of its own: it is copied anew at the cutover"),
            )
        } else {
            let reason = format!("it was {from}, which has a stream of its own: its documents are not on the target");
            DeadLetter::of_collection(event, to, &reason)
        };
        self.check_new(to, &new).await?;
        self.drop_on_target(to, &new).await?;
        self.shared.progress.of(to, &News::Dropped);
        self.shared.progress.of(to, &News::Created);
        self.shared.keep_of_collection(letter).await?;
        if let Some(record) = self.records.get(&to.to_string()) {
            self.shared.journal.lane(self.log, &to.to_string(), record).await?;
        }
        Ok(true)
    }
}
