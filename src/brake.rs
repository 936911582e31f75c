//! Holds work back: to a rate, and altogether as long as somebody wants it held.

use std::sync::Arc;

use tokio::sync::watch;

use crate::rate::{Amount, Rate, RateLimit};

/// What readers and loaders ask before each batch.
#[derive(Clone, Debug)]
pub(crate) struct Brake {
    rate: Option<Arc<RateLimit>>,
    held: Arc<watch::Sender<bool>>,
}

impl Brake {
    /// A brake that is not held, for so many workers; with a rate if there is a limit.
    pub(crate) fn new(rate: Option<Rate>, workers: usize) -> Self {
        let rate = rate.map(|rate| Arc::new(RateLimit::new(rate, workers)));
        Brake { rate, held: Arc::new(watch::Sender::new(false)) }
    }

    /// Holds all work, or lets it go on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// What a worker should handle at a time.
    pub(crate) fn step(&self) -> Amount {
        self.rate.as_ref().map_or(Amount::ANY, |rate| rate.step())
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

    /// Waits as long as work is held.
    pub(crate) async fn pass(&self) {
        self.turns(false).await;
    }

    /// Waits until so much may be handled.
    pub(crate) async fn take(&self, amount: Amount) {
        self.pass().await;
        if let Some(rate) = &self.rate {
            rate.take(amount).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_waits_as_long_as_it_is_held() {
        let brake = Brake::new(None, 1);
        brake.pass().await;
        brake.hold(true);
        assert!(brake.is_held());
        brake.turns(true).await;
        let waiting = tokio::spawn({
            let brake = brake.clone();
            async move { brake.take(Amount::ANY).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        brake.hold(false);
        waiting.await.unwrap();
    }
}
