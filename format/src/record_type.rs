//! The numbers by which block headers name the types of records.

/// The number of a record's type in its block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RecordType {
    Origin = 1,
    Collection = 2,
    PartBegun = 3,
    PartFinished = 4,
    NamespaceFinished = 5,
    Checkpoint = 6,
    Index = 7,
    Footer = 8,
}
