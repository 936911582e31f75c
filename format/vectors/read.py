"""Reads archives by ../SPEC.md alone, and checks every vector against its sidecar.

It is responsible for one thing: to show that the text of the specification is enough to read an archive, and to judge
one that is cut or damaged. It shares no code and no author's memory with the library, so where the two disagree, one of
them, or the text, is wrong. It reads whole files into memory and is not made to be fast.

    python3 format/vectors/read.py [DIR…]      by default: `valid` and `invalid` beside this file

Blocks compressed with zstd need Python 3.14, or the package `zstandard`.
"""

import json
import struct
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

FINISHED, UNFINISHED, DAMAGED, NEWER, NOT_AN_ARCHIVE = "finished", "unfinished", "damaged", "newer", "not-an-archive"

FILE_MAGIC, BLOCK_MAGIC = b"\x89TLZ\r\n\x1a\n", b"\x8aBLK"
FILE_HEADER = struct.Struct("<8sHHIII16sII")
BLOCK_HEADER = struct.Struct("<4s4BQ8s7IQI")
INDEX_ENTRY = struct.Struct("<4B5IQ")
FOOTER_FIELDS = struct.Struct("<48sQIQQ")
FOOTER_LENGTH = BLOCK_HEADER.size + FOOTER_FIELDS.size

KIND_DOCUMENTS, KIND_EVENTS, KIND_RECORD = 1, 2, 3
CODEC_NONE, CODEC_DEFLATE, CODEC_ZSTD = 0, 1, 2
SKIPPABLE = 1
NAMESPACE_TYPES = {1: "collection", 2: "view", 3: "time-series"}

# What a block is: its kind and its record type.
DOCUMENTS, EVENTS = (KIND_DOCUMENTS, 0), (KIND_EVENTS, 0)
ORIGIN, COLLECTION, PART_BEGUN, PART_FINISHED, NAMESPACE_FINISHED, CHECKPOINT, INDEX, FOOTER = (
    (KIND_RECORD, record_type) for record_type in range(1, 9)
)

MIN_DOCUMENT, MAX_DOCUMENT = 5, 16_842_752
MAX_RAW, MAX_RAW_INDEX = 33_554_432, 268_435_456
MAX_NAMESPACE_BYTES, MAX_NAMESPACES, MAX_PARTS, MAX_INDEX_SPECS = 1_024, 1_048_576, 65_536, 1_024


class Refused(Exception):
    """Why a scan ended before the end of a finished archive."""

    def __init__(self, outcome, why):
        super().__init__(f"{outcome}: {why}")
        self.outcome = outcome


def require(condition, why, outcome=DAMAGED):
    if not condition:
        raise Refused(outcome, why)


# Fields (sections 2 and 6)


def check_document(document):
    length = int.from_bytes(document[:4], "little")
    require(MIN_DOCUMENT <= len(document) <= MAX_DOCUMENT, "length of a document")
    require(length == len(document) and document[-1] == 0, "a document's own length or last byte")


def split_documents(raw):
    documents, at = [], 0
    while at < len(raw):
        document = raw[at : at + int.from_bytes(raw[at : at + 4], "little")]
        check_document(document)
        documents.append(document)
        at += len(document)
    return documents


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def digest(documents):
    return sum(mix(zlib.crc32(d) | len(d) << 32) for d in documents) % 2**64


