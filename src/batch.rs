//! Documents in memory, and the budget that bounds how many of them there are at once.

use std::{fmt, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind, Result};

/// Bytes that one unit of the budget stands for.
const UNIT: usize = 1024;

/// The memory that batches may take at once. Every batch on its way from one stage to the next holds a permit for
/// its bytes, so peak memory does not grow with the data: who reads too fast waits here.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    /// A budget of `bytes`, but never less than the largest batch that may come.
    pub fn new(bytes: usize) -> Self {
        let least = transload_format::limits::MAX_BLOCK_LEN as usize;
        let total = units(bytes.max(least));
        Budget { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits until `bytes` are free. Requests are served in their order, so a large one is not starved.
    ///
    /// # Errors
    /// When the budget was closed, which nothing does.
    pub async fn acquire(&self, bytes: usize) -> Result<Permit> {
        let units = units(bytes).min(self.total);
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await;
        permit.map(Permit).map_err(|_| Error::new(ErrorKind::Internal, "the memory budget is closed"))
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A share of the budget, given back when it is dropped.
pub struct Permit(#[allow(dead_code, reason = "held, never read")] OwnedSemaphorePermit);

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} KiB)", self.0.num_permits())
    }
}

/// Whole documents of one namespace, raw and back to back, with the permit they are held under.
#[derive(Debug)]
pub struct Batch {
    /// The documents.
    pub documents: Vec<u8>,
    /// Their share of the memory budget.
    pub permit: Permit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_permit_is_waited_for_and_given_back() {
        let budget = Budget::new(40 << 20);
        let first = budget.acquire(30 << 20).await.unwrap();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), budget.acquire(20 << 20)).await.is_err());
        drop(first);
        budget.acquire(20 << 20).await.unwrap();
    }

    #[tokio::test]
    async fn more_than_the_whole_budget_is_given_when_nothing_else_is_held() {
        let budget = Budget::new(1);
        budget.acquire(usize::MAX).await.unwrap();
    }
}
