//! Bytes as the three kinds of text that JSON holds them in: quoted strings, hex, base64.

use std::fmt::{self, Display, Formatter, Write};

/// Writes `bytes` as a JSON string; each ill-formed sequence becomes one U+FFFD.
pub(super) fn quoted(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        escaped(chunk.valid(), out)?;
        if !chunk.invalid().is_empty() {
            out.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    out.write_char('"')
}

fn escaped(text: &str, out: &mut impl Write) -> fmt::Result {
    let mut plain = text;
    while let Some(at) = plain.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        // What is escaped is ASCII, so both cuts are at the boundaries of characters.
        let (before, rest) = plain.split_at(at);
        out.write_str(before)?;
        let mut chars = rest.chars();
        match chars.next() {
            Some('"') => out.write_str("\\\"")?,
            Some('\\') => out.write_str("\\\\")?,
            Some('\u{8}') => out.write_str("\\b")?,
            Some('\t') => out.write_str("\\t")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\u{c}') => out.write_str("\\f")?,
            Some('\r') => out.write_str("\\r")?,
            Some(control) => write!(out, "\\u{:04x}", u32::from(control))?,
            None => {}
        }
        plain = chars.as_str();
    }
    out.write_str(plain)
}

/// Shows bytes in lower-case hex.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Shows bytes in base64, padded.
pub(super) struct Base64<'a>(pub(super) &'a [u8]);

impl Display for Base64<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(3) {
            let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for i in 0..4 {
                f.write_char(if i <= group.len() { base64_digit(bits >> (18 - 6 * i)) } else { '=' })?;
            }
        }
        Ok(())
    }
}

/// The digit for the lowest six bits.
fn base64_digit(bits: u32) -> char {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    DIGITS.get((bits & 63) as usize).copied().map_or('=', char::from)
}
