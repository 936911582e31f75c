//! Puts a clean index into the place of a bad one, on a server that is in use.
//!
//! An index cannot be changed or renamed, and two cannot have one name, so nearly always the bad one must go before the
//! clean one can come. What can be known before is found out before: the server is shown the clean spec on an empty
//! collection, beside clean specs of the other indexes. While there is no index, a guard keeps the keys of a unique one
//! unique. If the clean one is not built all the same, the bad one is built again as it was.

use std::fmt;

use bson::RawDocumentBuf;

use super::{
    collection::{Collection, INHERENT},
    guard::{Guard, guard, is_unique},
    proof::{explicit, prove},
    report::RepairResult,
};
use crate::{
    catalog::{
        self, build, ddl,
        index_spec::{Author, Context, Sanitized, Verdict, sanitize},
        reason,
    },
    connect::{Doing, Server},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
};

const INDEX_NOT_FOUND: i32 = 27;

/// How a bad index is repaired.
#[derive(Debug)]
pub(super) enum Steps {
    /// Another index serves for it.
    Drop,
    /// Built beside it, before it is dropped.
    Beside,
    /// Dropped and built again.
    Again,
    /// The same, with a guard meanwhile.
    Guarded(Guard),
    /// The same for a unique index that can have no guard.
    Unguarded,
}

impl Steps {
    /// The steps for an index of this collection; none if nothing can be done.
    pub(super) fn of(index: &Sanitized, collection: &Collection) -> Option<Self> {
        let clean = match &index.verdict {
            Verdict::Build(clean) => clean,
            Verdict::Merged(_) => return Some(Steps::Drop),
            Verdict::Refused(_) | Verdict::Inherent => return None,
        };
        let differs = |option: &[u8]| {
            document::find(clean, option).map(|it| it.value)
                != document::find(&index.original, option).map(|it| it.value)
        };
        Some(match (differs(b"name") && differs(b"key"), is_unique(clean)) {
            (true, _) => Steps::Beside,
            (false, false) => Steps::Again,
            (false, true) => guard(clean, &collection.indexes).map_or(Steps::Unguarded, Steps::Guarded),
        })
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Steps::Drop => f.write_str("it is dropped"),
            Steps::Beside => f.write_str("the clean one is built, then it is dropped"),
            Steps::Again => f.write_str("it is dropped and built again"),
            Steps::Guarded(guard) => {
                write!(f, "it is dropped and built again; {} keeps its keys unique meanwhile", guard.name)
            }
            Steps::Unguarded => {
                f.write_str("it is dropped and built again; meanwhile NOTHING keeps its keys unique: stop the writers")
            }
        }
    }
}

/// Repairs indexes of one collection.
#[derive(Debug)]
pub(super) struct Swap<'a> {
    pub(super) server: &'a Server,
    pub(super) collection: &'a Collection,
    /// Where specs are tried, in each database.
    pub(super) scratches: &'a [Namespace],
}

type Done = (RepairResult, Option<String>);

