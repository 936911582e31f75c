//! Reads an archive both ways, front to back and by the tail, and checks what must hold whatever the bytes are.

use std::{cell::Cell, io};

use transload_format::{
    BlockHeader, Contents, Error, Event, FileHeader, Kind, Problem, ReadAt, Reader, Record, Scanner, StoredBlock,
    limits::{BLOCK_HEADER_LEN, MAX_INDEX_LEN},
};

/// A block of documents or events: its header, its offset, and its raw bytes.
pub type Unpacked = (BlockHeader, u64, Result<Vec<u8>, Problem>);

/// One event of a scan.
#[derive(Debug, PartialEq)]
pub enum Seen {
    Begun(FileHeader),
    Record(BlockHeader, Record),
    Block(Unpacked),
    Finished,
}

/// What a forward scan finds, and how it ends.
#[derive(Debug)]
pub struct Scan {
    pub events: Vec<Seen>,
    pub end: Result<Contents, Error>,
}

impl Scan {
    /// What the archive holds, if it is finished and every block unpacks.
    pub fn whole(&self) -> Option<&Contents> {
        self.end.as_ref().ok().filter(|_| self.unpacked().all(|(_, _, raw)| raw.is_ok()))
    }

    /// Its blocks of documents and events.
    pub fn unpacked(&self) -> impl Iterator<Item = &Unpacked> {
        self.events.iter().filter_map(|event| match event {
            Seen::Block(block) => Some(block),
            _ => None,
        })
    }
}

/// Scans `bytes` in pushes of `step` bytes.
pub fn scan(bytes: &[u8], step: usize) -> Scan {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    let mut pushes = bytes.chunks(step.max(1));
    loop {
        match scanner.next() {
            Ok(Some(event)) => events.push(seen(event)),
            Ok(None) => match pushes.next() {
                Some(push) => scanner.push(push),
                None => return Scan { events, end: scanner.end() },
            },
            Err(error) => {
                let again = scanner.next().expect_err("an error repeats itself");
                assert_eq!(format!("{error:?}"), format!("{again:?}"), "an error repeats itself");
                return Scan { events, end: Err(error) };
            }
        }
        if let Some(contents) = scanner.contents() {
            let least = contents.blocks().len().saturating_mul(BLOCK_HEADER_LEN);
            assert!(least <= bytes.len(), "what is held is bounded by what was pushed");
        }
    }
}

fn seen(event: Event) -> Seen {
    match event {
        Event::Begun(header) => Seen::Begun(header),
        Event::Record(header, record) => Seen::Record(header, record),
        Event::Block(block) => Seen::Block(unpack(block)),
        Event::Finished => Seen::Finished,
        other => panic!("an event that the targets do not know: {other:?}"),
    }
}

/// Unpacks a block.
pub fn unpack(block: StoredBlock) -> Unpacked {
    let (header, offset) = (block.header, block.offset);
    let raw = block.unpack();
    if let Ok(raw) = &raw {
        assert_eq!(raw.len(), header.raw_len as usize);
    }
    (header, offset, raw)
}

/// Opens by the tail, then reads the file header and every block.
pub fn read<R: ReadAt>(source: R) -> Result<(Contents, Vec<Unpacked>), Error> {
    let reader = Reader::open(Bounded::new(source))?;
    reader.check_header()?;
    let mut blocks = Vec::new();
    for (number, entry) in reader.contents().blocks().iter().enumerate() {
        let (header, offset, raw) = unpack(reader.block(number)?);
        let raw = raw.map_err(|problem| reader.damaged(number, problem))?;
        if entry.kind != Kind::Record {
            blocks.push((header, offset, Ok(raw)));
        }
    }
    Ok((reader.contents().clone(), blocks))
}

/// Fails unless two readers found the same.
pub fn assert_same(by_tail: &Contents, by_scan: &Contents) {
    assert_eq!(by_tail.header(), by_scan.header());
    assert_eq!(by_tail.origin(), by_scan.origin());
    assert_eq!(by_tail.checkpoint(), by_scan.checkpoint());
    assert_eq!(by_tail.blocks(), by_scan.blocks());
    assert_eq!(by_tail.offset(), by_scan.offset());
    assert_eq!(by_tail.totals(), by_scan.totals());
    assert_eq!(format!("{:?}", by_tail.namespaces()), format!("{:?}", by_scan.namespaces()));
}

/// A source that refuses to be asked for more than the format allows, or for what is not there.
struct Bounded<R> {
    source: R,
    reads: Cell<u64>,
}

impl<R: ReadAt> Bounded<R> {
    fn new(source: R) -> Self {
        Bounded { source, reads: Cell::new(0) }
    }
}

impl<R: ReadAt> ReadAt for Bounded<R> {
    fn size(&self) -> io::Result<u64> {
        self.source.size()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (len, size) = (buffer.len() as u64, self.size()?);
        assert!(len <= u64::from(MAX_INDEX_LEN) + BLOCK_HEADER_LEN as u64, "a read of {len} bytes");
        assert!(offset.checked_add(len).is_some_and(|end| end <= size), "a read of {len} bytes at {offset} of {size}");
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() <= 8 + 3 * size / BLOCK_HEADER_LEN as u64, "reads are bounded by the blocks");
        self.source.read_exact_at(buffer, offset)
    }
}
