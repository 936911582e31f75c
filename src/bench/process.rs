//! A whole process, observed from outside: how long it runs, and what it takes of processor and memory.

use std::{path::PathBuf, process::Command, process::ExitStatus, process::Stdio, time::Duration, time::Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::error::{Error, Result};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a process has taken so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// The kernel's high-water mark of its memory.
    pub peak_bytes: u64,
    /// Processor time, of user and system together.
    pub cpu_seconds: f64,
}

/// What a running process has taken so far, by `/proc`; nothing where there is none, or the process has ended.
pub fn usage_of(process: u32) -> Option<Usage> {
    let folder = PathBuf::from(format!("/proc/{process}"));
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // User and system time in ticks, which Linux fixes at 100 a second.
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(Usage { peak_bytes: peak * 1024, cpu_seconds: ticks / 100.0 })
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// How long it ran.
    pub seconds: f64,
    /// What it took, as it was seen last.
    pub usage: Option<Usage>,
    /// What it printed on standard error.
    pub stderr: String,
}

/// Runs a command to its end, with `input` on its standard input; what it prints on standard output is thrown away. It is
/// killed if this is dropped.
///
/// # Errors
/// When it cannot be started. How it ends is no error here.
pub async fn timed(command: Command, input: &[u8]) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let fail = |error| Error::io(&name, error);
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C on a terminal is for this program, which stops what it has started.
    #[cfg(unix)]
    command.process_group(0);
    let begun = Instant::now();
    let mut child = command.spawn().map_err(fail)?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Who does not want it, does not read it.
            let _ = stdin.write_all(input).await;
        }
    };
    let listen = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut said).await;
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    let watch = async {
        let mut usage = None;
        loop {
            usage = child.id().and_then(usage_of).or(usage);
            if let Some(status) = child.try_wait()? {
                return Ok((status, begun.elapsed().as_secs_f64(), usage));
            }
            sleep(LOOK).await;
        }
    };
    let ((), stderr, watched) = futures_util::future::join3(feed, listen, watch).await;
    let (status, seconds, usage) = watched.map_err(fail)?;
    Ok(Ended { status, seconds, usage, stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_fed_and_heard_and_its_end_is_known() {
        let mut command = Command::new("sh");
        command.args(["-c", "read word; echo got $word >&2; sleep 0.1; exit 3"]);
        let ended = timed(command, b"it\n").await.unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "got it\n"));
        assert!(ended.seconds >= 0.1);
        assert!(timed(Command::new("/no/such/program"), b"").await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_this_process_has_taken_is_known() {
        assert!(usage_of(std::process::id()).unwrap().peak_bytes > 1_000_000);
        assert_eq!(usage_of(u32::MAX), None);
    }
}
