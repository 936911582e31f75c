//! What one collection cannot have together: a second text index, and more indexes than servers take.

use super::{Context, Sanitized, Verdict, key, same::Served};
use crate::document::{self, Element};

/// The indexes of a collection, with the one on `_id`.
const INDEXES: usize = 64;

/// Refuses all text indexes but the first. One that says the same stays: it is merged into the first.
pub(super) fn refuse_texts(all: &mut [Sanitized]) {
    let mut first: Option<(String, Vec<u8>)> = None;
    for sanitized in all {
        let Some(spec) = sanitized.to_build() else { continue };
        let pattern = document::find(spec, b"key").map_or(&[][..], |key| key.value);
        if key::kind_of(pattern) != b"text" {
            continue;
        }
        match &first {
            None => first = Some((sanitized.name.clone(), spec.to_vec())),
            Some((_, other)) if meaning(other) == meaning(spec) => {}
            Some((name, _)) => {
                let reason = format!("a collection has one text index, and {name} is another one");
                sanitized.verdict = Verdict::Refused(reason);
            }
        }
    }
}

/// All that a spec says but its name, in one order.
fn meaning(spec: &[u8]) -> Vec<Element<'_>> {
    let mut options: Vec<Element<'_>> =
        document::elements(spec).map_while(Result::ok).filter(|option| option.name != b"name").collect();
    options.sort_by_key(|option| option.name);
    options
}

/// Refuses what comes after as many indexes as a collection takes, and what that was to serve for.
pub(super) fn refuse_surplus(all: &mut [Sanitized], served: &mut Vec<Served>, context: &Context<'_>) {
    let has_id = !context.is_time_series() && document::find(context.options, b"clusteredIndex").is_none();
    let room = INDEXES.saturating_sub(usize::from(has_id));
    let is_built = |place: &usize| all.get(*place).is_some_and(|sanitized| sanitized.to_build().is_some());
    let surplus: Vec<usize> = (0..all.len()).filter(is_built).skip(room).collect();
    let is_lost = |served: &Served| surplus.contains(&served.by);
    let lost: Vec<usize> = served.iter().filter(|served| is_lost(served)).map(|served| served.index).collect();
    served.retain(|served| !is_lost(served));
    for place in surplus.iter().chain(&lost) {
        if let Some(sanitized) = all.get_mut(*place) {
            let with_id = if has_id { ", with the one on _id" } else { "" };
            let reason = format!("a collection has {INDEXES} indexes at most{with_id}, and {room} come before it");
            sanitized.verdict = Verdict::Refused(reason);
        }
    }
}