class Fields:
    """The fields of one record, taken one after the other."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, length):
        require(self.at + length <= len(self.raw), "a record is too short for its fields")
        self.at += length
        return self.raw[self.at - length : self.at]

    def integer(self, length):
        return int.from_bytes(self.take(length), "little")

    def bytes(self):
        return self.take(self.integer(4))

    def text(self):
        try:
            return self.bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(DAMAGED, "text that is not UTF-8") from None

    def document(self):
        document = self.bytes()
        check_document(document)
        return document

    def totals(self):
        return Totals(*(self.integer(8) for _ in Totals._fields))

    def end(self):
        require(self.at == len(self.raw), "bytes after the fields of a record")


# File header and blocks (sections 4, 5 and 10)


def check_file_header(data):
    """Checks the file header at the begin of `data`, and gives its 48 bytes."""
    header = data[: FILE_HEADER.size]
    require(header[:8] == FILE_MAGIC[: len(header)], "magic", NOT_AN_ARCHIVE)
    require(len(header) == FILE_HEADER.size, "cut in the file header", UNFINISHED)
    _, version, reserved, _, forbids_reading, _, _, reserved_too, crc = FILE_HEADER.unpack(header)
    require(crc == zlib.crc32(header[:44]), "CRC-32 of the file header")
    require(version <= 1, "version", NEWER)
    require(forbids_reading == 0, "a feature that forbids reading", NEWER)
    require(version == 1 and reserved == reserved_too == 0, "version 0 or a reserved field")
    return header


def tag_of(file_header):
    return file_header[24:32]


class Entry(NamedTuple):
    """What the index says of a block: the fields of its header that do not follow from others."""

    kind: int
    codec: int
    record_type: int
    flags: int
    namespace_id: int
    part_number: int
    count: int
    raw_length: int
    stored_length: int
    digest: int

    @property
    def what(self):
        return self.kind, self.record_type

    @property
    def block_length(self):
        return BLOCK_HEADER.size + self.stored_length


class Header(NamedTuple):
    entry: Entry
    sequence: int
    tag: bytes
    raw_crc: int
    stored_crc: int


def check_known(entry):
    require(entry.kind in (KIND_DOCUMENTS, KIND_EVENTS, KIND_RECORD), "an unknown kind", NEWER)
    require(entry.codec in (CODEC_NONE, CODEC_DEFLATE, CODEC_ZSTD), "an unknown codec", NEWER)
    known = entry.kind != KIND_RECORD or ORIGIN <= entry.what <= FOOTER
    require(known or entry.flags & SKIPPABLE, "an unknown record that is not skippable", NEWER)


def check_limits(entry):
    if entry.kind == KIND_RECORD:
        skippable = not COLLECTION <= entry.what <= FOOTER
        require(entry.flags == (SKIPPABLE if skippable else 0), "flags of a record")
        require(entry.count == 1 and entry.digest == 0, "count or digest of a record")
    else:
        require(entry.record_type == entry.flags == 0, "record type or flags without a record")
        require(1 <= entry.count <= entry.raw_length // MIN_DOCUMENT, "count")
    require(entry.raw_length <= (MAX_RAW_INDEX if entry.what == INDEX else MAX_RAW), "raw length")
    if entry.codec == CODEC_NONE:
        require(entry.stored_length == entry.raw_length, "stored length without compression")
    else:
        require(entry.stored_length < entry.raw_length, "compressed, but not smaller")
    if entry.what == FOOTER:
        require(entry.codec == CODEC_NONE and entry.raw_length == FOOTER_FIELDS.size, "shape of the footer")


def parse_block_header(header):
    (magic, kind, codec, record_type, flags, sequence, tag, namespace_id, part_number, count,
     raw_length, stored_length, raw_crc, stored_crc, block_digest, crc) = BLOCK_HEADER.unpack(header)  # fmt: skip
    require(magic == BLOCK_MAGIC, "block magic")
    require(crc == zlib.crc32(header[:60]), "CRC-32 of a block header")
    entry = Entry(kind, codec, record_type, flags, namespace_id, part_number, count,
                  raw_length, stored_length, block_digest)  # fmt: skip
    check_known(entry)
    check_limits(entry)
    require(codec != CODEC_NONE or raw_crc == stored_crc, "two CRC-32 of the same bytes")
    return Header(entry, sequence, tag, raw_crc, stored_crc)


def read_block_header(data, offset, sequence, tag):
    header = data[offset : offset + BLOCK_HEADER.size]
    if len(header) < BLOCK_HEADER.size:
        foreseen = BLOCK_MAGIC + header[4:8] + sequence.to_bytes(8, "little") + tag
        require(foreseen.startswith(header[:24]), "the begin of a block header")
        raise Refused(UNFINISHED, "cut in a block header")
    header = parse_block_header(header)
    require(header.sequence == sequence, "sequence number")
    require(header.tag == tag, "tag")
    return header


def read_raw(data, offset, header):
    """The raw bytes of the block at `offset`, and the documents or events in them."""
    entry = header.entry
    stored = data[offset + BLOCK_HEADER.size : offset + entry.block_length]
    require(len(stored) == entry.stored_length, "cut in the stored bytes of a block", UNFINISHED)
    require(zlib.crc32(stored) == header.stored_crc, "CRC-32 of stored bytes")
    raw = decompress(entry.codec, stored, entry.raw_length)
    require(zlib.crc32(raw) == header.raw_crc, "CRC-32 of raw bytes")
    documents = [] if entry.kind == KIND_RECORD else split_documents(raw)
    if entry.kind != KIND_RECORD:
        require(len(documents) == entry.count, "count of documents")
        require(digest(documents) == entry.digest, "digest of documents")
    return raw, documents


def decompress(codec, stored, raw_length):
    if codec == CODEC_NONE:
        return stored
    stream, error = deflate_stream() if codec == CODEC_DEFLATE else zstd_stream()
    raw, step = bytearray(), 1024  # in steps, to hold no more than a little above the raw length
    try:
        for at in range(0, len(stored), step):
            require(not stream.eof and len(raw) <= raw_length, "bytes after a compressed stream, or too many in it")
            raw += stream.decompress(stored[at : at + step])
    except error:
        raise Refused(DAMAGED, "a compressed stream") from None
    require(stream.eof and not stream.unused_data and len(raw) == raw_length, "end of a compressed stream")
    return bytes(raw)


def deflate_stream():
    return zlib.decompressobj(-zlib.MAX_WBITS), zlib.error


def zstd_stream():
    try:
        from compression import zstd
    except ImportError:
        try:
            import zstandard
        except ImportError:
            sys.exit("read.py: to read zstd blocks, install the package `zstandard` (or use Python 3.14)")
        return zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError
    return zstd.ZstdDecompressor(), zstd.ZstdError


# What an archive contains (sections 6, 7 and 8)


class Totals(NamedTuple):
    blocks: int = 0
    documents: int = 0
    raw_bytes: int = 0
    digest: int = 0

    def plus(self, entry):
        return Totals(
            self.blocks + 1,
            self.documents + entry.count,
            self.raw_bytes + entry.raw_length,
            (self.digest + entry.digest) % 2**64,
        )


@dataclass
class Part:
    totals: Totals = Totals()
    finished: bool = False


@dataclass
class Namespace:
    name: str
    type: int
    uuid: bytes
    options: bytes
    indexes: list
    parts: list = field(default_factory=list)
    totals: Totals = Totals()
    finished: bool = False


class Contents:
    """What the blocks so far say. It takes them one by one, in order, and refuses the first that must not stand there."""

    def __init__(self):
        self.namespaces, self.entries, self.records, self.index_seen = [], [], [], False

    def place(self, entry):
        """Checks by the header of a block alone that it may stand here."""
        require(self.index_seen == (entry.what == FOOTER), "after the index comes the footer, and nowhere else")
        if entry.what in self.ABOUT:
            self.ABOUT[entry.what](self, entry)
        if entry.what == ORIGIN:
            require(not self.entries, "an origin that is not block 0")
        if entry.what == NAMESPACE_FINISHED:
            require(all(part.finished for part in self.namespace(entry).parts), "an unfinished part")
        if entry.what == INDEX:
            require(all(namespace.finished for namespace in self.namespaces), "an unfinished namespace")

    def add(self, entry, raw):
        """Takes a block that has its place. `raw` is used of records only."""
        if entry.kind == KIND_RECORD:
            self.add_record(entry, raw)
            self.records.append(raw)
        else:
            namespace = self.namespace(entry)
            namespace.totals = namespace.totals.plus(entry)
            if entry.kind == KIND_DOCUMENTS:
                part = self.part(entry)
                part.totals = part.totals.plus(entry)
        self.entries.append(entry)

    def add_record(self, entry, raw):
        if entry.what in self.FIELDS:
            fields = Fields(raw)
            self.FIELDS[entry.what](self, entry, fields)
            fields.end()
        elif entry.what == INDEX:
            require(raw == self.index(), "an index that is not what the blocks say")
            self.index_seen = True

    def index(self):
        entries = b"".join(INDEX_ENTRY.pack(*entry) for entry in self.entries)
        records = b"".join(len(raw).to_bytes(4, "little") + raw for raw in self.records)
        return len(self.entries).to_bytes(4, "little") + entries + records

    def namespace(self, entry):
        return self.namespaces[entry.namespace_id - 1]

    def part(self, entry):
        return self.namespace(entry).parts[entry.part_number - 1]

    # What a block is about

    def about_nothing(self, entry):
        require(entry.namespace_id == entry.part_number == 0, "about nothing, but with an id")

    def about_new_namespace(self, entry):
        require(entry.namespace_id == len(self.namespaces) + 1 <= MAX_NAMESPACES, "id of a new namespace")
        require(entry.part_number == 0, "a part number without a part")

    def about_open_namespace(self, entry):
        require(1 <= entry.namespace_id <= len(self.namespaces), "unknown namespace")
        require(not self.namespace(entry).finished, "a finished namespace")

    def about_namespace(self, entry):
        self.about_open_namespace(entry)
        require(entry.part_number == 0, "a part number without a part")

    def about_new_part(self, entry):
        self.about_open_namespace(entry)
        require(NAMESPACE_TYPES[self.namespace(entry).type] != "view", "a part of a view")
        require(entry.part_number == len(self.namespace(entry).parts) + 1 <= MAX_PARTS, "number of a new part")

    def about_part(self, entry):
        self.about_open_namespace(entry)
        require(1 <= entry.part_number <= len(self.namespace(entry).parts), "unknown part")
        require(not self.part(entry).finished, "a finished part")

    def about_any_namespace_or_nothing(self, entry):
        require(entry.namespace_id <= len(self.namespaces), "unknown namespace")
        require(entry.part_number == 0, "a part number without a part")

    ABOUT = {
        DOCUMENTS: about_part,
        EVENTS: about_namespace,
        ORIGIN: about_nothing,
        COLLECTION: about_new_namespace,
        PART_BEGUN: about_new_part,
        PART_FINISHED: about_part,
        NAMESPACE_FINISHED: about_namespace,
        CHECKPOINT: about_any_namespace_or_nothing,
        INDEX: about_nothing,
        FOOTER: about_nothing,
    }

    # The fields of records

    def origin(self, _entry, fields):
        fields.text(), fields.text(), fields.integer(8)

    def collection(self, _entry, fields):
        name, type_, uuid, options = fields.text(), fields.integer(1), fields.bytes(), fields.document()
        number_of_specs = fields.integer(4)
        require(len(name.encode()) <= MAX_NAMESPACE_BYTES and all(name.partition(".")), "a namespace's name")
        require(type_ in NAMESPACE_TYPES and len(uuid) in (0, 16), "a namespace's type or UUID")
        require(number_of_specs <= MAX_INDEX_SPECS, "number of index specs")
        indexes = [fields.document() for _ in range(number_of_specs)]
        self.namespaces.append(Namespace(name, type_, uuid, options, indexes))

    def part_begun(self, entry, fields):
        for bound in (fields.bytes(), fields.bytes()):
            if bound:
                check_document(bound)
        _low = fields.integer(8)
        self.namespace(entry).parts.append(Part())

    def part_finished(self, entry, fields):
        part, _high = self.part(entry), fields.integer(8)
        require(fields.totals() == part.totals, "totals of a part")
        part.finished = True

    def namespace_finished(self, entry, fields):
        namespace = self.namespace(entry)
        require(fields.integer(4) == len(namespace.parts), "number of parts")
        require(fields.totals() == namespace.totals, "totals of a namespace")
        namespace.finished = True

    def checkpoint(self, _entry, fields):
        fields.document(), fields.integer(8)

    FIELDS = {
        ORIGIN: origin,
        COLLECTION: collection,
        PART_BEGUN: part_begun,
        PART_FINISHED: part_finished,
        NAMESPACE_FINISHED: namespace_finished,
        CHECKPOINT: checkpoint,
    }


class Block(NamedTuple):
    """A block of documents or events that is proven, and where it ends."""

    kind: str
    namespace: str
    part: int
    documents: list
    end: int


class Reading:
    """One archive, read in one of two ways: its outcome, its contents, its blocks up to there."""

    def __init__(self, data, way):
        self.data, self.contents, self.blocks, self.outcome = data, Contents(), [], FINISHED
        try:
            way(self)
        except Refused as refused:
            self.outcome = refused.outcome

    def take(self, entry, documents, end):
        if documents:
            kind = "documents" if entry.kind == KIND_DOCUMENTS else "events"
            name = self.contents.namespace(entry).name
            self.blocks.append(Block(kind, name, entry.part_number, documents, end))


def forward_scan(reading):
    """Front to back, every rule of the specification (section 11)."""
    data, contents, sequence = reading.data, reading.contents, 0
    file_header = check_file_header(data)
    offset, index_offset, header = FILE_HEADER.size, None, None
    while header is None or header.entry.what != FOOTER:
        header = read_block_header(data, offset, sequence, tag_of(file_header))
        contents.place(header.entry)
        raw, documents = read_raw(data, offset, header)
        if header.entry.what == FOOTER:
            index = index_offset, contents.entries[-1].stored_length
            foreseen = FOOTER_FIELDS.pack(file_header, *index, sequence, offset + FOOTER_LENGTH)
            require(raw == foreseen, "a footer that is not what the blocks say")
        index_offset = offset
        contents.add(header.entry, raw)
        offset, sequence = offset + header.entry.block_length, sequence + 1
        reading.take(header.entry, documents, offset)
    require(offset == len(data), "bytes after the footer")


def open_by_tail(data, contents):
    """Takes the contents from footer and index alone (section 9); gives the file header as the footer has it."""
    begin = len(data) - FOOTER_LENGTH
    require(begin >= 0, "shorter than a footer")
    footer = parse_block_header(data[begin : begin + BLOCK_HEADER.size])
    require(footer.entry.what == FOOTER, "not a footer")
    raw, _ = read_raw(data, begin, footer)
    file_header, index_offset, index_stored, blocks, length = FOOTER_FIELDS.unpack(raw)
    tag = tag_of(check_file_header(file_header))
    require(footer.tag == tag and footer.sequence == blocks >= 1 and length == len(data), "footer")
    index = read_block_header(data, index_offset, blocks - 1, tag)
    require(index.entry.what == INDEX and index.entry.stored_length == index_stored, "not the index of the footer")
    require(index_offset + index.entry.block_length == begin, "the index does not end where the footer begins")
    raw, _ = read_raw(data, index_offset, index)
    require(replay_index(raw, contents) == (blocks - 1, index_offset), "the index is not about the blocks before it")
    contents.place(index.entry)
    contents.add(index.entry, raw)
    contents.place(footer.entry)
    return file_header


def replay_index(raw, contents):
    """Gives the number of blocks in the index, and the offset where the last of them ends."""
    fields = Fields(raw)
    number, offset = fields.integer(4), FILE_HEADER.size
    entries = Fields(fields.take(number * INDEX_ENTRY.size))
    for _ in range(number):
        entry = Entry(*INDEX_ENTRY.unpack(entries.take(INDEX_ENTRY.size)))
        check_known(entry)
        check_limits(entry)
        require(entry.what not in (INDEX, FOOTER), "an index or a footer in the index")
        contents.place(entry)
        record = fields.bytes() if entry.kind == KIND_RECORD else b""
        require(entry.kind != KIND_RECORD or len(record) == entry.raw_length, "length of a record in the index")
        contents.add(entry, record)
        offset += entry.block_length
    fields.end()
    return number, offset


def by_tail(reading):
    """Opens by the tail, then reads the file header and every block. Where that does not open, scans forward."""
    data, contents = reading.data, Contents()
    try:
        file_header = open_by_tail(data, contents)
    except Refused:
        return forward_scan(reading)
    reading.contents = contents
    require(check_file_header(data) == file_header, "the file header is not the footer's copy")
    offset, records = FILE_HEADER.size, iter(contents.records)
    for sequence, entry in enumerate(contents.entries):
        header = read_block_header(data, offset, sequence, tag_of(file_header))
        require(header.entry == entry, "a block header is not what the index says")
        raw, documents = read_raw(data, offset, header)
        if entry.kind == KIND_RECORD:
            require(raw == next(records), "a record is not what the index says")
        offset += entry.block_length
        reading.take(entry, documents, offset)


# Vectors (section 14)


def describe_namespace(namespace):
    return {
        "namespace": namespace.name,
        "type": NAMESPACE_TYPES[namespace.type],
        "uuid": namespace.uuid.hex() or None,
        "options": namespace.options.hex(),
        "indexes": [spec.hex() for spec in namespace.indexes],
        "parts": len(namespace.parts),
        "finished": namespace.finished,
        "documents": namespace.totals.documents,
        "bytes": namespace.totals.raw_bytes,
        "digest": f"{namespace.totals.digest:016x}",
    }


def describe(reading):
    """What a sidecar says, but for `by_tail` and `why`."""
    blocks = [
        {"kind": b.kind, "namespace": b.namespace, "part": b.part, "documents": [d.hex() for d in b.documents]}
        for b in reading.blocks
    ]
    found = {"outcome": reading.outcome, "blocks": blocks}
    if reading.outcome == FINISHED:
        found["namespaces"] = [describe_namespace(namespace) for namespace in reading.contents.namespaces]
    return found


def difference(expected, found, where):
    """The first difference of two JSON values, in words, or None."""
    if type(expected) is type(found) is dict and expected.keys() == found.keys():
        pairs = [(expected[key], found[key], f"{where}.{key}") for key in expected]
    elif type(expected) is type(found) is list and len(expected) == len(found):
        pairs = [(e, f, f"{where}[{i}]") for i, (e, f) in enumerate(zip(expected, found))]
    else:
        return None if expected == found else f"{where}: expected {expected!r:.200}, found {found!r:.200}"
    return next(filter(None, (difference(*pair) for pair in pairs)), None)


def check_sidecar(data, sidecar):
    forward, tail = Reading(data, forward_scan), Reading(data, by_tail)
    expected = {key: value for key, value in sidecar.items() if key not in ("why", "by_tail")}
    yield difference(expected, describe(forward), "forward scan")
    yield difference(sidecar["by_tail"], tail.outcome, "by_tail")
    if tail.outcome == FINISHED:
        yield difference(describe(forward), describe(tail), "forward scan and by_tail")


def check_truncations(data):
    """Cut anywhere, a finished archive is unfinished, and gives every block that is whole."""
    blocks = Reading(data, forward_scan).blocks
    for length in range(len(data)):
        reading = Reading(data[:length], forward_scan)
        yield difference(UNFINISHED, reading.outcome, f"cut to {length} bytes")
        whole = [block for block in blocks if block.end <= length]
        if reading.blocks != whole:
            yield f"cut to {length} bytes: expected {len(whole)} blocks, found {len(reading.blocks)} or others"


def check_flips(data):
    """No change of a single bit goes unnoticed, in either way to read."""
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        expected = NOT_AN_ARCHIVE if offset < len(FILE_MAGIC) else DAMAGED
        for way in (forward_scan, by_tail):
            yield difference(expected, Reading(bytes(flipped), way).outcome, f"{way.__name__}, bit flipped at {offset}")


def check_vector(archive):
    sidecar = archive.with_suffix(".json")
    if not (archive.exists() and sidecar.exists()):
        yield "an archive without a sidecar, or a sidecar without an archive"
        return
    data, sidecar = archive.read_bytes(), json.loads(sidecar.read_text("utf-8"))
    yield from check_sidecar(data, sidecar)
    if sidecar["outcome"] == FINISHED:
        yield from check_truncations(data)
        yield from check_flips(data)


def main(directories):
    beside = Path(__file__).resolve().parent
    directories = [Path(name) for name in directories] or [beside / "valid", beside / "invalid"]
    files = (path for directory in directories for path in directory.glob("*") if path.suffix in (".tlz", ".json"))
    passed = failed = 0
    for archive in sorted({path.with_suffix(".tlz") for path in files}):
        wrong = next(filter(None, check_vector(archive)), None)
        if wrong:
            print(f"{archive.parent.name}/{archive.stem}: {wrong}")
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
