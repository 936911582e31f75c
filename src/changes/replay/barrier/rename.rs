//! Renames: what a lane knows of its documents goes with them.

use bson::rawdoc;
use transload_format::{Collection, CollectionType};

use crate::{
    catalog,
    changes::{
        Event, Watch,
        log::EventPlace,
        replay::{dead_letter::DeadLetter, dispatch::Dispatch},
    },
    connect::Doing,
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::News,
};

use super::GONE;

/// Why a collection is copied anew.
const RENAMED: &str = "it was renamed while it was copied: it is copied anew at the cutover";

impl Dispatch {
    pub(super) async fn rename(
        &mut self,
        event: &Event<'_>,
        from: &Namespace,
        old: Option<Namespace>,
        after: EventPlace,
    ) -> Result<bool> {
        let (database, collection) = event.renamed_to().ok_or_else(|| {
            Error::new(ErrorKind::Server, "a change event is malformed: a rename has no new name").at(from.to_string())
        })?;
        let to = Namespace::new(database, collection)?;
        let new = self.shared.target_of(&to)?;
        match &self.watch {
            Watch::Collection(watched) if *watched == to => return self.renamed_onto(event, from, &to, new).await,
            Watch::Collection(_) => return self.renamed_away(event, from, old).await,
            Watch::Deployment | Watch::Database(_) => {}
        }
        let is_copied = self.is_copied(&to, event.time);
        let mut letter = None;
        match (old, new) {
            (None, None) => {}
            // What nobody has told of was never made.
            (Some(_), None) if !self.knows(from) => return Ok(false),
            // It leaves what is selected.
            (Some(old), None) if !self.is_copied(from, event.time) => {
                self.drop_on_target(from, &old).await?;
                self.shared.progress.of(from, &News::Dropped);
                return Ok(true);
            }
            (Some(_), None) => return Ok(true),
            // The copy has it under its new name, and perhaps another collection under the old one.
            (Some(old), Some(_)) if is_copied && !self.is_copied(from, event.time) && self.knows(from) => {
                self.drop_on_target(from, &old).await?;
                self.shared.progress.of(from, &News::Dropped);
                return Ok(true);
            }
            // Nor does it make known what had the old name.
            (_, Some(_)) if is_copied => return Ok(self.knows(from)),
            (Some(_), Some(_)) if self.has_copy_of(from) && self.is_copied(from, event.time) => {
                // What has the old name in the copy was made after that.
                let reason =
                    format!("it was {from} until just before the copy was begun: its documents are not on the target");
                self.shared.keep_of_collection(DeadLetter::of_all(&to, &reason)).await?;
                return Ok(true);
            }
            (None, Some(new)) => {
                letter = Some(if self.shared.until_cutover {
                    let reason = format!("it was {from}, which is not selected: it is copied anew at the cutover");
                    DeadLetter::of_all(&to, &reason)
                } else {
                    let reason = format!("it was {from}, which is not selected: its documents are not on the target");
                    DeadLetter::of_collection(event, &to, &reason)
                });
                self.check_new(&to, &new).await?;
                catalog::drop(&self.shared.target, &new).await?;
                self.shared.progress.of(&to, &News::Dropped);
                self.shared.progress.of(&to, &News::Created);
            }
            (Some(old), Some(new)) => {
                if self.shared.until_cutover && self.was_being_read(from, event.time) {
                    // Its documents were read by its name.
                    letter = Some(DeadLetter::of_all(&to, RENAMED));
                }
                self.rename_on_target(from, &to, &old, &new, after).await?;
                self.shared.progress.of(from, &News::Renamed { to: &to });
            }
        }
        self.readdress(from, &to).await?;
        // Behind those that are of no consequence any more.
        if let Some(letter) = letter {
            self.shared.keep_of_collection(letter).await?;
        }
        // What was fetched under the old name may have been of another collection that has it now.
        let mut owed = Vec::new();
        if let Some(record) = self.records.get_mut(&from.to_string()) {
            owed.append(&mut record.owed);
            owed.extend(std::mem::take(&mut record.fetched).into_values().map(|fetched| fetched.key));
        }
        let record = self.records.entry(to.to_string()).or_default();
        record.fetched.clear();
        (record.owed, record.is_ignored) = (owed, false);
        let record = record.clone();
        self.shared.journal.lane(self.log, &to.to_string(), &record).await?;
        Ok(true)
    }

    /// The dead letters about documents that have come under another name. Those about the ones that had it are of no
    /// consequence any more.
    async fn readdress(&self, from: &Namespace, to: &Namespace) -> Result<()> {
        let (mut moved, mut gone) = (self.shared.letters_of(from).await?, self.shared.letters_of(to).await?);
        // What has to be copied anew, has to be so under its new name; what had that name is gone.
        moved.extend(self.shared.letters_of_all(from).await?);
        gone.extend(self.shared.letters_of_all(to).await?);
        let mut letters: Vec<DeadLetter> = gone.into_iter().map(DeadLetter::healed).collect();
        letters.extend(moved.iter().cloned().map(|letter| DeadLetter { namespace: to.clone(), ..letter }));
        letters.extend(moved.into_iter().map(DeadLetter::healed));
        self.shared.keep(letters).await
    }

    async fn rename_on_target(
        &mut self,
        source: &Namespace,
        to: &Namespace,
        old: &Namespace,
        new: &Namespace,
        after: EventPlace,
    ) -> Result<()> {
        let server = self.shared.target.clone();
        let server = &server;
        let name = source.to_string();
        // What nobody has told of was never made, and what has its name is somebody else's.
        let is_there = self.knows(source) && catalog::found(server, old).await?.is_some();
        if !is_there {
            // It was renamed before the replay was killed.
            if self.records.get(&name).is_some_and(|record| record.end == after) {
                return Ok(());
            }
            self.check_new(to, new).await?;
            // It never had a document, and servers before 6.0 do not tell that it came into being.
            catalog::drop(server, new).await?;
            let collection = Collection {
                namespace: name,
                kind: CollectionType::Collection,
                uuid: None,
                options: document::EMPTY.to_vec(),
                indexes: Vec::new(),
            };
            return self.shared.create(new, &collection).await;
        }
        self.check_new(to, new).await?;
        let record = self.records.entry(name.clone()).or_default();
        // Written down before, with everything that the lanes have done: it must not be done again under the old name.
        (record.end, record.is_ignored) = (after, false);
        let record = record.clone();
        self.shared.journal.lane(self.log, &name, &record).await?;
        let (from, to) = (old.to_string(), new.to_string());
        let doing = Doing::new(format!("rename {old} to {new}"), "renameCollectionSameDB", old.database());
        let command =
            rawdoc! { "renameCollection": from, "to": to, "dropTarget": true, "writeConcern": server.write_concern() };
        let at = Namespace::new("admin", old.collection())?;
        catalog::ddl_again(server, &at, command, &doing, &GONE).await
    }
}
