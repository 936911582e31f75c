"""Reads archives by ../SPEC.md alone, and checks every vector against its sidecar.

It shows that the text is enough to read an archive, and to judge one that is cut or damaged. It shares no code with the
library: where the two disagree, one of them, or the text, is wrong. It trusts archives to decompress to little.

    python3 format/vectors/read.py      reads `valid` and `invalid` beside this file
"""

import json
import sys
import zlib
from collections import namedtuple
from functools import partial
from pathlib import Path
from struct import Struct
from types import SimpleNamespace

try:
    from compression.zstd import ZstdDecompressor as zstd_stream, ZstdError
except ImportError:
    try:
        from zstandard import ZstdDecompressor, ZstdError
    except ImportError:
        sys.exit("read.py: to read blocks of zstd, install the package `zstandard` (or use Python 3.14)")
    zstd_stream = lambda: ZstdDecompressor().decompressobj()

FILE_MAGIC, BLOCK_MAGIC, ZSTD_MAGIC = b"\x89TLZ\r\n\x1a\n", b"\x8aBLK", b"\x28\xb5\x2f\xfd"
FILE_HEADER, BLOCK_HEADER = Struct("<8sHHIII16sII"), Struct("<4s4BQ8s7IQI")
INDEX_ENTRY, FOOTER_FIELDS = Struct("<4B5IQ"), Struct("<48sQIQQ")
RECORD, SKIPPABLE, VIEW, TYPES = 3, 1, 2, {1: "collection", 2: "view", 3: "time-series"}
NONE, DEFLATE, ZSTD, DOCUMENTS, EVENTS = 0, 1, 2, -1, -2
ORIGIN, COLLECTION, PART_BEGUN, PART_FINISHED, NAMESPACE_FINISHED, CHECKPOINT, INDEX, FOOTER = range(1, 9)
# 1, 4, 8: a number of so many bytes; t: text; b: bytes; d: a document; o: one or nothing; *: their number, documents
FIELDS = {ORIGIN: "tt8", COLLECTION: "t1bd*", PART_BEGUN: "oo8", PART_FINISHED: "88888",
          NAMESPACE_FINISHED: "48888", CHECKPOINT: "d8"}  # fmt: skip

number = partial(int.from_bytes, byteorder="little")
Header = namedtuple("Header", "entry sequence raw_crc stored_crc")
Entry = namedtuple("Entry", "kind codec type flags namespace part count raw_length stored_length digest")
# What a block is: the type of its record, or its kind as a negative number.
Entry.what = property(lambda entry: entry.type if entry.kind == RECORD else -entry.kind)
Entry.known = property(lambda entry: entry.what <= FOOTER or entry.flags == SKIPPABLE)


class Stop(Exception):
    """The outcome of an archive that is not finished, and why."""


BROKEN = Stop, UnicodeDecodeError, zlib.error, ZstdError


def require(holds, why, outcome="damaged"):
    if not holds:
        raise Stop(outcome, why)


def split(raw):
    """Whole documents, back to back (section 2)."""
    documents = []
    while raw:
        length = number(raw[:4])
        require(5 <= length <= min(len(raw), 16_842_752) and raw[length - 1] == 0, "not a whole document")
        documents.append(raw[:length])
        raw = raw[length:]
    return documents


def digest(documents):
    total = 0
    for document in documents:
        z = zlib.crc32(document) | len(document) << 32
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        total += z ^ (z >> 31)
    return total % 2**64


def fields(raw, kinds):
    """The values of a record's fields, their kinds as in FIELDS."""
    values, kinds, at = [], list(kinds), 0
    while kinds:
        kind = kinds.pop(0)
        size = int(kind) if kind.isdigit() else 4
        value, at = number(raw[at : at + size]), at + size
        if kind == "*":
            require(value <= 1_024, "number of index specs")
            kinds = ["d"] * value
            continue
        if not kind.isdigit():
            value, at = raw[at : at + value], at + value
            require(kind in "tb" or len(split(value)) == 1 or (kind, value) == ("o", b""), "not exactly one document")
        values.append(value.decode() if kind == "t" else value)
    require(at == len(raw), "a record that is shorter or longer than its fields")
    return values


