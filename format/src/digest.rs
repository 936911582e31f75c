//! Splits a block into its documents, and sums them up to a digest that does not depend on their order.
//!
//! The digest of a set of documents is the same however they were cut into parts and blocks, so two dumps of the
//! same data can be compared by one number. It finds accidents, not adversaries.

use crate::{
    error::Problem,
    limits::{MAX_DOCUMENT_LEN, MIN_DOCUMENT_LEN},
    wire::{limit, to_usize},
};

/// How many documents a run of bytes holds, and their digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of documents.
    pub count: u32,
    /// The sum, modulo 2^64, of the digests of the documents.
    pub digest: u64,
}

impl Tally {
    /// Counts and digests a run of back-to-back documents.
    ///
    /// # Errors
    /// When the bytes are not whole documents within the limits.
    pub fn of(bytes: &[u8]) -> Result<Tally, Problem> {
        let mut tally = Tally::default();
        for document in Documents::new(bytes) {
            let document = document?;
            tally.count = tally.count.saturating_add(1);
            tally.digest = tally.digest.wrapping_add(document_digest(document));
        }
        Ok(tally)
    }
}

/// The digest of one document: its CRC-32 and its length, mixed to 64 bits by the finalizer of SplitMix64.
pub fn document_digest(document: &[u8]) -> u64 {
    let len = u64::try_from(document.len()).unwrap_or(u64::MAX);
    let mut mixed = u64::from(crc32fast::hash(document)) | (len << 32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The documents of a run of back-to-back documents. After an error it ends.
#[derive(Clone, Debug)]
pub struct Documents<'a>(&'a [u8]);

impl<'a> Documents<'a> {
    /// Splits `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Documents(bytes)
    }

    fn split(&mut self) -> Result<&'a [u8], Problem> {
        const RULE: Problem = Problem::Invalid("the bytes are not whole documents");
        let prefix = self.0.first_chunk().ok_or(RULE)?;
        let len = u32::from_le_bytes(*prefix);
        limit("the length of a document", MAX_DOCUMENT_LEN, len)?;
        if len < MIN_DOCUMENT_LEN {
            return Err(RULE);
        }
        let (document, rest) = self.0.split_at_checked(to_usize(len)).ok_or(RULE)?;
        if document.last() != Some(&0) {
            return Err(RULE);
        }
        self.0 = rest;
        Ok(document)
    }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let document = self.split();
        if document.is_err() {
            self.0 = &[];
        }
        Some(document)
    }
}

/// Fails unless `bytes` are exactly one document.
pub(crate) fn one_document(bytes: &[u8]) -> Result<(), Problem> {
    let mut documents = Documents::new(bytes);
    match (documents.next().transpose()?, documents.next()) {
        (Some(_), None) => Ok(()),
        _ => Err(Problem::Invalid("a field is not exactly one document")),
    }
}
