//! The names of indexes: no two of a collection have the same.

use super::{Sanitized, Verdict, repair::RepairKind, work::Work};
use crate::document::{self, RawBuilder};

/// The name of the index on `_id`, which no other may have.
const OF_ID: &str = "_id_";

/// The name of what a clustered collection is ordered by.
pub(super) fn of_clustered_index(options: &[u8]) -> Option<String> {
    let clustered = document::find(options, b"clusteredIndex")?;
    let name = document::find(clustered.value, b"name")?;
    Some(String::from_utf8_lossy(name.string()?).into_owned())
}

/// Gives another name to whatever is called as one before it. Names that are fine as they are stay.
pub(super) fn make_unique(all: &mut [Sanitized], options: &[u8]) {
    let clustered = of_clustered_index(options);
    let reserved = |name: &str| name == OF_ID || clustered.as_deref() == Some(name);
    let is_built = |sanitized: &Sanitized| sanitized.to_build().is_some();
    for place in 0..all.len() {
        let (before, after) = all.split_at_mut(place);
        let Some((own, after)) = after.split_first_mut() else { return };
        let in_use =
            |others: &[Sanitized], name: &str| others.iter().any(|other| is_built(other) && other.name == name);
        if is_built(own) && (reserved(&own.name) || in_use(before, &own.name)) {
            let taken = |name: &str| reserved(name) || in_use(before, name) || in_use(after, name);
            rename(own, taken);
        }
    }
}

fn rename(sanitized: &mut Sanitized, taken: impl Fn(&str) -> bool) {
    let Some(spec) = sanitized.to_build() else { return };
    let free = (2..).map(|number| format!("{}_{number}", sanitized.name)).find(|name| !taken(name));
    let free = free.unwrap_or_default();
    let mut renamed = RawBuilder::new();
    document::elements(spec).map_while(Result::ok).for_each(|option| {
        match option.name {
            b"name" => renamed.string("name", &free),
            _ => renamed.append(&option),
        };
    });
    let mut work = Work::default();
    let before = document::find(&sanitized.original, b"name");
    let json = serde_json::Value::from(free.as_str()).to_string();
    work.repair(RepairKind::Name, "name", before.as_ref(), Some(json), "another index has this name");
    sanitized.repairs.append(&mut work.repairs);
    (sanitized.name, sanitized.verdict) = (free, Verdict::Build(renamed.finish()));
}