impl Swap<'_> {
    fn namespace(&self) -> &Namespace {
        &self.collection.namespace
    }

    /// Repairs an index. Nothing is dropped before everything that can be known of its successor is known.
    pub(super) async fn repair(&self, index: &Sanitized) -> Done {
        let Some(steps) = Steps::of(index, self.collection) else {
            let reason = if let Verdict::Refused(reason) = &index.verdict { reason } else { INHERENT };
            return (RepairResult::Left, Some(reason.to_owned()));
        };
        match &index.verdict {
            Verdict::Build(clean) => {
                let clean = explicit(clean);
                match self.rebuild(index, &clean, &steps).await {
                    Ok(done) => done,
                    // Up to there nothing was dropped.
                    Err(error) => (RepairResult::Left, Some(said(&error))),
                }
            }
            Verdict::Merged(other) => match self.drop_for(index, other).await {
                Ok(()) => (RepairResult::Merged, Some(format!("{other} serves for it"))),
                Err(error) => (RepairResult::Left, Some(said(&error))),
            },
            Verdict::Refused(_) | Verdict::Inherent => (RepairResult::Left, None),
        }
    }

    /// Builds an index that a repair which was cut has dropped.
    pub(super) async fn build_lost(&self, index: &Sanitized) -> Done {
        let Some(clean) = index.to_build().map(explicit) else {
            return (RepairResult::Left, None);
        };
        let done = match self.build(&clean).await {
            Ok(()) => self.judge(index).await,
            Err(error) => self.put_back(index, &clean, &error).await,
        };
        if done.0 == RepairResult::Repaired { (RepairResult::Rebuilt, done.1) } else { done }
    }

    async fn drop_for(&self, index: &Sanitized, other: &str) -> Result<()> {
        if self.live(other).await?.is_none() {
            let message = format!("{other}, which is to serve for it, is not there");
            return Err(Error::new(ErrorKind::Server, message));
        }
        drop_index(self.server, self.namespace(), &index.original).await
    }

    /// # Errors
    /// When the bad index is there as it was.
    async fn rebuild(&self, index: &Sanitized, clean: &[u8], steps: &Steps) -> Result<Done> {
        let scratch = self.scratches.iter().find(|scratch| scratch.database() == self.namespace().database());
        let Some(scratch) = scratch else {
            return Err(Error::new(ErrorKind::Internal, "there is no collection to try its spec on"));
        };
        if let Err(error) = prove(self.server, scratch, self.collection, index, clean).await {
            let why = format!("its clean spec is not taken on an empty collection: {}", said(&error));
            return Ok((RepairResult::Left, Some(why)));
        }
        if let Steps::Beside = steps {
            self.build(clean).await?;
            drop_index(self.server, self.namespace(), &index.original).await?;
            return Ok(self.judge(index).await);
        }
        if let Steps::Guarded(guard) = steps {
            self.build(&explicit(&guard.spec)).await?;
        }
        if let Err(error) = drop_index(self.server, self.namespace(), &index.original).await {
            // Whether it was dropped before the answer was lost is not known. Of a refusal, it is.
            if error.kind() != ErrorKind::Unreachable {
                self.drop_guard(steps).await;
                return Err(error);
            }
        }
        let done = match self.build(clean).await {
            Ok(()) => self.judge(index).await,
            Err(error) => self.put_back(index, clean, &error).await,
        };
        // A lost index leaves its guard behind.
        if done.0 == RepairResult::Lost {
            return Ok(match steps {
                Steps::Guarded(guard) => also(done, &format!("{} still keeps its keys unique", guard.name)),
                _ => done,
            });
        }
        Ok(match self.drop_guard(steps).await {
            Some(trouble) => also((RepairResult::Left, done.1), &trouble),
            None => done,
        })
    }

    /// The clean index is not built: the bad one as it was, or, since the server that had it may refuse it today, the
    /// clean one once more.
    async fn put_back(&self, index: &Sanitized, clean: &[u8], error: &Error) -> Done {
        let why = said(error);
        if self.build(&index.original).await.is_ok() {
            return (RepairResult::PutBack, Some(format!("it could not be built clean ({why}), and is as it was")));
        }
        let Err(error) = self.build(clean).await else {
            return self.judge(index).await;
        };
        match self.live(&index.name).await {
            Ok(None) => self.lost(clean, &said(&error)),
            Ok(Some(_)) => (RepairResult::Left, Some(said(&error))),
            Err(silent) => {
                self.lost(clean, &format!("{}, and it cannot be asked for: {}", said(&error), said(&silent)))
            }
        }
    }

    fn lost(&self, clean: &[u8], why: &str) -> Done {
        let spec = extjson::to_string(clean).unwrap_or_default();
        (RepairResult::Lost, Some(format!("IT IS MISSING NOW: {why}; build it with the spec {spec}")))
    }

    /// Whether the server has the clean index now: an answer alone is not taken for it.
    async fn judge(&self, index: &Sanitized) -> Done {
        let Some(clean) = index.to_build() else {
            return (RepairResult::Left, None);
        };
        let context = Context { options: &document::EMPTY, target: self.server.version(), author: Author::Person };
        let is_bad = |spec: &Vec<u8>| sanitize(std::slice::from_ref(spec), &context).iter().any(Sanitized::is_bad);
        match self.live(&index.name).await {
            Ok(Some(spec)) if is_bad(&spec) => {
                (RepairResult::Left, Some("the server has taken its spec for that of the one before".to_owned()))
            }
            Ok(Some(_)) => (RepairResult::Repaired, None),
            Ok(None) => self.lost(clean, "the server does not list it"),
            Err(error) => {
                (RepairResult::Left, Some(format!("whether it is repaired could not be asked: {}", said(&error))))
            }
        }
    }

    /// The spec of the index of this name, as the server keeps it.
    async fn live(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let server = self.server.reading_primary();
        let (specs, _) = catalog::index_specs(&server, self.namespace()).await?;
        let (specs, _) = catalog::unhidden(&server, self.namespace(), specs).await?;
        let is_named =
            |spec: &Vec<u8>| document::find(spec, b"name").and_then(|it| it.string()) == Some(name.as_bytes());
        Ok(specs.into_iter().find(is_named))
    }

    async fn build(&self, spec: &[u8]) -> Result<()> {
        build(self.server, self.namespace(), &[spec.to_vec()], u64::MAX).await
    }

    async fn drop_guard(&self, steps: &Steps) -> Option<String> {
        let Steps::Guarded(guard) = steps else { return None };
        let error = drop_index(self.server, self.namespace(), &guard.spec).await.err()?;
        Some(format!("the index {} is still there, and can be dropped: {}", guard.name, said(&error)))
    }
}

/// Drops an index by its name; `*` would be all of them, so that one is dropped by its key.
pub(super) async fn drop_index(server: &Server, namespace: &Namespace, spec: &[u8]) -> Result<()> {
    let name = document::find(spec, b"name").filter(|name| name.kind == kind::STRING);
    let name = name.filter(|name| ![&b"*"[..], b""].contains(&name.string().unwrap_or_default()));
    let by = name.or_else(|| document::find(spec, b"key"));
    let by = by.ok_or_else(|| Error::new(ErrorKind::Server, "it has neither a name nor a key to drop it by"))?;
    let mut command = RawBuilder::new();
    command.string("dropIndexes", namespace.collection()).append_renamed(&by, "index");
    command.document("writeConcern", server.write_concern().as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(namespace.to_string()))?;
    let doing = Doing::new(format!("drop an index of {namespace}"), "dropIndex", namespace.database());
    ddl(server, namespace, command, &doing, &[INDEX_NOT_FOUND]).await
}

/// An error for a line that names the collection and the index already.
fn said(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Server => reason(error),
        _ => match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        },
    }
}

fn also((result, reason): Done, more: &str) -> Done {
    (result, Some(reason.map_or_else(|| more.to_owned(), |reason| format!("{reason}; {more}"))))
}
