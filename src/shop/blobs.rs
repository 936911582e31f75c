//! A blob: 16 KiB that no codec makes smaller, with an integer id.

use super::random::Random;
use crate::document::RawBuilder;

const SIZE: usize = 16 * 1024;

pub(super) fn fill(blob: &mut RawBuilder, i: u64, random: &mut Random) {
    let mut bytes = [0; SIZE];
    let (words, _) = bytes.as_chunks_mut();
    for word in words {
        *word = random.next().to_le_bytes();
    }
    blob.int32("_id", i32::try_from(i).unwrap_or(i32::MAX));
    blob.binary("data", 0, &bytes);
}
