//! The transload binary: parses, dispatches, and turns the outcome into an exit code. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use transload::cli::Cli;

const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    keep_few_heaps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return transload::cli::not_understood(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return cli.cannot_start(error),
    };
    let cancel = CancellationToken::new();
    runtime.spawn(listen(cancel.clone()));
    let code = runtime.block_on(cli.run(cancel));
    // Neither waited for nor shut down: a thread may be blocked for good in a read of standard input, and a task of
    // the driver panics when it finds another one gone. The end of the process ends them all.
    std::mem::forget(runtime);
    code
}

/// Buffers of this size, in bytes, and larger ones, are mapped one by one, and given back to the system as soon as they are free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 8 << 20;
/// Bytes that are free at the end of the heap, which are kept for whoever wants them next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 64 << 20;

/// So many cores share a heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const CORES_OF_A_HEAP: usize = 4;

/// Keeps peak memory from growing with the data, and processor time from going to page faults.
///
/// Batches of megabytes are made by one thread, freed by another, and differ in size. Left to itself, the C library has a heap for
/// every thread, each of which frays. Told to map such batches one by one, it takes a page fault for every 4 KiB, which was 40 % of the
/// processor time of a dump. In one heap, or one of few, they find the place of those before them; small pieces come from caches of each thread
/// all the same.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
fn keep_few_heaps() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let heaps = i32::try_from(cores / CORES_OF_A_HEAP).unwrap_or(i32::MAX).max(1);
    for (what, value) in [(libc::M_ARENA_MAX, heaps), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, KEPT)] {
        // SAFETY: called before there is a second thread; it sets a number, and refuses one that it does not like, which costs
        // nothing but memory or time.
        unsafe { libc::mallopt(what, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_few_heaps() {}

/// The first signal asks the verb to stop cleanly; the second does not wait for it.
async fn listen(cancel: CancellationToken) {
    for _ in 0..2 {
        if signal().await.is_err() {
            return;
        }
        if cancel.is_cancelled() {
            std::process::exit(i32::from(INTERRUPTED));
        }
        cancel.cancel();
    }
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
