//! One server process: started so that it ends with this process, and killed when dropped.
//!
//! `PR_SET_PDEATHSIG` makes the kernel kill a child whose parent died, however it died. Setting it between fork and
//! exec needs unsafe code, which this crate forbids, so the server is started through util-linux's `setpriv`, which
//! sets it on itself and becomes the server (same process id). Two things follow:
//!
//! - The kernel's "parent" is the *thread* that forked. Threads of an async runtime come and go, so one thread that
//!   never ends starts every server.
//! - The parent may die before `setpriv` has asked for the signal. A line of shell after it compares the parent with
//!   the expected one, and does not go on to the server when it has changed.
//!
//! Where there is no such `setpriv` (not Linux, or busybox), servers are started plainly; a killed parent leaves them.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio, id},
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::ServerBinary;

const SAME_PARENT: &str = r#"test "$PPID" = "$0" && exec "$@""#;

/// What to start.
pub(super) struct Launch {
    pub(super) server: ServerBinary,
    pub(super) arguments: Vec<OsString>,
    /// Where the server's output and errors go.
    pub(super) output: File,
}

/// A running server.
pub(super) struct Process(Child);

impl Process {
    /// Starts a server. That it runs does not mean that it is ready, or will be.
    pub(super) async fn start(launch: Launch) -> io::Result<Self> {
        let (answer, started) = oneshot::channel();
        let gone = |()| io::Error::other("the thread that starts servers has ended");
        starter()?.send(Order { launch, answer }).await.map_err(|_| gone(()))?;
        started.await.map_err(|_| gone(()))?
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Process {
    /// Kills the server without warning, its data being worth nothing, and waits for its end: milliseconds.
    fn drop(&mut self) {
        // Either fails only if the process is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Order {
    launch: Launch,
    answer: oneshot::Sender<io::Result<Process>>,
}

/// The way to the thread that starts every server of this process, begun with the first.
fn starter() -> io::Result<mpsc::Sender<Order>> {
    static STARTER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = starter.as_ref() {
        return Ok(orders.clone());
    }
    let (orders, mut incoming) = mpsc::channel::<Order>(1);
    thread::Builder::new().name("sandbox-starter".to_owned()).spawn(move || {
        let ties = can_tie();
        while let Some(Order { launch, answer }) = incoming.blocking_recv() {
            // When nobody waits any more, the process comes back in the error and is killed by being dropped.
            let _ = answer.send(spawn(launch, ties));
        }
    })?;
    Ok(starter.insert(orders).clone())
}

/// Whether there is a `setpriv` that knows the option: busybox's does not.
fn can_tie() -> bool {
    let mut probe = Command::new("setpriv");
    probe.args(["--pdeathsig", "KILL", "--", "true"]);
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// A command for a program that ends with the thread that starts it, and so with this process if that is one that never ends.
pub(crate) fn tied(program: &Path) -> Command {
    command(program, can_tie())
}

fn command(program: &Path, tied: bool) -> Command {
    if !tied {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "sh", "-c", SAME_PARENT]);
    command.arg(id().to_string()).arg(program);
    command
}

fn spawn(launch: Launch, tied: bool) -> io::Result<Process> {
    let mut command = command(launch.server.path(), tied);
    if let Some(folder) = launch.server.library_path() {
        let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let inherited = env::split_paths(&inherited).filter(|folder| !folder.as_os_str().is_empty());
        let folders: Vec<PathBuf> = [folder.to_owned()].into_iter().chain(inherited).collect();
        command.env("LD_LIBRARY_PATH", env::join_paths(folders).map_err(io::Error::other)?);
    }
    command
        .args(launch.arguments)
        // Ctrl-C on a terminal is for this program, which may still need its servers to end well.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(launch.output.try_clone()?)
        .stderr(launch.output)
        .spawn()
        .map(Process)
}
