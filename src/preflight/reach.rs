//! The two ends of a move: whether somebody answers there, and takes us for whom we say that we are.
//!
//! An end that does not answer is a line like any other, so that the other one is looked at all the same.

use bson::rawdoc;

use super::Findings;
use crate::{
    connect::{Doing, Server},
    error::{Error, ErrorKind, Result},
};

/// A server, or why there is none.
#[derive(Debug)]
pub struct Reached {
    place: String,
    server: Result<Server>,
}

impl From<Server> for Reached {
    fn from(server: Server) -> Self {
        Reached { place: server.place(), server: Ok(server) }
    }
}

impl Reached {
    /// What has come of connecting to `place`.
    ///
    /// # Errors
    /// When there is nothing to be said of a server: the connection string is not usable, or it was interrupted.
    pub fn new(place: String, connected: Result<Server>) -> Result<Self> {
        match connected {
            Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::Interrupted) => Err(error),
            server => Ok(Reached { place, server }),
        }
    }

    /// Its hosts, as a place for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Says whether it answers, and whether it accepts the user: the server, if both are so.
    ///
    /// # Errors
    /// When it no longer answers.
    pub(super) async fn check(&self, findings: &mut Findings) -> Result<Option<&Server>> {
        let server = match &self.server {
            Ok(server) => server,
            Err(error) => {
                refused(error, findings);
                return Ok(None);
            }
        };
        findings.ok("reachable", "it answers");
        if !server.is_nobody() {
            findings.ok("authenticated", "the user is accepted");
        } else if wants_a_user(server).await? {
            let remedy = "name a user in the connection string: mongodb://USER@HOST/ asks for the password";
            findings.refuse("authenticated", "the server wants a user, and none is named", remedy);
            return Ok(None);
        } else {
            findings.ok("authenticated", "no user is named, and the server asks for none");
        }
        Ok(Some(server))
    }
}

fn refused(error: &Error, findings: &mut Findings) {
    if error.kind() == ErrorKind::Authentication {
        findings.ok("reachable", "it answers");
        findings.refuse_for(
            "authenticated",
            error,
            "name another user, or authSource=DATABASE, where the user is kept",
        );
    } else {
        findings.refuse_for("reachable", error, "this program is tried on MongoDB 4.2 and later");
    }
}

/// Connecting takes no user anywhere; the first thing that does shows whether there is access control.
async fn wants_a_user(server: &Server) -> Result<bool> {
    let doing = Doing::new("list the databases", "listDatabases", "admin");
    match server.run("admin", rawdoc! { "listDatabases": 1, "nameOnly": true }, &doing).await {
        Err(error) if error.kind() == ErrorKind::Authorization => Ok(true),
        // Some hosts let nobody list them.
        Err(error) if error.kind() == ErrorKind::Server => Ok(false),
        listed => listed.map(|_| false),
    }
}
