//! Room on the local disk, for the archive and for the log of changes.

use std::path::Path;

use super::{Finding, Findings};

/// Of the bytes of documents an archive takes about a third, and a change log may grow to as much again while a copy runs.
const SHARE: u64 = 2;

/// Looks at the file system of a directory, which need not be there yet.
pub(super) fn check(directory: Option<&Path>, bytes: u64) -> Vec<Finding> {
    let mut findings = Findings::of("here");
    let directory = directory.unwrap_or(Path::new("."));
    let there = directory.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let there = there.into_iter().find(|path| path.exists()).unwrap_or(Path::new("."));
    let place = directory.display();
    match rustix::fs::statvfs(there) {
        Err(error) => {
            findings.warn("disk", format!("{place}: {error}"), "name a directory that can be written in --dir")
        }
        Ok(status) => {
            let free = status.f_bavail.saturating_mul(status.f_frsize);
            let wanted = bytes / SHARE;
            let found = format!("{place}: {} MiB free, about {} MiB wanted", free >> 20, wanted >> 20);
            if free < wanted {
                findings.refuse("disk", found, "make room, or name a directory on a larger disk in --dir");
            } else {
                findings.ok("disk", found);
            }
        }
    }
    findings.all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Verdict;

    #[test]
    fn too_little_room_is_refused_wherever_the_directory_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let not_there = folder.path().join("not/there/yet");
        for directory in [None, Some(folder.path()), Some(not_there.as_path())] {
            assert_eq!(check(directory, 1000).first().map(|finding| finding.verdict), Some(Verdict::Ok));
            assert_eq!(check(directory, u64::MAX).first().map(|finding| finding.verdict), Some(Verdict::Refused));
        }
    }
}
