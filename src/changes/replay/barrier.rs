//! What happens to collections as such: drops, renames, creates, index builds, changed options. All lanes stand still for
//! it, and each has the same effect when it is done again.

mod apart;
mod rename;

use std::{sync::atomic::Ordering, time::Instant};

use bson::RawDocumentBuf;
use transload_format::{Collection, CollectionType};

use super::{
    dead_letter::{DeadLetter, UNKNOWN},
    dispatch::Dispatch,
    windows::{Standing, Windows},
};
use crate::{
    catalog::{
        self, Held,
        index_spec::{Author, Context, sanitize},
    },
    changes::{Event, Operation, log::EventPlace},
    connect::Doing,
    document::{self, Element, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::News,
};

/// `NamespaceNotFound` and `IndexNotFound`: it is gone already.
const GONE: [i32; 2] = [26, 27];
/// What an event of a new collection says of it that is no option.
const NO_OPTIONS: [&[u8]; 2] = [b"idIndex", b"v"];

/// What a barrier has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// Nothing: it is about nothing that the target has.
    None,
    /// Something to another collection than the one that it names, which is none of the migration's.
    Others,
    /// It is about a collection that the target has, or has now.
    Itself,
}

impl Dispatch {
    /// Applies one of them, which ends at `after`, to the target.
    pub(super) async fn apply_barrier(&mut self, event: &Event<'_>, after: EventPlace) -> Result<Effect> {
        let Some(collection) = event.collection else {
            // The collections of a dropped database have events of their own, and what is not selected stays.
            return Ok(Effect::None);
        };
        let source = Namespace::new(event.database, collection)?;
        let target = self.shared.target_of(&source)?;
        let is_copied = self.is_copied(&source, event.time);
        match (event.operation, target) {
            (Operation::Rename, target) => {
                // What had the old name may have been another one than the migration's.
                let is_known = self.has_lane_of(&source)? && self.knows(&source);
                if !self.rename(event, &source, target, after).await? {
                    return Ok(Effect::None);
                }
                self.shared.counts.barriers.fetch_add(1, Ordering::Relaxed);
                return Ok(if is_known { Effect::Itself } else { Effect::Others });
            }
            (_, None) => return Ok(Effect::None),
            // What nobody has told of was never made; what has its name on the target is somebody else's.
            (Operation::Drop, Some(_)) if !self.knows(&source) => return Ok(Effect::None),
            (Operation::Drop, Some(target)) if !is_copied => {
                self.drop_on_target(&source, &target).await?;
                self.shared.progress.of(&source, &News::Dropped);
            }
            // The archive has the catalog of after that; what had the name then may have been another collection.
            (Operation::CreateIndexes | Operation::DropIndexes | Operation::Modify, _)
                if self.shared.windows.as_ref().is_some_and(|windows| event.time <= windows.since()) =>
            {
                return Ok(Effect::None);
            }
            (Operation::Create, Some(target)) if !is_copied => self.create(event, &source, &target, after).await?,
            (Operation::CreateIndexes, Some(target)) => self.create_indexes(event, &source, &target).await?,
            (Operation::DropIndexes, Some(target)) => self.drop_indexes(event, &source, &target).await?,
            (Operation::Modify, Some(target)) => self.modify(event, &source, &target).await?,
            (Operation::Unknown, Some(_)) => {
                self.not_applied(event, &source, UNKNOWN).await?;
                return Ok(Effect::Itself);
            }
            _ => return Ok(Effect::None),
        }
        self.shared.counts.barriers.fetch_add(1, Ordering::Relaxed);
        Ok(Effect::Itself)
    }

    /// Keeps what could not be done to a collection, so that no replay of this directory looks whole any more.
    async fn not_applied(&self, event: &Event<'_>, collection: &Namespace, reason: &str) -> Result<()> {
        self.shared.keep_of_collection(DeadLetter::of_collection(event, collection, reason)).await
    }

    /// Whether the copy was made after that.
    fn is_copied(&self, namespace: &Namespace, time: u64) -> bool {
        let windows = self.shared.windows.as_ref();
        windows.is_some_and(|windows| windows.of_collection(namespace, time) == Standing::Before)
    }

    /// Whether that was while it was copied.
    fn was_being_read(&self, namespace: &Namespace, time: u64) -> bool {
        let windows = self.shared.windows.as_ref();
        windows.is_some_and(|windows| windows.of_collection(namespace, time) == Standing::Within)
    }

    fn has_copy_of(&self, namespace: &Namespace) -> bool {
        self.shared.windows.as_ref().is_some_and(|windows| windows.has(namespace))
    }

    /// Drops a collection. Nothing of what was fetched for it, or could not be, is of consequence any more.
    async fn drop_on_target(&mut self, source: &Namespace, target: &Namespace) -> Result<()> {
        catalog::drop(&self.shared.target, target).await?;
        if let Some(record) = self.records.get_mut(&source.to_string()) {
            record.fetched.clear();
            record.owed.clear();
        }
        let letters = self.shared.letters_of(source).await?;
        self.shared.keep(letters.into_iter().map(DeadLetter::healed).collect()).await
    }

