//! Indexes that stand in a load's way.

use tokio::sync::OnceCell;

use crate::{catalog, connect::Server, error::Result, namespace::Namespace};

/// The indexes of a collection that the load may drop, all but the one on `_id`. Several loaders may meet them at
/// once; the first drops them, and the others wait for that.
#[derive(Debug)]
pub(super) struct Obstacle(OnceCell<()>);

impl Obstacle {
    /// There are none, or none to be dropped.
    pub(super) fn none() -> Self {
        Obstacle(OnceCell::new_with(Some(())))
    }

    pub(super) fn there() -> Self {
        Obstacle(OnceCell::new())
    }

    pub(super) fn is_there(&self) -> bool {
        !self.0.initialized()
    }

    /// Drops them. After that none of them refuses a document that is sent.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn remove(&self, server: &Server, namespace: &Namespace) -> Result<()> {
        let drop = async || catalog::drop_indexes(server, namespace).await;
        self.0.get_or_try_init(drop).await.copied()
    }
}
