//! Locks on files, which a system gives back when a process ends, however it does.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

/// How often a lock is tried that somebody may hold for a moment: whoever looks at it, or a process that is just being started
/// by one that has it.
const TRIES: usize = 20;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(25);

/// Locks a file, if nobody else has it.
///
/// # Errors
/// When somebody has it, or the file system knows no locks.
pub(crate) fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            locked => return locked,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_waited_for_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let open = || File::options().create(true).append(true).open(folder.path().join("lock")).unwrap();
        let (first, second) = (open(), open());
        lock(&first).unwrap();
        assert!(matches!(lock(&second), Err(TryLockError::WouldBlock)));
        let later = std::thread::spawn(move || {
            std::thread::sleep(PAUSE);
            drop(first);
        });
        lock(&second).unwrap();
        later.join().unwrap();
    }
}
