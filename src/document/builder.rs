//! Writes raw documents field by field, out of values that were never decoded.
//!
//! bson's own raw buffer takes decoded values and UTF-8 names only; an `_id` or an index spec copied through it
//! would not be the bytes that the server sent.

use super::{Element, elements::position_of_nul, kind};

/// Builds one raw document.
///
/// Names are cut at a NUL, which BSON cannot hold in one. Lengths are `i32`, as in BSON: a document of 2 GiB or more
/// is malformed, and no server takes one above 16 MiB.
#[derive(Clone, Debug)]
pub struct RawBuilder {
    bytes: Vec<u8>,
    start: usize,
}

impl Default for RawBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RawBuilder {
    /// An empty document.
    pub fn new() -> Self {
        Self::behind(Vec::new())
    }

    /// An empty document behind what `bytes` holds already, so that a run of documents is built in one buffer:
    /// [`finish`](Self::finish) gives the whole buffer back.
    pub fn behind(bytes: Vec<u8>) -> Self {
        let mut builder = RawBuilder { start: bytes.len(), bytes };
        builder.open();
        builder
    }

    /// Appends a field of type `kind` with the raw `value`, which must be one of that type.
    pub fn append_element(&mut self, kind: u8, name: impl AsRef<[u8]>, value: &[u8]) -> &mut Self {
        self.head(kind, name.as_ref());
        self.bytes.extend_from_slice(value);
        self
    }

    /// Appends a field as it is.
    pub fn append(&mut self, element: &Element<'_>) -> &mut Self {
        self.bytes.extend_from_slice(element.whole);
        self
    }

    /// Appends a field under another name.
    pub fn append_renamed(&mut self, element: &Element<'_>, new_name: impl AsRef<[u8]>) -> &mut Self {
        self.append_element(element.kind, new_name, element.value)
    }

    /// Appends an embedded document, given as a whole one.
    pub fn document(&mut self, name: impl AsRef<[u8]>, document: &[u8]) -> &mut Self {
        self.append_element(kind::DOCUMENT, name, document)
    }

    /// Appends an embedded document that `fill` writes in place.
    pub fn embed(&mut self, name: impl AsRef<[u8]>, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.embed_as(kind::DOCUMENT, name.as_ref(), fill)
    }

    /// Appends an array that `fill` writes in place. Its fields are to be named `0`, `1`, … without leading zeros:
    /// servers refuse a command with others (6.0.5 with code 40422).
    pub fn embed_array(&mut self, name: impl AsRef<[u8]>, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.embed_as(kind::ARRAY, name.as_ref(), fill)
    }

    /// Appends a 32-bit integer.
    pub fn int32(&mut self, name: impl AsRef<[u8]>, value: i32) -> &mut Self {
        self.append_element(kind::INT32, name, &value.to_le_bytes())
    }

    /// Appends a 64-bit integer.
    pub fn int64(&mut self, name: impl AsRef<[u8]>, value: i64) -> &mut Self {
        self.append_element(kind::INT64, name, &value.to_le_bytes())
    }

    /// Appends a double.
    pub fn double(&mut self, name: impl AsRef<[u8]>, value: f64) -> &mut Self {
        self.append_element(kind::DOUBLE, name, &value.to_le_bytes())
    }

    /// Appends a date, in milliseconds since 1970.
    pub fn date(&mut self, name: impl AsRef<[u8]>, milliseconds: i64) -> &mut Self {
        self.append_element(kind::DATE, name, &milliseconds.to_le_bytes())
    }

    /// Appends a boolean.
    pub fn bool(&mut self, name: impl AsRef<[u8]>, value: bool) -> &mut Self {
        self.append_element(kind::BOOL, name, &[u8::from(value)])
    }

    /// Appends a string; ill-formed UTF-8 goes in as it is.
    pub fn string(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.string_of(name, &[value.as_ref()])
    }

    /// Appends a string that is made of `parts`, without a buffer to join them in.
    pub fn string_of(&mut self, name: impl AsRef<[u8]>, parts: &[&[u8]]) -> &mut Self {
        self.head(kind::STRING, name.as_ref());
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.extend_from_slice(&length(len + 1));
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(0);
        self
    }

