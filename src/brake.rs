//! Holds work back: to a number of bytes a second, and altogether as long as somebody wants it held.

use std::sync::Arc;

use tokio::sync::watch;

use crate::rate::RateLimit;

/// What readers and loaders ask before each batch.
#[derive(Clone, Debug)]
pub(crate) struct Brake {
    rate: Option<Arc<RateLimit>>,
    held: Arc<watch::Sender<bool>>,
}

impl Brake {
    /// A brake that is not held; `bytes_a_second` if there is a limit.
    pub(crate) fn new(bytes_a_second: Option<u64>) -> Self {
        let rate = bytes_a_second.map(|rate| Arc::new(RateLimit::new(rate)));
        Brake { rate, held: Arc::new(watch::Sender::new(false)) }
    }

    /// Holds all work, or lets it go on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// Whether work is held.
    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Waits until work is held, or is not.
    pub(crate) async fn turns(&self, is_held: bool) {
        // The sender is in hand, so there is always an end of the wait to come.
        let _ = self.held.subscribe().wait_for(|held| *held == is_held).await;
    }

    /// Waits until `bytes` may be handled.
    pub(crate) async fn take(&self, bytes: u64) {
        self.turns(false).await;
        if let Some(rate) = &self.rate {
            rate.take(bytes).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_waits_as_long_as_it_is_held() {
        let brake = Brake::new(None);
        brake.take(1).await;
        brake.hold(true);
        assert!(brake.is_held());
        brake.turns(true).await;
        let waiting = tokio::spawn({
            let brake = brake.clone();
            async move { brake.take(1).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        brake.hold(false);
        waiting.await.unwrap();
    }
}
