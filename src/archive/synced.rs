//! A file whose bytes go to the disk while more are written.
//!
//! Left alone, they stay in memory, and whoever wants the whole file durable waits for all of them in the end, while
//! nothing else is left to do. So a thread of its own has them written from time to time, and what is written leaves the
//! memory but for the last of it: a file of many gigabytes would have the system look for as many of memory, which took two
//! thirds of the processor time of a dump, and take from a server beside it what that has in its cache.

use std::{
    fs::File,
    io::{self, Write},
    num::NonZero,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Bytes after which they are to go to the disk.
const EVERY: u64 = 32 * 1024 * 1024;
/// Bytes at the end of the file that stay in memory, for whoever reads it next: all of a small one. To keep none, 64 or 128
/// MiB was measured, and is as fast.
const KEPT: u64 = 256 * 1024 * 1024;

/// A file that is written, from its beginning or its end on.
#[derive(Debug)]
pub struct SyncedFile {
    file: Arc<File>,
    /// Bytes written since they were last ordered to the disk.
    waiting: u64,
    /// None before the first time.
    syncing: Option<Syncing>,
}

#[derive(Debug)]
struct Syncing {
    orders: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl SyncedFile {
    pub(super) fn new(file: File) -> Self {
        SyncedFile { file: Arc::new(file), waiting: 0, syncing: None }
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// What the operating system says: of any byte, whenever it was to be written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        // The system tells a failure once: what the thread was told, this call would not be.
        self.stop()?;
        self.file.sync_all()
    }

    /// Has the thread write what there is, unless it still is about what there was.
    fn order(&mut self) -> io::Result<()> {
        if self.syncing.is_none() {
            let file = Arc::clone(&self.file);
            // It takes an order only when it has carried out the one before: whoever stops it waits for no more than one.
            let (orders, ordered) = sync_channel(0);
            let thread = thread::Builder::new().name("sync".to_owned());
            let thread = thread.spawn(move || ordered.iter().try_for_each(|()| sync_and_forget(&file)));
            // Where there can be no more threads, everything waits for the end.
            self.syncing = thread.ok().map(|thread| Syncing { orders, thread });
        }
        match self.syncing.as_ref().map(|syncing| syncing.orders.try_send(())) {
            Some(Err(TrySendError::Full(()))) => Ok(()),
            Some(Err(TrySendError::Disconnected(()))) => self.stop(),
            Some(Ok(())) | None => {
                self.waiting = 0;
                Ok(())
            }
        }
    }

    /// Waits for the thread to end, and for what it was told.
    fn stop(&mut self) -> io::Result<()> {
        let Some(Syncing { orders, thread }) = self.syncing.take() else {
            return Ok(());
        };
        drop(orders);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs it died")))
    }
}

/// Has the disk hold everything that there is, and the memory no more than the end of it.
fn sync_and_forget(file: &File) -> io::Result<()> {
    let len = file.metadata()?.len();
    file.sync_data()?;
    if let Some(len) = NonZero::new(len.saturating_sub(KEPT)) {
        // Advice: where it is not taken, memory is found for more.
        let _ = forget(file, Some(len));
    }
    Ok(())
}

/// Has the system forget what it holds in memory of the first `len` bytes, or of all of them, as far as it is on the disk.
pub(super) fn forget(file: &File, len: Option<NonZero<u64>>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, 0, len, rustix::fs::Advice::DontNeed)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (file, len);
    Ok(())
}

impl Write for SyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_ref().write(bytes)?;
        self.waiting += written as u64;
        if self.waiting >= EVERY {
            self.order()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_ref().flush()
    }
}

impl Drop for SyncedFile {
    /// The file is closed, and its lock given back, when nobody is at work on it any more.
    fn drop(&mut self) {
        // Whoever wants to know has asked.
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek},
        time::Duration,
    };

    use super::*;

    #[test]
    fn everything_stands_in_the_file_and_its_lock_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let options = || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let file = options();
        file.try_lock().unwrap();
        let mut synced = SyncedFile::new(file);
        let block: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        for _ in 0..2 * (EVERY >> 20) + 1 {
            synced.write_all(&block).unwrap();
        }
        assert!(synced.syncing.is_some());
        drop(synced);
        let mut file = options();
        file.try_lock().unwrap();
        assert_eq!(file.seek(io::SeekFrom::End(0)).unwrap(), 2 * EVERY + (1 << 20));
        file.seek(io::SeekFrom::Start(2 * EVERY)).unwrap();
        let mut last = Vec::new();
        file.read_to_end(&mut last).unwrap();
        assert!(last == block);
    }

    /// Bytes that this thread has had to wait for the disk to give it.
    #[cfg(target_os = "linux")]
    fn read_from_disk() -> Option<u64> {
        let told = std::fs::read_to_string("/proc/thread-self/io").ok()?;
        told.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_on_the_disk_leaves_the_memory_but_for_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut file =
            File::options().read(true).write(true).create_new(true).open(folder.path().join("file")).unwrap();
        let block = vec![7; 1 << 20];
        for _ in 0..(KEPT >> 20) + 64 {
            file.write_all(&block).unwrap();
        }
        let disk_gives = |mut file: &File, at: u64| {
            let before = read_from_disk();
            file.seek(io::SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut [0; 4096]).unwrap();
            Some(read_from_disk()? > before?)
        };
        assert_ne!(disk_gives(&file, 0), Some(true));
        sync_and_forget(&file).unwrap();
        assert_ne!(disk_gives(&file, 64 << 20), Some(true));
        let first = disk_gives(&file, 0);
        // A file system in memory, or one that does not count what it reads, tells nothing.
        forget(&file, None).unwrap();
        assert_eq!(first, disk_gives(&file, KEPT));
    }

    /// A disk cannot be made to fail here, but what is no file cannot be synced.
    #[test]
    #[cfg(unix)]
    fn what_the_thread_is_told_is_told_to_whoever_writes_or_waits() {
        let no_file = || {
            let (_reader, writer) = io::pipe().unwrap();
            SyncedFile::new(File::from(std::os::fd::OwnedFd::from(writer)))
        };
        let mut synced = no_file();
        synced.order().unwrap();
        synced.sync().unwrap_err();
        let mut synced = no_file();
        synced.order().unwrap();
        let ends = || {
            thread::sleep(Duration::from_millis(5));
            synced.order().is_err()
        };
        assert!(std::iter::repeat_with(ends).take(1000).any(|failed| failed));
    }
}