    /// Appends binary data of a subtype other than 2, which has a second length of its own.
    pub fn binary(&mut self, name: impl AsRef<[u8]>, subtype: u8, value: &[u8]) -> &mut Self {
        self.head(kind::BINARY, name.as_ref());
        self.bytes.extend_from_slice(&length(value.len()));
        self.bytes.push(subtype);
        self.bytes.extend_from_slice(value);
        self
    }

    /// The document. What is appended after this starts a new one.
    pub fn finish(&mut self) -> Vec<u8> {
        let RawBuilder { mut bytes, start } = std::mem::take(self);
        close(&mut bytes, start);
        bytes
    }

    fn embed_as(&mut self, kind: u8, name: &[u8], fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.head(kind, name);
        let start = self.bytes.len();
        self.open();
        fill(self);
        close(&mut self.bytes, start);
        self
    }

    fn head(&mut self, kind: u8, name: &[u8]) {
        self.bytes.push(kind);
        let name = position_of_nul(name).and_then(|end| name.get(..end)).unwrap_or(name);
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
    }

    fn open(&mut self) {
        self.bytes.extend_from_slice(&[0; 4]);
    }
}

fn close(bytes: &mut Vec<u8>, start: usize) {
    bytes.push(0);
    let length = length(bytes.len() - start);
    if let Some(place) = bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = length;
    }
}

fn length(len: usize) -> [u8; 4] {
    i32::try_from(len).unwrap_or(i32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, rawdoc, spec::BinarySubtype};

    use super::{
        super::{elements, id},
        *,
    };

    #[test]
    fn a_built_document_equals_the_one_that_bson_builds() {
        let binary = bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
        let date = DateTime::from_millis(5);
        let expected = rawdoc! {
            "a": 1, "b": 2i64, "c": 0.5, "d": date, "e": true, "f": "x", "g": binary, "h": { "i": 1 }, "j": ["k"],
        };
        let built = RawBuilder::new()
            .int32("a", 1)
            .int64("b", 2)
            .double("c", 0.5)
            .date("d", 5)
            .bool("e", true)
            .string("f", "x")
            .binary("g", 4, &[7; 16])
            .embed("h", |h| {
                h.int32("i", 1);
            })
            .embed_array("j", |j| {
                j.string("0", "k");
            })
            .finish();
        assert_eq!(built, expected.as_bytes());
    }

    #[test]
    fn a_document_copied_without_one_field_keeps_the_bytes_of_the_others() {
        let spec = RawBuilder::new()
            .int32("v", 2)
            .string_of(b"bad \xff name", &[b"bad ", b"", b"\xff text"])
            .append_element(kind::NULL, "safe", b"")
            .int32("v", 3)
            .finish();
        let mut copy = RawBuilder::new();
        for element in elements(&spec).map(Result::unwrap).filter(|element| element.name != b"safe") {
            copy.append(&element);
        }
        let expected =
            RawBuilder::new().int32("v", 2).string(b"bad \xff name", b"bad \xff text").int32("v", 3).finish();
        assert_eq!(copy.finish(), expected);
    }

    #[test]
    fn a_raw_id_becomes_a_filter_of_its_own() {
        let doc = rawdoc! { "_id": { "b": 1, "a": 2.5 }, "x": 1 };
        let filter = RawBuilder::new().append(&id(doc.as_bytes()).unwrap()).finish();
        assert_eq!(filter, rawdoc! { "_id": { "b": 1, "a": 2.5 } }.as_bytes());
        let renamed = RawBuilder::new().append_renamed(&id(doc.as_bytes()).unwrap(), "min").finish();
        assert_eq!(renamed, rawdoc! { "min": { "b": 1, "a": 2.5 } }.as_bytes());
        let whole = RawBuilder::new().document("q", &filter).finish();
        assert_eq!(whole, rawdoc! { "q": { "_id": { "b": 1, "a": 2.5 } } }.as_bytes());
    }

    #[test]
    fn documents_can_be_built_one_behind_the_other() {
        let first = RawBuilder::new().int32("a", 1).finish();
        let both = RawBuilder::behind(first.clone()).int32("b", 2).finish();
        assert_eq!(both, [first, rawdoc! { "b": 2 }.into_bytes()].concat());
    }

    #[test]
    fn a_name_is_cut_at_a_nul_and_the_document_stays_whole() {
        assert_eq!(RawBuilder::new().int32("a\0b", 1).finish(), rawdoc! { "a": 1 }.as_bytes());
    }
}
