//! The walk through a document's levels, with a stack of its own.
//!
//! Recursion would put the nesting of foreign bytes on the thread's stack. Servers allow 200 levels, but bytes out
//! of a file may hold two million in 16 MB.

use std::fmt::Write;

use super::{Stop, scalar, text};
use crate::document::{Element, Elements, Malformed, elements, kind};

/// A document or array that has been opened, and what closes it.
struct Level<'a> {
    elements: Elements<'a>,
    /// Where its bytes begin in the bytes of the whole.
    base: usize,
    closing: &'static str,
    named: bool,
    empty: bool,
}

pub(super) fn document(doc: &[u8], out: &mut impl Write) -> Result<(), Stop> {
    out.write_char('{')?;
    levels(Level::new(doc, 0, "}"), out)
}

pub(super) fn value(element: &Element<'_>, out: &mut impl Write) -> Result<(), Stop> {
    match begin(element, 0, out)? {
        Some(level) => levels(level, out),
        None => Ok(()),
    }
}

fn levels<'a>(outermost: Level<'a>, out: &mut impl Write) -> Result<(), Stop> {
    let mut levels = vec![outermost];
    while let Some(level) = levels.last_mut() {
        let at = level.base + level.elements.offset();
        match level.elements.next() {
            None => {
                out.write_str(level.closing)?;
                levels.pop();
            }
            Some(Err(Malformed { offset, reason })) => {
                return Err(Stop::Malformed(Malformed { offset: level.base + offset, reason }));
            }
            Some(Ok(element)) => {
                if !std::mem::take(&mut level.empty) {
                    out.write_char(',')?;
                }
                if level.named {
                    text::quoted(element.name, out)?;
                    out.write_char(':')?;
                }
                levels.extend(begin(&element, at + element.whole.len() - element.value.len(), out)?);
            }
        }
    }
    Ok(())
}

/// Writes a value that holds no others, or opens one that does; `base` is where its bytes begin.
fn begin<'a>(element: &Element<'a>, base: usize, out: &mut impl Write) -> Result<Option<Level<'a>>, Stop> {
    let malformed = |reason| Stop::Malformed(Malformed { offset: base, reason });
    match element.kind {
        kind::DOCUMENT => {
            out.write_char('{')?;
            Ok(Some(Level::new(element.value, base, "}")))
        }
        kind::ARRAY => {
            out.write_char('[')?;
            Ok(Some(Level { named: false, ..Level::new(element.value, base, "]") }))
        }
        kind::CODE_WITH_SCOPE => {
            let (code, scope) = scalar::code_and_scope(element.value).map_err(malformed)?;
            out.write_str(r#"{"$code":"#)?;
            text::quoted(code, out)?;
            out.write_str(r#","$scope":{"#)?;
            Ok(Some(Level::new(scope, base + element.value.len() - scope.len(), "}}")))
        }
        _ => {
            let scalar = scalar::Scalar::read(element.kind, element.value).map_err(malformed)?;
            scalar.write(out)?;
            Ok(None)
        }
    }
}

impl<'a> Level<'a> {
    fn new(doc: &'a [u8], base: usize, closing: &'static str) -> Self {
        Level { elements: elements(doc), base, closing, named: true, empty: true }
    }
}