def check_file_header(header):
    """Section 4."""
    require(header[:8] == FILE_MAGIC[: len(header)], "magic", "not-an-archive")
    require(len(header) == 48, "cut in the file header", "unfinished")
    _, version, reserved, _, forbids_reading, _, _, reserved_too, crc = FILE_HEADER.unpack(header)
    require(crc == zlib.crc32(header[:44]), "CRC-32 of the file header")
    require(version <= 1 and not forbids_reading, "version or feature", "newer")
    require(version == 1 and not reserved and not reserved_too, "version 0, or a reserved field")
    return header


def check_entry(e):
    """Steps 2 and 3 of section 11, for what the index repeats of a block header."""
    require(e.kind in (1, 2, 3) and e.codec in (NONE, DEFLATE, ZSTD), "kind or codec", "newer")
    if e.kind == RECORD:
        flags = {1} if e.type == ORIGIN else {0} if e.type <= FOOTER else {0, 1}
        require(e.type != 0 and e.flags in flags and (e.count, e.digest) == (1, 0), "header of a record")
        require(e.type != FOOTER or (e.codec, e.raw_length) == (NONE, 76), "length of the footer")
    else:
        require(e.type == e.flags == 0 and 1 <= e.count <= e.raw_length // 5, "header of documents or events")
    require(e.raw_length <= (2**28 if e.what == INDEX else 2**25), "raw length")
    require(e.stored_length < e.raw_length if e.codec else e.stored_length == e.raw_length, "stored length")


def read_header(data, offset, file_header):
    """Steps 1 to 3."""
    header = data[offset : offset + 64]
    require(header[:4] == BLOCK_MAGIC[: len(header)], "block magic")
    require(len(header) == 64, "cut in a block header", "unfinished")
    require(number(header[60:]) == zlib.crc32(header[:60]), "CRC-32 of a block header")
    _, *what, sequence, tag, ns, part, count, raw, stored, raw_crc, stored_crc, sum_, _ = BLOCK_HEADER.unpack(header)
    entry = Entry(*what, ns, part, count, raw, stored, sum_)
    check_entry(entry)
    require(entry.codec != NONE or raw_crc == stored_crc, "two CRC-32 of the same bytes")
    require(tag == file_header[24:32], "the tag of another archive")
    return Header(entry, sequence, raw_crc, stored_crc)


def headers(data, file_header, entries=None):
    """From header to header: steps 1 to 3, what the index says, and what of step 4 needs no stored bytes."""
    offset, sequence = 48, 0
    while True:
        header = read_header(data, offset, file_header)
        require(entries is None or header.entry == entries[sequence], "a block header is not what its entry says")
        require(offset + 64 + header.entry.stored_length <= len(data), "cut in the stored bytes", "unfinished")
        require(header.sequence == sequence, "sequence number")
        yield offset, header
        offset, sequence = offset + 64 + header.entry.stored_length, sequence + 1


def read_raw(data, offset, header):
    """The rest of step 4, and step 5: the raw bytes, and the documents or events in them."""
    e = header.entry
    raw = stored = data[offset + 64 : offset + 64 + e.stored_length]
    require(zlib.crc32(stored) == header.stored_crc, "CRC-32 of the stored bytes")
    if e.codec != NONE:
        if e.codec == ZSTD:
            require(stored[:4] == ZSTD_MAGIC and len(stored) > 5, "no zstd frame")
            window = e.raw_length if stored[4] & 0x20 else (8 + stored[5] % 8) << 7 + stored[5] // 8
            require(window <= 2**27, "window of a zstd frame")
        stream = zstd_stream() if e.codec == ZSTD else zlib.decompressobj(-15)
        raw = stream.decompress(stored)
        require(stream.eof and not stream.unused_data and len(raw) == e.raw_length, "end of a compressed stream")
    require(zlib.crc32(raw) == header.raw_crc, "CRC-32 of the raw bytes")
    documents = [] if e.kind == RECORD else split(raw)
    require(e.kind == RECORD or (len(documents), digest(documents)) == (e.count, e.digest), "count or digest")
    return raw, documents


class Archive:
    """What the blocks so far say. It takes them in order, and refuses the first that may not stand there."""

    def __init__(self):
        self.file_header, self.offset, self.index, self.index_length = b"", 48, None, 4
        self.namespaces, self.entries, self.records, self.blocks = [], [], [], []

    def admit(self, e, raw, documents=()):
        """Steps 6 and 7 for the next block. Out of an index there come no documents, and raw bytes of records only."""
        require(e.known, "an unknown record that is not skippable", "newer")
        values = fields(raw, FIELDS[e.what]) if e.what in FIELDS else ()
        n = self.namespaces[e.namespace - 1] if 0 < e.namespace <= len(self.namespaces) else None
        p = n.parts[e.part - 1] if n and 0 < e.part <= len(n.parts) else None
        n_open = n and not n.finished
        p_open = n_open and p and not p.finished
        about_nothing, name = e.namespace == e.part == 0, values[0] if e.what == COLLECTION else None
        rules = {
            DOCUMENTS: lambda: p_open,
            EVENTS: lambda: n_open and e.part == 0 and not n.parts and n.type != VIEW,
            ORIGIN: lambda: about_nothing and not self.entries,
            COLLECTION: lambda: e.namespace == len(self.namespaces) + 1 <= 1_048_576 and e.part == 0
            and all(name.partition(".")) and "\0" not in name and len(name.encode()) <= 1_024
            and name not in (other.name for other in self.namespaces)
            and values[1] in TYPES and len(values[2]) in (0, 16),
            PART_BEGUN: lambda: n_open and n.type != VIEW and (n.parts or not n.totals[0])
            and e.part == len(n.parts) + 1 <= 65_536,
            PART_FINISHED: lambda: p_open and values[1:] == p.totals and (values[0] >= p.low or values[0] == 0),
            NAMESPACE_FINISHED: lambda: n_open and e.part == 0 and values == [len(n.parts), *n.totals]
            and all(part.finished for part in n.parts),
            CHECKPOINT: lambda: e.part == 0 and (n or e.namespace == 0),
            INDEX: lambda: about_nothing and all(n.finished for n in self.namespaces) and raw == self.expected_index(),
            FOOTER: lambda: about_nothing and raw == FOOTER_FIELDS.pack(
                self.file_header, *self.index, len(self.entries), self.offset + 140),
        }  # fmt: skip
        require((self.index is None) == (e.what != FOOTER), "the footer, and nothing else, follows the index")
        require(rules.get(e.what, lambda: True)(), f"block {len(self.entries)} may not stand here, or disagrees")
        if e.what in (DOCUMENTS, EVENTS):
            for of in (n, p) if p else (n,):
                of.totals = [(a + b) % 2**64 for a, b in zip(of.totals, (1, e.count, e.raw_length, e.digest))]
            self.blocks.append({"kind": "documents" if p else "events", "namespace": n.name, "part": e.part,
                                "documents": [document.hex() for document in documents]})  # fmt: skip
        elif e.what == COLLECTION:
            of_record = dict(name=name, type=values[1], uuid=values[2], options=values[3], indexes=values[4:])
            self.namespaces.append(SimpleNamespace(**of_record, parts=[], totals=[0] * 4, finished=False))
        elif e.what == PART_BEGUN:
            n.parts.append(SimpleNamespace(low=values[2], totals=[0] * 4, finished=False))
        elif e.what in (PART_FINISHED, NAMESPACE_FINISHED):
            (p or n).finished = True
        elif e.what == INDEX:
            self.index = self.offset, e.stored_length
        self.entries.append(e)
        self.records += [raw] if e.kind == RECORD else []
        self.index_length += 32 + (4 + len(raw) if e.kind == RECORD else 0)
        require(self.index or self.index_length <= 2**28, "the index would pass its limit")
        self.offset += 64 + e.stored_length

    def expected_index(self):
        entries = b"".join(INDEX_ENTRY.pack(*entry) for entry in self.entries)
        records = b"".join(len(record).to_bytes(4, "little") + record for record in self.records)
        return len(self.entries).to_bytes(4, "little") + entries + records


def forward_scan(data, archive):
    archive.file_header = check_file_header(data[:48])
    for offset, header in headers(data, archive.file_header):
        archive.admit(header.entry, *read_raw(data, offset, header))
        if header.entry.what == FOOTER:
            break
    require(archive.offset == len(data), "bytes after the footer")


def open_by_tail(data, archive):
    """Section 9: judges the entries of the index as a forward scan does blocks, then the index and the footer."""
    begin = len(data) - 140
    require(begin >= 48, "shorter than a file header and a footer")
    archive.file_header = check_file_header(data[begin + 64 : begin + 112])
    footer = read_header(data, begin, archive.file_header)
    footer_raw, _ = read_raw(data, begin, footer)
    require(footer.entry.what == FOOTER, "no footer")
    _, offset, _, blocks, _ = FOOTER_FIELDS.unpack(footer_raw)
    index = read_header(data, offset, archive.file_header)
    require((footer.sequence, index.sequence) == (blocks, blocks - 1), "sequence numbers")
    raw, _ = read_raw(data, offset, index)
    at = 4 + 32 * number(raw[:4])
    require(at <= len(raw), "more entries than the index can hold")
    for entry in map(Entry._make, INDEX_ENTRY.iter_unpack(raw[4:at])):
        check_entry(entry)
        require(entry.what not in (INDEX, FOOTER), "an index or a footer in the index")
        length = 4 + entry.raw_length if entry.kind == RECORD else 0
        archive.admit(entry, raw[at + 4 : at + length])
        at += length
    archive.admit(index.entry, raw)
    archive.admit(footer.entry, footer_raw)
    require(archive.offset == len(data), "length of the archive")


def by_tail(data, archive):
    """Opening by the tail, then the file header and every block; or else the header walk."""
    try:
        open_by_tail(data, archive)
    except BROKEN:
        for _, header in headers(data, check_file_header(data[:48])):  # the header walk
            require(header.entry.known, "an unknown record that is not skippable", "newer")
            require(header.entry.what != FOOTER, "bytes after the footer, or a tail that is not in order")
    require(check_file_header(data[:48]) == archive.file_header, "the file header is not the footer's copy")
    records = iter(archive.records)
    for offset, header in headers(data, archive.file_header, archive.entries):
        read_raw(data, offset, header)
        is_record = header.entry.kind == RECORD
        require(not is_record or zlib.crc32(next(records)) == header.raw_crc, "a record is not its copy in the index")
        if header.entry.what == FOOTER:
            return


def read(way, data):
    """What a sidecar says of one way to read (section 15)."""
    archive, outcome = Archive(), "finished"
    try:
        way(data, archive)
    except BROKEN as broken:
        outcome = broken.args[0] if isinstance(broken, Stop) else "damaged"
    namespaces = [
        {"namespace": n.name, "type": TYPES[n.type], "uuid": n.uuid.hex() or None, "options": n.options.hex(),
         "indexes": [spec.hex() for spec in n.indexes], "parts": len(n.parts), "finished": n.finished,
         "documents": n.totals[1], "bytes": n.totals[2], "digest": f"{n.totals[3]:016x}"}
        for n in archive.namespaces
    ]  # fmt: skip
    finished = {"namespaces": namespaces} if outcome == "finished" else {}
    return {"outcome": outcome, "blocks": archive.blocks} | finished


def check(path):
    """What of an archive is not as its sidecar says."""
    data, expected = path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8"))
    scanned, opened = read(forward_scan, data), read(by_tail, data)
    found = scanned | {"by_tail": opened["outcome"], "why": expected["why"]}
    return [f"{key}: expected {expected.get(key)}, found {found.get(key)}"
            for key in expected | found if expected.get(key) != found.get(key)]  # fmt: skip


def main():
    paths = sorted(Path(__file__).resolve().parent.glob("*valid/*.tlz"))
    wrong = {path: differences for path in paths if (differences := check(path))}
    for path, differences in wrong.items():
        print(f"{path.parent.name}/{path.stem}: {differences[0]:.300}")
    print(f"{len(paths) - len(wrong)} passed, {len(wrong)} failed")
    return 0 if paths and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
