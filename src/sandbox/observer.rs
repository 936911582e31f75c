//! What a member says of itself: primary, secondary, or neither.

use std::time::Duration;

use bson::doc;
use mongodb::{Client, options::ClientOptions};

use crate::error::{Error, ErrorKind, Result};

/// The role of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    Secondary,
    /// Starting, copying, rolling back, not part of a set, or not answering.
    Neither,
    /// Killed by us: nobody asks it.
    Stopped,
}

/// A connection to one member for asking about its role, which needs no credentials.
pub(super) struct Observer(Client);

impl Observer {
    pub(super) async fn new(address: &str) -> Result<Self> {
        let uri = format!("mongodb://{address}/?directConnection=true");
        let mut options = ClientOptions::parse(uri).await.map_err(|error| server_error(address, error))?;
        // A member that has just been killed must not hold up the question to the others.
        options.server_selection_timeout = Some(Duration::from_secs(1));
        Client::with_options(options).map(Observer).map_err(|error| server_error(address, error))
    }

    pub(super) fn client(&self) -> &Client {
        &self.0
    }

    /// `isMaster`, because 4.2.6 does not know `hello`.
    pub(super) async fn role(&self) -> Role {
        match self.0.database("admin").run_command(doc! { "isMaster": 1 }).await {
            Ok(reply) if reply.get_bool("ismaster").unwrap_or(false) => Role::Primary,
            Ok(reply) if reply.get_bool("secondary").unwrap_or(false) => Role::Secondary,
            _ => Role::Neither,
        }
    }
}

/// A driver's error on a sandbox server.
pub(super) fn server_error(place: &str, error: mongodb::error::Error) -> Error {
    Error::new(ErrorKind::Server, error.to_string()).at(format!("sandbox {place}")).with_source(error)
}
