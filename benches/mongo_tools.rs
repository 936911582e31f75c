//! The peers, where they are on PATH.

use std::process::{Command, Stdio};

pub(crate) fn installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
