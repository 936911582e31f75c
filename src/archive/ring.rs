//! Memory as a place to write an archive to, for who measures without a disk.

/// Memory that takes any number of bytes, each over one that it took long ago.
#[derive(Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    at: usize,
}

impl Ring {
    /// More than the caches of a processor hold, so that each byte goes to memory indeed.
    const BYTES: usize = 64 * 1024 * 1024;

    pub(super) fn new() -> Self {
        Ring { bytes: vec![0; Self::BYTES], at: 0 }
    }

    /// Takes some of the bytes, and gives how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.at == self.bytes.len() {
            self.at = 0;
        }
        let len = bytes.len().min(self.bytes.len() - self.at);
        if let (Some(room), Some(fitting)) = (self.bytes.get_mut(self.at..self.at + len), bytes.get(..len)) {
            room.copy_from_slice(fitting);
        }
        self.at += len;
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_takes_more_than_it_holds_and_keeps_the_last() {
        let mut ring = Ring { bytes: vec![0; 4], at: 0 };
        let mut rest = &b"abcdefghij"[..];
        while !rest.is_empty() {
            rest = &rest[ring.write(rest)..];
        }
        assert_eq!(ring.bytes, b"ijgh");
    }
}
