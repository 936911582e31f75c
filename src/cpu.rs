//! Runs pure computations on a pool of threads beside the async runtime. The only file that names rayon.

use std::{
    cmp::Ordering,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
};

use rayon::{
    iter::{IntoParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};

/// What a computation will give.
#[derive(Debug)]
pub(crate) struct Pending<T>(oneshot::Receiver<Result<T>>);

impl<T> Pending<T> {
    /// Waits for it in a task.
    ///
    /// # Errors
    /// What the computation failed with; a panic in it is an internal error.
    pub(crate) async fn wait(self) -> Result<T> {
        self.0.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits for it in a thread that may block.
    ///
    /// # Errors
    /// As [`wait`](Pending::wait).
    pub(crate) fn wait_blocking(self) -> Result<T> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }
}

/// Starts a computation: bytes in, bytes out, nothing that waits.
pub(crate) fn run<T: Send + 'static>(compute: impl FnOnce() -> Result<T> + Send + 'static) -> Pending<T> {
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        let result = catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        // Nobody waits any more when the verb has been stopped.
        let _ = sender.send(result);
    };
    match pool() {
        Some(pool) => pool.spawn(job),
        None => job(),
    }
    Pending(receiver)
}

/// Computes something pure of each of many, in their order, on all cores; the thread that asks waits. Few are computed
/// where they are.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, compute: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    if items.len() >= MANY { share(items, compute) } else { items.into_iter().map(compute).collect() }
}

/// Computes something pure, and long, of each of some, in their order, on all cores; the thread that asks waits.
pub(crate) fn share<T: Send, R: Send>(items: Vec<T>, compute: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    match pool() {
        Some(pool) => pool.install(|| items.into_par_iter().map(compute).collect()),
        None => items.into_iter().map(compute).collect(),
    }
}

/// Sorts many, equal ones in any order, on all cores; the thread that asks waits.
pub(crate) fn sort_by<T: Send>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Send + Sync) {
    match pool().filter(|_| items.len() >= MANY) {
        Some(pool) => pool.install(|| items.par_sort_unstable_by(compare)),
        None => items.sort_unstable_by(compare),
    }
}

/// From so many on it pays to share work among cores.
pub(crate) const MANY: usize = 2_000;

/// One pool for the process, a thread for each core. Where threads cannot be had, the caller computes.
fn pool() -> Option<&'static rayon::ThreadPool> {
    static POOL: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let build = || rayon::ThreadPoolBuilder::new().thread_name(|n| format!("cpu-{n}")).build().ok();
    POOL.get_or_init(build).as_ref()
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a computation was lost")
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorKind::Internal, format!("a computation panicked: {}", text.unwrap_or("without a message")))
        .with_hint("this is a bug of transload: please report it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_and_an_error_come_back() {
        assert_eq!(run(|| Ok(6 * 7)).wait().await.unwrap(), 42);
        assert!(run::<()>(|| Err(Error::interrupted())).wait().await.is_err());
    }

    #[test]
    fn few_and_many_come_in_their_order() {
        for count in [3, MANY + 3] {
            let mut numbers = map((0..count).collect(), |number| count - number);
            assert!(numbers.iter().copied().eq((1..=count).rev()));
            sort_by(&mut numbers, usize::cmp);
            assert!(numbers.into_iter().eq(1..=count));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_pool_lives_on() {
        let error = run::<()>(|| panic!("the reason")).wait().await.unwrap_err();
        assert_eq!(error.to_string(), "a computation panicked: the reason");
        assert_eq!(run(|| Ok(1)).wait().await.unwrap(), 1);
    }
}
