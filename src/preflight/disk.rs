//! Room on the local disk, for the archive and for the log of changes.

use std::path::Path;

use transload_format::Codec;

use super::{Finding, Findings};

/// Of the bytes of documents a compressed archive takes about a third, and a change log may grow to as much again while a
/// copy runs.
const SHARE: u64 = 2;

/// The room that a copy of so many bytes is reckoned to take.
fn wanted(bytes: u64, codec: Codec) -> u64 {
    match codec {
        Codec::None | Codec::Deflate(0) => bytes,
        Codec::Deflate(_) | Codec::Zstd(_) => bytes / SHARE,
    }
}

/// Looks at the file system of a directory, which need not be there yet.
pub(super) fn check(directory: Option<&Path>, bytes: u64, codec: Codec) -> Vec<Finding> {
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
            let wanted = wanted(bytes, codec);
            let found = format!("{place}: {} MiB free, about {} MiB wanted", free >> 20, wanted >> 20);
            if free < wanted {
                findings.refuse(
                    "disk",
                    found,
                    "make room, name a directory on a larger disk in --dir, or compress (--codec)",
                );
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
            let verdict = |bytes| check(directory, bytes, Codec::default()).first().map(|finding| finding.verdict);
            assert_eq!((verdict(1000), verdict(u64::MAX)), (Some(Verdict::Ok), Some(Verdict::Refused)));
        }
    }

    #[test]
    fn an_archive_that_is_not_compressed_takes_all_bytes() {
        let of = |codec: &str| wanted(1000, codec.parse().unwrap());
        assert_eq!((of("none"), of("deflate:0"), of("deflate"), of("zstd:3")), (1000, 1000, 500, 500));
        let here = check(None, 300 << 20, Codec::None);
        assert!(here.first().unwrap().found.contains("about 300 MiB wanted"), "{here:?}");
    }
}
