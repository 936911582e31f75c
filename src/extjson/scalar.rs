//! The values that hold no others: their bytes read, their canonical Extended JSON written.

use std::fmt::{self, Write};

use super::text::{Base64, Hex, quoted};
use crate::document::kind;

/// A value without fields of its own. Text is not always UTF-8.
pub(super) enum Scalar<'a> {
    Double(f64),
    String(&'a [u8]),
    Binary { subtype: u8, bytes: &'a [u8] },
    Undefined,
    ObjectId([u8; 12]),
    Bool(bool),
    Date(i64),
    Null,
    Regex { pattern: &'a [u8], options: &'a [u8] },
    DbPointer { namespace: &'a [u8], id: [u8; 12] },
    Code(&'a [u8]),
    Symbol(&'a [u8]),
    Int32(i32),
    Timestamp { time: u32, increment: u32 },
    Int64(i64),
    Decimal128(bson::Decimal128),
    MinKey,
    MaxKey,
}

impl<'a> Scalar<'a> {
    pub(super) fn read(kind: u8, value: &'a [u8]) -> Result<Self, &'static str> {
        Ok(match kind {
            kind::DOUBLE => Scalar::Double(f64::from_le_bytes(fixed(value)?)),
            kind::STRING => Scalar::String(string(value)?),
            kind::BINARY => binary(value)?,
            kind::UNDEFINED => Scalar::Undefined,
            kind::OBJECT_ID => Scalar::ObjectId(fixed(value)?),
            kind::BOOL => Scalar::Bool(fixed(value)? != [0]),
            kind::DATE => Scalar::Date(i64::from_le_bytes(fixed(value)?)),
            kind::NULL => Scalar::Null,
            kind::REGEX => {
                let mut texts = value.split(|&byte| byte == 0);
                let (Some(pattern), Some(options)) = (texts.next(), texts.next()) else { return Err(SHORT) };
                Scalar::Regex { pattern, options }
            }
            kind::DB_POINTER => {
                let (namespace, id) = value.split_last_chunk().ok_or(SHORT)?;
                Scalar::DbPointer { namespace: string(namespace)?, id: *id }
            }
            kind::CODE => Scalar::Code(string(value)?),
            kind::SYMBOL => Scalar::Symbol(string(value)?),
            kind::INT32 => Scalar::Int32(i32::from_le_bytes(fixed(value)?)),
            kind::TIMESTAMP => {
                let [i0, i1, i2, i3, t0, t1, t2, t3] = fixed(value)?;
                let time = u32::from_le_bytes([t0, t1, t2, t3]);
                Scalar::Timestamp { time, increment: u32::from_le_bytes([i0, i1, i2, i3]) }
            }
            kind::INT64 => Scalar::Int64(i64::from_le_bytes(fixed(value)?)),
            kind::DECIMAL128 => Scalar::Decimal128(bson::Decimal128::from_bytes(fixed(value)?)),
            kind::MIN_KEY => Scalar::MinKey,
            kind::MAX_KEY => Scalar::MaxKey,
            _ => return Err("an unknown type"),
        })
    }

    pub(super) fn write(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Scalar::Double(value) => {
                out.write_str(r#"{"$numberDouble":""#)?;
                double(*value, out)?;
                out.write_str(r#""}"#)
            }
            Scalar::String(text) => quoted(text, out),
            Scalar::Binary { subtype, bytes } => {
                write!(out, r#"{{"$binary":{{"base64":"{}","subType":"{subtype:02x}"}}}}"#, Base64(bytes))
            }
            Scalar::Undefined => out.write_str(r#"{"$undefined":true}"#),
            Scalar::ObjectId(id) => write!(out, r#"{{"$oid":"{}"}}"#, Hex(id)),
            Scalar::Bool(value) => write!(out, "{value}"),
            Scalar::Date(value) => write!(out, r#"{{"$date":{{"$numberLong":"{value}"}}}}"#),
            Scalar::Null => out.write_str("null"),
            Scalar::Regex { pattern, options } => {
                out.write_str(r#"{"$regularExpression":{"pattern":"#)?;
                quoted(pattern, out)?;
                out.write_str(r#","options":"#)?;
                quoted(options, out)?;
                out.write_str("}}")
            }
            Scalar::DbPointer { namespace, id } => {
                out.write_str(r#"{"$dbPointer":{"$ref":"#)?;
                quoted(namespace, out)?;
                write!(out, r#","$id":{{"$oid":"{}"}}}}}}"#, Hex(id))
            }
            Scalar::Code(text) => wrapped("$code", text, out),
            Scalar::Symbol(text) => wrapped("$symbol", text, out),
            Scalar::Int32(value) => write!(out, r#"{{"$numberInt":"{value}"}}"#),
            Scalar::Timestamp { time, increment } => {
                write!(out, r#"{{"$timestamp":{{"t":{time},"i":{increment}}}}}"#)
            }
            Scalar::Int64(value) => write!(out, r#"{{"$numberLong":"{value}"}}"#),
            Scalar::Decimal128(value) => write!(out, r#"{{"$numberDecimal":"{value}"}}"#),
            Scalar::MinKey => out.write_str(r#"{"$minKey":1}"#),
            Scalar::MaxKey => out.write_str(r#"{"$maxKey":1}"#),
        }
    }
}

/// The two parts of code with scope: the code's text, and the scope's document.
pub(super) fn code_and_scope(value: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let parts = value.get(4..).ok_or(SHORT)?;
    let length = parts.first_chunk().ok_or(SHORT)?;
    let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| SHORT)?;
    let (code, scope) = parts.split_at_checked(length.saturating_add(4)).ok_or(SHORT)?;
    Ok((string(code)?, scope))
}

const SHORT: &str = "a value that is not as long as its type";

fn fixed<const LEN: usize>(value: &[u8]) -> Result<[u8; LEN], &'static str> {
    value.try_into().map_err(|_| SHORT)
}

/// A string's text, without its length and its NUL.
fn string(value: &[u8]) -> Result<&[u8], &'static str> {
    value.get(4..value.len().saturating_sub(1)).ok_or(SHORT)
}

fn binary(value: &[u8]) -> Result<Scalar<'_>, &'static str> {
    let (&subtype, bytes) = value.get(4..).and_then(<[u8]>::split_first).ok_or(SHORT)?;
    // The old subtype repeats the length inside, and JSON leaves that out; where it does not fit, all bytes are shown.
    let inner = match (subtype, bytes.split_first_chunk()) {
        (2, Some((length, inner))) if usize::try_from(i32::from_le_bytes(*length)) == Ok(inner.len()) => inner,
        _ => bytes,
    };
    Ok(Scalar::Binary { subtype, bytes: inner })
}

/// The shortest decimal that reads back as the same double, in the specification's spelling.
fn double(value: f64, out: &mut impl Write) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("NaN");
    }
    if value.is_infinite() {
        return out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let rust = format!("{value:?}");
    match rust.split_once('e') {
        None => out.write_str(&rust),
        Some((digits, exponent)) if exponent.starts_with('-') => write!(out, "{digits}E{exponent}"),
        Some((digits, exponent)) => write!(out, "{digits}E+{exponent}"),
    }
}

fn wrapped(name: &str, text: &[u8], out: &mut impl Write) -> fmt::Result {
    write!(out, r#"{{"{name}":"#)?;
    quoted(text, out)?;
    out.write_char('}')
}
