//! A run of documents back to back, as batches and blocks hold them, split at its boundaries.

use super::malformed::Malformed;

/// The documents in `bytes`, one after the other with nothing between.
///
/// Checked are each one's length (at least 5, within `bytes`) and final NUL, not its fields. The iterator ends after
/// its first error: behind it no boundary can be trusted.
pub fn documents(bytes: &[u8]) -> Documents<'_> {
    Documents { len: bytes.len(), rest: bytes }
}

/// Iterator over a run of documents. It ends after its first error.
#[derive(Clone, Debug)]
pub struct Documents<'a> {
    len: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match first_document(self.rest) {
            Ok((document, rest)) => {
                self.rest = rest;
                Some(Ok(document))
            }
            Err(reason) => {
                let offset = self.len - self.rest.len();
                self.rest = &[];
                Some(Err(Malformed { offset, reason }))
            }
        }
    }
}

impl std::iter::FusedIterator for Documents<'_> {}

fn first_document(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let length = bytes.first_chunk().ok_or("shorter than a document's length")?;
    let length = match usize::try_from(i32::from_le_bytes(*length)) {
        Ok(length) if length >= 5 => length,
        _ => return Err("a length that no document has"),
    };
    let (document, rest) = bytes.split_at_checked(length).ok_or("a document reaches past the end")?;
    match document.last() {
        Some(0) => Ok((document, rest)),
        _ => Err("no NUL at a document's end"),
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_run_is_split_into_what_it_was_built_from() {
        let docs = [rawdoc! {}, rawdoc! { "a": "x" }, rawdoc! { "_id": 1, "b": [1, 2] }];
        let run: Vec<u8> = docs.iter().flat_map(|doc| doc.as_bytes()).copied().collect();
        let split: Vec<&[u8]> = documents(&run).collect::<Result<_, _>>().unwrap();
        assert_eq!(split, docs.iter().map(|doc| doc.as_bytes()).collect::<Vec<_>>());
        assert_eq!(documents(b"").count(), 0);
    }

    #[test]
    fn a_broken_boundary_ends_the_run_with_its_offset() {
        let breaks: [(&[u8], &str); 5] = [
            (b"\x05\0", "shorter than a document's length"),
            (b"\x04\0\0\0\0", "a length that no document has"),
            (b"\xff\xff\xff\xff\0", "a length that no document has"),
            (b"\x06\0\0\0\0", "a document reaches past the end"),
            (b"\x05\0\0\0\x01", "no NUL at a document's end"),
        ];
        for (broken, reason) in breaks {
            let run = [b"\x05\0\0\0\0", broken].concat();
            let mut documents = documents(&run);
            assert_eq!(documents.next(), Some(Ok(&b"\x05\0\0\0\0"[..])));
            assert_eq!(documents.next(), Some(Err(Malformed { offset: 5, reason })));
            assert_eq!(documents.next(), None);
        }
    }
}
