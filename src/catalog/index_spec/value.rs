//! The values of options, in the types that servers take.

use super::{
    key,
    number::Number,
    option::{IndexOption, OptionType},
    repair::RepairKind,
    ttl::{self, Expiry},
    work::Work,
};
use crate::document::{self, Element, RawBuilder, kind};

/// The storage engines of the servers that there are.
const ENGINES: [&[u8]; 2] = [b"wiredTiger", b"inMemory"];

/// Whether servers take a value for true: all but false, zero, and none.
pub(super) fn is_true(element: &Element<'_>) -> bool {
    match element.kind {
        kind::BOOL => element.value != [0],
        kind::NULL | kind::UNDEFINED => false,
        _ => {
            Number::of(element).is_none_or(|number| number.is_nan() || number.truncated() != 0 || !number.is_integral())
        }
    }
}

/// Puts an option into the clean spec, in the form that servers take.
pub(super) fn keep(
    clean: &mut RawBuilder,
    option: &Element<'_>,
    known: &IndexOption,
    pattern: &[u8],
    work: &mut Work,
) -> Result<(), String> {
    let name = known.name;
    let mut drop = |kind, reason: &str| {
        work.repair(kind, name, Some(option), None, reason);
        Ok(())
    };
    match known.value {
        OptionType::Bool | OptionType::StrictBool if option.kind == kind::BOOL => {}
        OptionType::Bool | OptionType::StrictBool => {
            let truth = is_true(option);
            let reason = "servers take every value but false, 0 and none for true";
            work.repair(RepairKind::Type, name, Some(option), Some(truth.to_string()), reason);
            clean.bool(name, truth);
            return Ok(());
        }
        OptionType::Number if Number::of(option).is_some() => {}
        OptionType::Number => match number_in_text(option) {
            Some(number) => {
                work.repair(RepairKind::Type, name, Some(option), Some(number.to_string()), "it must be a number");
                clean.int32(name, number);
                return Ok(());
            }
            None => return drop(RepairKind::Type, "it must be a number"),
        },
        OptionType::String if option.string().is_none() => return drop(RepairKind::Type, "it must be a text"),
        OptionType::String if name == "name" && [&b""[..], b"*"].contains(&option.string().unwrap_or_default()) => {
            return drop(RepairKind::Name, "servers take no such name");
        }
        OptionType::String => {}
        OptionType::Weights if option.kind == kind::DOCUMENT || option.kind == kind::STRING => {}
        OptionType::Weights => return drop(RepairKind::Type, "it must be a document"),
        OptionType::Essential if option.kind != kind::DOCUMENT => {
            return Err(format!("its {name} is no document, and without it the index would be another"));
        }
        OptionType::Essential if is_empty(option) && name != "partialFilterExpression" => {
            return drop(RepairKind::Null, "it says nothing");
        }
        OptionType::Essential => {}
        OptionType::Document if option.kind != kind::DOCUMENT => {
            return drop(RepairKind::Type, "it must be a document");
        }
        OptionType::Document => {
            let other =
                document::elements(option.value).map_while(Result::ok).any(|engine| !ENGINES.contains(&engine.name));
            if other {
                return drop(RepairKind::Target, "it is for a storage engine that the target has not");
            }
        }
        OptionType::Seconds => return keep_seconds(clean, option, pattern, work),
        OptionType::IndexVersion => match Number::of(option) {
            Some(version) if version.is_integral() && [1, 2].contains(&version.truncated()) => {}
            _ => {
                return drop(
                    RepairKind::Outdated,
                    "servers build indexes of version 1 and 2, and 2 unless told otherwise",
                );
            }
        },
    }
    clean.append(option);
    Ok(())
}

fn keep_seconds(clean: &mut RawBuilder, option: &Element<'_>, pattern: &[u8], work: &mut Work) -> Result<(), String> {
    const NAME: &str = "expireAfterSeconds";
    let expiry = match key::len(pattern) {
        1 => ttl::decide(option),
        _ => Expiry::Remove("servers expire nothing by an index on several fields"),
    };
    match expiry {
        Expiry::Keep => {
            clean.append(option);
        }
        Expiry::Seconds(seconds, reason) => {
            work.repair(RepairKind::Expiry, NAME, Some(option), Some(seconds.to_string()), reason);
            clean.int32(NAME, seconds);
        }
        Expiry::Remove(reason) => work.repair(RepairKind::Expiry, NAME, Some(option), None, reason),
    }
    Ok(())
}

fn is_empty(element: &Element<'_>) -> bool {
    document::elements(element.value).next().is_none()
}

fn number_in_text(element: &Element<'_>) -> Option<i32> {
    std::str::from_utf8(element.string()?).ok()?.trim().parse().ok()
}
