//! The transload binary: parses, dispatches, and turns the outcome into an exit code. The only place that exits.

use std::process::ExitCode;

use clap::Parser;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
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

/// Ctrl-C and SIGTERM ask the verb to stop cleanly; the second of them does not wait for it. A hang-up asks, and no more: it comes
/// from the terminal and from the shell, and often with a SIGTERM.
async fn listen(cancel: CancellationToken) {
    let Ok(mut signals) = Signals::new() else { return };
    let mut has_asked = false;
    loop {
        let is_hang_up = signals.next().await;
        if has_asked && !is_hang_up {
            std::process::exit(i32::from(INTERRUPTED));
        }
        has_asked |= !is_hang_up;
        cancel.cancel();
    }
}

/// The signals that end a verb. Heard from the first to the last, so that none is lost between two.
#[cfg(unix)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where it is to be ignored, as under `nohup`.
    hang_up: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        let hang_up = (!is_ignored(libc::SIGHUP)).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// Waits for one of them; whether it is a hang-up.
    async fn next(&mut self) -> bool {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => false,
            _ = self.terminate.recv() => false,
            _ = hang_up => true,
        }
    }
}

/// Whether who started this process has it ignore a signal.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the C library has no other way to be asked")]
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all of `action` is writable, and zeros are an action; the call changes nothing else.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) -> bool {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        false
    }
}
