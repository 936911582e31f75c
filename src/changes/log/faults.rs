//! Failures of the disk, for the tests of this thread: the seam through which a log writes asks here first.

use std::{cell::Cell, io};

thread_local! {
    static STEPS: Cell<Option<u64>> = const { Cell::new(None) };
    static ROOM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// So many operations succeed, and all after them fail; with nothing, none fails.
pub(super) fn fail_after(steps: Option<u64>) {
    STEPS.set(steps);
}

/// So many bytes can still be written; with nothing, any number.
pub(super) fn room(bytes: Option<u64>) {
    ROOM.set(bytes);
}

/// An operation that may fail.
pub(super) fn step() -> io::Result<()> {
    match STEPS.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("injected")),
        Some(left) => {
            STEPS.set(Some(left - 1));
            Ok(())
        }
    }
}

/// As many of these bytes as there is room for; a full disk when there is none.
pub(super) fn fitting(bytes: &[u8]) -> io::Result<&[u8]> {
    step()?;
    let Some(left) = ROOM.get() else { return Ok(bytes) };
    if left == 0 && !bytes.is_empty() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    ROOM.set(Some(left - taken as u64));
    Ok(&bytes[..taken])
}

/// All of so many bytes, or none.
pub(super) fn room_for(bytes: usize) -> io::Result<()> {
    match ROOM.get() {
        Some(left) if left < bytes as u64 => Err(io::ErrorKind::StorageFull.into()),
        Some(left) => {
            ROOM.set(Some(left - bytes as u64));
            Ok(())
        }
        None => Ok(()),
    }
}
