//! Little-endian numbers and length-prefixed bytes: written to a vector, read back with every access checked.

use crate::error::Problem;

/// Appends numbers and byte strings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Put(pub(crate) Vec<u8>);

impl Put {
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `u32` length and the bytes. Nothing of 4 GiB or more is ever written: the length of the whole is limited.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }
}

/// Takes numbers and byte strings off the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Take<'a>(&'a [u8]);

type Taken<T> = Result<T, Problem>;

impl<'a> Take<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Take(bytes)
    }

    pub(crate) fn raw(&mut self, len: usize) -> Taken<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Problem::Invalid("it ends inside a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Taken<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Problem::Invalid("it ends inside a field"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Taken<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Taken<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Taken<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Taken<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Taken<&'a [u8]> {
        let len = self.u32()?;
        self.raw(to_usize(len))
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Taken<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::Invalid("bytes are left over after its last field")) }
    }
}

/// A length of the format as an index: on a 16-bit machine it would saturate, and every access is checked anyway.
pub(crate) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// A length in memory as a 64-bit number, which is never smaller than `usize`.
pub(crate) fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Fails with a [`Problem::Mismatch`] unless `found` is `expected`.
pub(crate) fn expect(what: &'static str, expected: impl Into<u64>, found: impl Into<u64>) -> Taken<()> {
    let (expected, found) = (expected.into(), found.into());
    if expected == found { Ok(()) } else { Err(Problem::Mismatch { what, expected, found }) }
}

/// Fails with a [`Problem::TooLarge`] if `found` is above `limit`.
pub(crate) fn limit(what: &'static str, limit: impl Into<u64>, found: impl Into<u64>) -> Taken<()> {
    let (limit, found) = (limit.into(), found.into());
    if found <= limit { Ok(()) } else { Err(Problem::TooLarge { what, found, limit }) }
}

/// Fails with a [`Problem::Checksum`] unless `bytes` have this CRC-32.
pub(crate) fn checksum(of: &'static str, expected: u32, bytes: &[u8]) -> Taken<()> {
    let found = crc32fast::hash(bytes);
    if found == expected { Ok(()) } else { Err(Problem::Checksum { of, expected, found }) }
}
