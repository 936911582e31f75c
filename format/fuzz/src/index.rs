//! The target of index bodies: an archive is made after one, so that everything but the index is in order.

use transload_format::{
    Tally,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, FOOTER_LEN, INDEX_ENTRY_LEN},
};

use super::{
    TAG, agree, file_header,
    seal::{BLOCK_MAGIC, Sums, compress, footer, get32, put32, seal_end},
};

/// An index body, in an archive that is made after it: both readers agree, whatever it says.
pub fn index(data: &[u8]) {
    let Some((&[flags], body)) = data.split_first_chunk() else {
        return;
    };
    let mut body = body.to_vec();
    let (file, mut sums) = (file_header(), Sums::default());
    let (mut archive, mut claimed) = (file.to_vec(), FILE_HEADER_LEN as u64);
    let entry_len = INDEX_ENTRY_LEN as usize;
    let count = body.first_chunk().map_or(0, |count| u32::from_le_bytes(*count) as usize);
    let mut record_at = count.saturating_mul(entry_len).saturating_add(4);
    for number in 0..count.min(body.len() / entry_len) {
        let at = 4 + number * entry_len;
        if at + entry_len > body.len() {
            break;
        }
        claimed = claimed.saturating_add(BLOCK_HEADER_LEN as u64 + u64::from(get32(&body, at + 20)));
        if claimed > 1 << 18 {
            break;
        }
        let end = record_at.min(body.len());
        let (entries, records) = body.split_at_mut(end);
        let taken = place(&mut archive, number as u64, &mut entries[at..at + entry_len], records, &mut sums, flags);
        record_at = record_at.saturating_add(taken);
    }
    let blocks = if flags & 2 == 0 { count as u64 } else { u64::from(flags >> 2) };
    let at = archive.len() as u64;
    let stored = finish(&mut archive, blocks, 7, &body, if flags & 1 == 0 { 0 } else { 2 });
    let len = archive.len() + FOOTER_LEN;
    let body = footer(&file, (at, stored), blocks + 1, len as u64);
    finish(&mut archive, blocks + 1, 8, &body, 0);
    agree(archive.as_slice(), &archive);
}

/// Appends the block that an entry of the index names, and says how many bytes its record takes in the index. An entry
/// of documents gets documents, and their digest.
fn place(
    archive: &mut Vec<u8>,
    number: u64,
    entry: &mut [u8],
    records: &mut [u8],
    sums: &mut Sums,
    flags: u8,
) -> usize {
    let (namespace, part, raw_len) = (get32(entry, 4), get32(entry, 8), get32(entry, 16) as usize);
    let mut stored = vec![0; get32(entry, 20) as usize];
    let mut taken = 0;
    let mut raw_crc = None;
    if entry[0] == 3 {
        let len = records.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        if let Some(record) = records.get_mut(4..).and_then(|records| records.get_mut(..len)) {
            taken = len + 4;
            if flags & 2 == 0 {
                sums.repair(entry[2], namespace, part, record);
            }
            raw_crc = Some(crc32fast::hash(record));
            stored = match entry[1] {
                0 => record.to_vec(),
                codec => compress(codec, record).unwrap_or(stored),
            };
            if flags & 2 == 0 {
                put32(entry, 16, record.len() as u32);
                put32(entry, 20, stored.len() as u32);
            }
        }
    } else if let Some(last) = raw_len.checked_sub(5 * (get32(entry, 12) as usize).saturating_sub(1)) {
        if entry[1] == 0 && stored.len() == raw_len && last >= 5 {
            for document in 0..get32(entry, 12) as usize {
                stored[document * 5] = 5;
            }
            put32(&mut stored, raw_len - last, last as u32);
        }
        if let Ok(tally) = Tally::of(&stored) {
            entry[24..32].copy_from_slice(&tally.digest.to_le_bytes());
            sums.add(namespace, part, tally, raw_len);
        }
    }
    let stored_crc = crc32fast::hash(&stored);
    let raw_crc = raw_crc.unwrap_or(stored_crc);
    let at = archive.len();
    archive.extend_from_slice(&BLOCK_MAGIC);
    archive.extend_from_slice(&entry[..4]);
    archive.extend_from_slice(&number.to_le_bytes());
    archive.extend_from_slice(&TAG);
    archive.extend_from_slice(&entry[4..24]);
    archive.extend_from_slice(&[raw_crc.to_le_bytes(), stored_crc.to_le_bytes()].concat());
    archive.extend_from_slice(&entry[24..32]);
    archive.extend_from_slice(&[0; 4]);
    seal_end(&mut archive[at..]);
    archive.extend_from_slice(&stored);
    taken
}

/// Appends the index or the footer, and gives its stored length.
fn finish(archive: &mut Vec<u8>, sequence: u64, record: u8, body: &[u8], codec: u8) -> u32 {
    let compressed = compress(codec, body);
    let codec = if compressed.is_some() { codec } else { 0 };
    let stored = compressed.unwrap_or_else(|| body.to_vec());
    let at = archive.len();
    archive.extend_from_slice(&BLOCK_MAGIC);
    archive.extend_from_slice(&[3, codec, record, 0]);
    archive.extend_from_slice(&sequence.to_le_bytes());
    archive.extend_from_slice(&TAG);
    archive.extend_from_slice(&[0; 8]);
    for number in [1, body.len() as u32, stored.len() as u32, crc32fast::hash(body), crc32fast::hash(&stored)] {
        archive.extend_from_slice(&number.to_le_bytes());
    }
    archive.extend_from_slice(&[0; 12]);
    seal_end(&mut archive[at..]);
    archive.extend_from_slice(&stored);
    stored.len() as u32
}
