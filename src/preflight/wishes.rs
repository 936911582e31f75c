//! What somebody wants of a move besides the move: whether the servers can do it, and the users may.

use std::{collections::BTreeSet, path::Path};

use super::{
    Findings,
    privileges::{Names, OF_EVENTS, Privileges},
    streams::streams,
};
use crate::{
    catalog,
    changes::{capture::check_events_target, cdc},
    connect::{Server, Version},
    error::{ErrorKind, Result},
    namespace::Namespace,
    selection::{Selection, SelectionOptions},
};

/// The first release that can be told to refuse writes.
pub(crate) const FENCES: Version = Version::new(6, 0, 0);

/// What is wanted besides the move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The source is told to refuse writes at the cutover.
    pub fences_source: bool,
    /// The target's changes are recorded after the cutover.
    pub records_target: bool,
    /// The source's changes are kept in the target.
    pub events_to_target: bool,
}

impl Wishes {
    /// Checks what the source has to do with them.
    pub(super) fn check_source(self, server: &Server, privileges: Option<&Privileges>, findings: &mut Findings) {
        if !self.fences_source {
            return;
        }
        if server.version() < FENCES {
            let found = format!("MongoDB {} cannot be told to refuse writes", server.version());
            let remedy = "leave --fence-source out, and stop everything that writes to it before the cutover";
            findings.refuse("fence", found, remedy);
        } else if privileges.is_some_and(|known| !known.allows_of_cluster("setUserWriteBlockMode")) {
            findings.refuse("fence", "the user lacks setUserWriteBlockMode", grant("hostManager"));
        } else {
            findings.ok("fence", "it can be told to refuse writes");
        }
    }

    /// Checks what the target has to do with them.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(super) async fn check_target(
        self,
        source: &Server,
        target: &Server,
        selection: &Selection,
        directory: Option<&Path>,
        findings: &mut Findings,
    ) -> Result<()> {
        if self.records_target {
            // Found out now, and not when everything is on the target.
            let default_database = target.default_database().map(str::to_owned);
            let all = Selection::new(&SelectionOptions { default_database, ..SelectionOptions::default() })?;
            streams(target, &all, findings).await;
        }
        if self.events_to_target {
            events(source, target, selection, directory.unwrap_or(Path::new(".")), findings).await?;
        }
        Ok(())
    }
}

/// Whether the target takes the events, and nothing that is moved takes their place.
async fn events(
    source: &Server,
    target: &Server,
    selection: &Selection,
    directory: &Path,
    findings: &mut Findings,
) -> Result<()> {
    let database = match check_events_target(source, target, directory).await {
        Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
        Err(error) => {
            findings.refuse_for("events", &error, "leave --events-to out: the changes are then kept in DIR");
            return Ok(());
        }
        Ok(database) => database,
    };
    for name in [cdc::EVENTS, cdc::POSITIONS] {
        let taken = Namespace::new(database.as_str(), name)?;
        let Some(origin) = selection.origin(&taken)? else { continue };
        if catalog::is_copied(origin.collection()) && catalog::found(source, &origin).await?.is_some() {
            let found = format!("{origin} is to be moved to {taken}, which is the place of the events");
            findings.refuse("events", found, "leave --events-to out, or --exclude it");
            return Ok(());
        }
    }
    findings.ok("events", format!("they go to {database}.{}", cdc::EVENTS));
    if let Some(privileges) = Privileges::of(target).await? {
        let collections = [cdc::EVENTS, cdc::POSITIONS].map(str::to_owned);
        privileges.check(&Names::from([(database, BTreeSet::from(collections))]), &OF_EVENTS, findings);
    }
    Ok(())
}

/// How a role of the whole deployment is granted.
pub(super) fn grant(role: &str) -> String {
    format!("the role '{role}' on 'admin' grants it: db.grantRolesToUser(USER, [{{role: \"{role}\", db: \"admin\"}}])")
}
