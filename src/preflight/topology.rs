//! What a deployment is: one server, a replica set, or shards behind a router.

use crate::{connect::Server, error::Result};

/// What a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    Standalone,
    ReplicaSet,
    Sharded,
}

impl Topology {
    /// Asks a server.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let reply = server.hello().await?;
        Ok(match reply.get_str("msg") {
            Ok("isdbgrid") => Topology::Sharded,
            _ if reply.contains_key("setName") => Topology::ReplicaSet,
            _ => Topology::Standalone,
        })
    }
}