    /// Whether the copy, or a change, has told of a collection: then what the target has under its name is this migration's. A replay
    /// by itself writes to what it finds.
    pub(super) fn knows(&self, source: &Namespace) -> bool {
        let record = self.records.get(&source.to_string());
        !self.shared.until_cutover || self.has_copy_of(source) || record.is_some_and(|record| !record.is_ignored)
    }

    /// Refuses to write into a collection of which neither the copy nor a change has told before, and that has something on the
    /// target: servers before 6.0 do not tell that it came into being.
    pub(super) async fn check_new(&self, source: &Namespace, target: &Namespace) -> Result<()> {
        if self.knows(source) { Ok(()) } else { self.check_nobodys(source, target).await }
    }

    /// Refuses a name of the target that stands for something, which is somebody else's.
    async fn check_nobodys(&self, source: &Namespace, target: &Namespace) -> Result<()> {
        if !self.shared.until_cutover || catalog::held(&self.shared.target, target).await? == Held::Nothing {
            return Ok(());
        }
        let others = self.records.iter().filter(|(_, record)| !record.is_ignored);
        let others = others.filter_map(|(name, _)| Namespace::parse(name).ok());
        let others = others.chain(self.shared.windows.iter().flat_map(Windows::names).cloned());
        for other in others.filter(|other| other != source) {
            if self.shared.target_of(&other)?.as_ref() == Some(target) {
                let message =
                    format!("{source} has come into being on the source, and would go to {target}, as {other} does");
                return Err(Error::new(ErrorKind::Usage, message)
                    .with_hint("two collections cannot go to one: begin anew with --restart, and another --rename")
                    .at("--rename"));
            }
        }
        Err(taken(source, target).at(self.shared.target.place()))
    }

    async fn create(
        &mut self,
        event: &Event<'_>,
        source: &Namespace,
        target: &Namespace,
        after: EventPlace,
    ) -> Result<()> {
        let is_there = catalog::found(&self.shared.target, target).await?.is_some();
        let is_known =
            self.has_copy_of(source) || self.records.get(&source.to_string()).is_some_and(|record| record.end == after);
        if is_there && !is_known {
            self.check_nobodys(source, target).await?;
        }
        if is_there {
            self.shared.progress.of(source, &News::Created);
            // A replay that was killed may have come no further.
            return self.shared.shard(target).await;
        }
        let record = self.records.entry(source.to_string()).or_default();
        // Written down before, so that what is found after a kill is known to be its own.
        (record.end, record.is_ignored) = (after, false);
        let record = record.clone();
        self.shared.journal.lane(self.log, &source.to_string(), &record).await?;
        let described = description(event);
        let mut options = RawBuilder::new();
        for element in document::elements(described).map_while(std::result::Result::ok) {
            if !NO_OPTIONS.contains(&element.name) {
                options.append(&element);
            }
        }
        let mut options = options.finish();
        if self.shared.until_cutover {
            options = catalog::never_expiring(&options);
        }
        let view_on = document::find(described, b"viewOn");
        if view_on.as_ref().and_then(Element::string).is_some_and(|on| on.starts_with(b"system.buckets.")) {
            // Told as the view that it is, without its options.
            return self.shared.is_untold(source).await;
        }
        let kind = if view_on.is_some() { CollectionType::View } else { CollectionType::Collection };
        let collection = Collection { namespace: source.to_string(), kind, uuid: None, options, indexes: Vec::new() };
        self.shared.create(target, &collection).await?;
        self.shared.progress.of(source, &News::Created);
        Ok(())
    }

    async fn create_indexes(&self, event: &Event<'_>, source: &Namespace, target: &Namespace) -> Result<()> {
        let server = &self.shared.target;
        let Some(options) = catalog::options_of(server, target).await? else {
            // It was dropped since, or is another collection's.
            return Ok(());
        };
        let listed = document::find(description(event), b"indexes").filter(|indexes| indexes.kind == kind::ARRAY);
        let specs: Vec<Vec<u8>> = listed
            .iter()
            .flat_map(|indexes| document::elements(indexes.value).map_while(std::result::Result::ok))
            .map(|spec| spec.value.to_vec())
            .collect();
        let context = Context { options: &options, target: server.version(), author: Author::Server };
        for spec in sanitize(&specs, &context) {
            let Some(clean) = spec.to_build() else {
                if let catalog::index_spec::Verdict::Refused(why) = &spec.verdict {
                    self.not_applied(event, source, &format!("the index {} was not built: {why}", spec.name)).await?;
                }
                continue;
            };
            let held = self.shared.until_cutover.then(|| catalog::without_expiry(clean, server.version()));
            let (begun, names) = (Instant::now(), [spec.name.clone()]);
            self.shared.progress.of(source, &News::Indexing { indexes: &names });
            let built = self.build(target, held.as_deref().unwrap_or(clean)).await?;
            let (built, failed) = match built {
                Ok(()) => (&names[..], None),
                Err(reason) => (&names[..0], Some((spec.name.clone(), reason))),
            };
            let (seconds, failures) = (begun.elapsed().as_secs_f64(), failed.as_slice());
            self.shared.progress.of(source, &News::Indexed { built, failed: failures, seconds });
            if let Some((name, reason)) = &failed {
                self.not_applied(event, source, &format!("the index {name} was not built: {reason}")).await?;
            }
        }
        Ok(())
    }

