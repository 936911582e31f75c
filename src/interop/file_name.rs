//! The names of a mongodump directory's files, and the collections that they stand for.

use std::path::Path;

const METADATA: [&str; 2] = [".metadata.json", ".metadata.json.gz"];

/// Whether a file is called as the metadata of a collection is.
pub(super) fn is_metadata(path: &Path) -> bool {
    stem(path).is_some_and(|stem| !stem.is_empty())
}

/// The collection that the name of a metadata file stands for. A long one is cut there, and stands whole in the file.
pub(super) fn collection(path: &Path) -> Option<String> {
    let stem = stem(path)?;
    let mut bytes = Vec::with_capacity(stem.len());
    let mut rest = stem.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%').and_then(hexadecimal);
        match (first, escaped) {
            (_, Some(byte)) => bytes.push(byte),
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn stem(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    METADATA.iter().find_map(|suffix| name.strip_suffix(suffix))
}

fn hexadecimal(digits: &[u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_mongodump_writes_them() {
        for (file, name) in [
            ("orders.metadata.json", Some("orders")),
            ("a.b.metadata.json.gz", Some("a.b")),
            ("a+b%2Fc%C3%A9.metadata.json", Some("a b/cé")),
            ("100%25.metadata.json", Some("100%")),
            ("50%.metadata.json", Some("50%")),
            ("orders.bson", None),
        ] {
            let path = Path::new("dump/shop").join(file);
            assert_eq!(collection(&path).as_deref(), name, "{file}");
            assert_eq!(is_metadata(&path), name.is_some(), "{file}");
        }
        assert!(!is_metadata(Path::new("dump/shop/.metadata.json")));
    }
}
