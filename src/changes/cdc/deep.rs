//! Whether an event is nested so deeply that no server stores it inside of another document.

use crate::document::{elements, kind};

/// Servers store 180 levels; the document around the event is one of them.
const LEVELS: usize = 170;
/// The least that a level takes: type, an empty name, length, NUL.
const LEVEL_BYTES: usize = 7;

/// Whether it has more levels than are sure to be stored.
pub(super) fn is_too_deep(event: &[u8]) -> bool {
    // Most events are too short for it.
    if event.len() < LEVELS * LEVEL_BYTES {
        return false;
    }
    let mut open = vec![elements(event)];
    while let Some(level) = open.last_mut() {
        match level.next() {
            Some(Ok(element)) if matches!(element.kind, kind::DOCUMENT | kind::ARRAY) => {
                if open.len() >= LEVELS {
                    return true;
                }
                open.push(elements(element.value));
            }
            // The scope of code is a document too.
            Some(Ok(element)) if element.kind == kind::CODE_WITH_SCOPE => return true,
            Some(Ok(_)) => {}
            // Kept as it is, whatever it is.
            Some(Err(_)) => return true,
            None => drop(open.pop()),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{EMPTY, RawBuilder};

    #[test]
    fn levels_are_counted_and_not_fields() {
        let nested =
            |levels| (1..levels).fold(EMPTY.to_vec(), |inner, _| RawBuilder::new().document("a", &inner).finish());
        assert!(!is_too_deep(&nested(LEVELS)));
        assert!(is_too_deep(&nested(LEVELS + 1)));
        let mut wide = RawBuilder::new();
        for number in 0..1000 {
            wide.document(number.to_string(), &EMPTY);
        }
        assert!(!is_too_deep(&wide.finish()));
    }
}
