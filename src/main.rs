//! The transload binary: parses, dispatches, and turns the outcome into an exit code. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use transload::cli::Cli;

const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    give_large_buffers_back();
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

/// Buffers of this size, in bytes, and larger ones, are given back to the system as soon as they are free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 512 * 1024;

/// Keeps peak memory from growing with the data.
///
/// Batches are made by one thread, freed by another, and differ in size. The C library learns to keep such buffers, in
/// heaps that fray: a restore of 500 MB then takes twice the memory that it holds at once, and one of 5 GB more again.
/// Told not to learn, it maps each by itself. The price is a page fault for every 4 KiB, a few hundredths of the time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
fn give_large_buffers_back() {
    // SAFETY: called before there is a second thread; it sets a number, and refuses one that it does not like, which
    // costs nothing but memory.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_large_buffers_back() {}

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
