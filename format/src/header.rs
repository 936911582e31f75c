//! The file header: what every archive begins with, and what decides whether this reader may read it.

use std::fmt;

use crate::{
    error::{Error, Newer, Place, Problem, Result},
    limits::FILE_HEADER_LEN,
    wire::{Put, Take, checksum},
};

/// The first eight bytes of every archive: a byte that no text has, the name, and line ends that a transfer in
/// text mode would change.
pub const MAGIC: [u8; 8] = *b"\x89TLZ\r\n\x1a\n";
/// The version that this crate writes, and the highest that it reads.
pub const VERSION: u16 = 1;

/// The feature bits that this crate knows, of each word: none yet.
const KNOWN_FEATURES: u32 = 0;

/// Sixteen random bytes that tell one archive from every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArchiveId(pub [u8; 16]);

impl ArchiveId {
    /// The first half, which every block header repeats: a block is recognised as this archive's own.
    pub fn tag(self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveId({self})")
    }
}

/// Three words of feature bits; a set bit that a program does not know means what the word says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Unknown bits may be ignored.
    pub ignorable: u32,
    /// Unknown bits forbid reading.
    pub read: u32,
    /// Unknown bits forbid appending; reading is allowed.
    pub append: u32,
}

impl Features {
    /// Whether a program that knows only this version's features may append to the archive.
    pub fn may_append(self) -> bool {
        self.append & !KNOWN_FEATURES == 0
    }
}

/// The file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The format's version.
    pub version: u16,
    /// The feature bits.
    pub features: Features,
    /// The archive's id.
    pub id: ArchiveId,
}

impl FileHeader {
    /// The header of a new archive.
    pub fn new(id: ArchiveId) -> Self {
        FileHeader { version: VERSION, features: Features::default(), id }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.raw(&MAGIC).u16(self.version).u16(0);
        put.u32(self.features.ignorable).u32(self.features.read).u32(self.features.append);
        put.raw(&self.id.0).u32(0);
        let crc = crc32fast::hash(&put.0);
        put.u32(crc);
        put.0
    }

    /// Reads a header, and refuses one that this version must not read.
    ///
    /// # Errors
    /// [`Error::NotAnArchive`], [`Error::Damaged`], or [`Error::NewerVersion`].
    pub fn decode(bytes: &[u8; FILE_HEADER_LEN]) -> Result<Self> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::NotAnArchive);
        }
        let (header, reserved) = parse(bytes).map_err(|problem| Error::damaged(Place::FileHeader, problem))?;
        if header.version > VERSION {
            return Err(Error::NewerVersion(Newer::Version(header.version)));
        }
        let unknown = header.features.read & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(Error::NewerVersion(Newer::Feature(unknown)));
        }
        if reserved != 0 || header.version == 0 {
            return Err(Error::damaged(
                Place::FileHeader,
                Problem::Invalid("a reserved field or the version is wrong"),
            ));
        }
        Ok(header)
    }
}

fn parse(bytes: &[u8; FILE_HEADER_LEN]) -> Result<(FileHeader, u32), Problem> {
    let mut take = Take::new(bytes);
    let covered = take.clone().raw(FILE_HEADER_LEN.saturating_sub(4))?;
    let _magic: [u8; 8] = take.array()?;
    let version = take.u16()?;
    let reserved = u32::from(take.u16()?);
    let features = Features { ignorable: take.u32()?, read: take.u32()?, append: take.u32()? };
    let id = ArchiveId(take.array()?);
    let reserved = reserved | take.u32()?;
    checksum("the file header", take.u32()?, covered)?;
    Ok((FileHeader { version, features, id }, reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &FileHeader) -> [u8; FILE_HEADER_LEN] {
        header.encode().try_into().expect("48 bytes")
    }

    #[test]
    fn a_header_comes_back_as_written() {
        let header = FileHeader::new(ArchiveId([7; 16]));
        assert_eq!(FileHeader::decode(&bytes(&header)).expect("valid"), header);
    }

    #[test]
    fn a_newer_version_and_an_unknown_read_feature_are_refused_by_name() {
        let mut header = FileHeader { version: 2, ..FileHeader::new(ArchiveId([7; 16])) };
        assert!(matches!(FileHeader::decode(&bytes(&header)), Err(Error::NewerVersion(Newer::Version(2)))));
        header.version = 1;
        header.features.read = 0x10;
        assert!(matches!(FileHeader::decode(&bytes(&header)), Err(Error::NewerVersion(Newer::Feature(0x10)))));
    }

    #[test]
    fn unknown_ignorable_and_append_features_may_be_read() {
        let mut header = FileHeader::new(ArchiveId([7; 16]));
        header.features = Features { ignorable: 1, read: 0, append: 1 };
        let read = FileHeader::decode(&bytes(&header)).expect("readable");
        assert!(!read.features.may_append());
    }
}