    /// Builds an index. One of another kind under its name is from before, and makes room.
    async fn build(&self, target: &Namespace, spec: &[u8]) -> Result<std::result::Result<(), String>> {
        let server = &self.shared.target;
        let specs = [spec.to_vec()];
        let first = catalog::create_indexes(server, target, &specs, u64::MAX).await?.pop().flatten();
        let Some(reason) = first else { return Ok(Ok(())) };
        let is_conflict = ["error 85 ", "error 86 "].iter().any(|code| reason.contains(code));
        let name = document::find(spec, b"name").and_then(|name| name.string()).map(<[u8]>::to_vec);
        let (true, Some(name)) = (is_conflict, name) else { return Ok(Err(reason)) };
        self.drop_index(target, &name).await?;
        let again = catalog::create_indexes(server, target, &specs, u64::MAX).await?.pop().flatten();
        Ok(again.map_or(Ok(()), Err))
    }

    async fn drop_indexes(&self, event: &Event<'_>, source: &Namespace, target: &Namespace) -> Result<()> {
        let listed = document::find(description(event), b"indexes").filter(|indexes| indexes.kind == kind::ARRAY);
        for spec in
            listed.iter().flat_map(|indexes| document::elements(indexes.value)).map_while(std::result::Result::ok)
        {
            if let Some(name) = document::find(spec.value, b"name").and_then(|name| name.string()) {
                self.drop_index(target, name).await?;
                let what = format!("the index {} is dropped", String::from_utf8_lossy(name));
                self.shared.progress.of(source, &News::Changed { what: &what });
            }
        }
        Ok(())
    }

    async fn drop_index(&self, target: &Namespace, name: &[u8]) -> Result<()> {
        let server = &self.shared.target;
        let mut command = RawBuilder::new();
        command.string("dropIndexes", target.collection()).string("index", name);
        command.document("writeConcern", server.write_concern().as_bytes());
        let doing = Doing::new(format!("drop an index of {target}"), "dropIndex", target.database());
        catalog::ddl_again(server, target, raw(command)?, &doing, &GONE).await
    }

    async fn modify(&self, event: &Event<'_>, source: &Namespace, target: &Namespace) -> Result<()> {
        let server = &self.shared.target;
        let mut command = RawBuilder::new();
        command.string("collMod", target.collection());
        let mut changes = description(event).to_vec();
        if self.shared.until_cutover {
            let Some(held) = without_expiry(&changes) else { return Ok(()) };
            changes = held;
        }
        for element in document::elements(&changes).map_while(std::result::Result::ok) {
            command.append(&element);
        }
        command.document("writeConcern", server.write_concern().as_bytes());
        let doing = Doing::new(format!("change the options of {target}"), "collMod", target.database());
        match catalog::ddl_again(server, target, raw(command)?, &doing, &GONE).await {
            Err(error) if error.kind() == ErrorKind::Server => {
                let reason = format!("the options were not changed as on the source: {}", error.message());
                self.not_applied(event, source, &reason).await
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.shared.progress.of(source, &News::Changed { what: "its options are changed" });
                Ok(())
            }
        }
    }
}

/// Something of somebody else's has a name that is to be written.
pub(crate) fn taken(source: &Namespace, target: &Namespace) -> Error {
    let message = format!(
        "{source} has come into being on the source, and the target has {target}, which is none of this migration's"
    );
    Error::new(ErrorKind::AlreadyExists, message)
        .with_hint("drop it there, if it is of no use, and start the same command again")
}

/// What a `collMod` changes besides when something expires; none if that is all.
fn without_expiry(changes: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut is_any) = (RawBuilder::new(), false);
    for element in document::elements(&catalog::never_expiring(changes)).map_while(std::result::Result::ok) {
        if element.name != b"index" || document::find(element.value, b"expireAfterSeconds").is_none() {
            kept.append(&element);
            is_any = true;
            continue;
        }
        let index = catalog::never_expiring(element.value);
        // Besides its name, or its key.
        if document::elements(&index).count() > 1 {
            kept.document("index", &index);
            is_any = true;
        }
    }
    is_any.then(|| kept.finish())
}

/// What a 6.0 server says of the operation itself.
fn description<'a>(event: &Event<'a>) -> &'a [u8] {
    let described = event.find("operationDescription").filter(|described| described.kind == kind::DOCUMENT);
    described.map_or(&document::EMPTY[..], |described| described.value)
}

fn raw(mut command: RawBuilder) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(command.finish()).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}
