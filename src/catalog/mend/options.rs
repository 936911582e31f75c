//! The options of a collection that is on both sides: what `collMod` can change is changed, the rest is told.

use transload_format::Collection;

use super::{Mended, change};
use crate::{
    catalog::{
        meaning::{meant_options, unlike},
        read::is_capped,
    },
    connect::{Doing, Server},
    document::{self, RawBuilder, kind},
    error::Result,
    namespace::Namespace,
};

/// What servers change together: each alone is held against the others.
const VALIDATION: [&[u8]; 3] = [b"validator", b"validationLevel", b"validationAction"];
/// What `listCollections` of old servers says of how a collection came to be, and no server lets one choose.
const OF_ITS_ORIGIN: [&[u8]; 4] = [b"create", b"temp", b"flags", b"autoIndexId"];

/// A command, and the options that it changes.
#[derive(Debug, PartialEq)]
struct Step {
    options: Vec<String>,
    /// What `collMod` is to be told; none where it cannot.
    fields: Option<Vec<u8>>,
}

/// Gives a collection the options of the source.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn mend(
    server: &Server,
    name: &Namespace,
    wanted: &Collection,
    existing: &Collection,
) -> Result<Vec<Mended>> {
    let mut mended = Vec::new();
    for step in steps(&wanted.options, &existing.options) {
        let is_inborn = step.fields.is_none();
        let failed = match step.fields {
            None => Some("servers give it to a collection when they create it, and change it no more".to_owned()),
            Some(fields) => {
                let mut command = RawBuilder::new();
                command.string("collMod", name.collection());
                for field in document::elements(&fields).map_while(Result::ok) {
                    command.append(&field);
                }
                let doing = Doing::new(format!("change the options of {name}"), "collMod", name.database());
                change(server, name, command, &doing, &[]).await?
            }
        };
        for option in step.options {
            let has = |options: &[u8]| document::find(options, option.as_bytes()).is_some();
            let done = match (has(&wanted.options), has(&existing.options)) {
                (true, false) => "set",
                (false, true) => "removed",
                _ => "changed",
            };
            let what = format!("option {option}: {done}");
            mended.push(match &failed {
                Some(why) if is_inborn => Mended::only_anew(name, what, why.clone()),
                _ => Mended::new(name, what, failed.clone()),
            });
        }
    }
    Ok(mended)
}

/// What is to be done about the options in which two collections differ.
fn steps(wanted: &[u8], existing: &[u8]) -> Vec<Step> {
    let (left, right) = (meant_options(wanted, existing), meant_options(existing, wanted));
    let mut names = unlike(&left, &right);
    names.retain(|name| !OF_ITS_ORIGIN.contains(name));
    let mut steps = Vec::new();
    let text = |name: &&[u8]| String::from_utf8_lossy(name).into_owned();
    let validation: Vec<String> = names.iter().filter(|name| VALIDATION.contains(name)).map(text).collect();
    if !validation.is_empty() {
        steps.push(Step { options: validation, fields: Some(validation_of(wanted)) });
    }
    for name in names.iter().filter(|name| !VALIDATION.contains(name)) {
        let both_capped = is_capped(wanted) && is_capped(existing);
        steps.push(Step { options: vec![text(name)], fields: fields(name, wanted, both_capped) });
    }
    steps
}

/// How documents are validated, all of it said: what is left out would stay as it is.
fn validation_of(options: &[u8]) -> Vec<u8> {
    let text = |name: &[u8], default: &'static [u8]| {
        document::find(options, name).and_then(|option| option.string()).unwrap_or(default).to_vec()
    };
    let validator = document::find(options, b"validator").filter(|validator| validator.kind == kind::DOCUMENT);
    RawBuilder::new()
        .document("validator", validator.map_or(&document::EMPTY[..], |validator| validator.value))
        .string("validationLevel", text(b"validationLevel", b"strict"))
        .string("validationAction", text(b"validationAction", b"error"))
        .finish()
}

/// What `collMod` is to be told so that an option becomes what it is among `options`; none where it cannot.
fn fields(name: &[u8], options: &[u8], both_capped: bool) -> Option<Vec<u8>> {
    let mut fields = RawBuilder::new();
    let wanted = document::find(options, name);
    match (name, wanted) {
        (b"expireAfterSeconds", Some(seconds)) => fields.append(&seconds),
        (b"expireAfterSeconds", None) => fields.string(name, "off"),
        (b"changeStreamPreAndPostImages" | b"recordPreImages", Some(images)) => fields.append(&images),
        (b"changeStreamPreAndPostImages", None) => fields.embed(name, |images| {
            images.bool("enabled", false);
        }),
        (b"recordPreImages", None) => fields.bool(name, false),
        (b"size", Some(size)) if both_capped => fields.append_renamed(&size, "cappedSize"),
        (b"max", Some(max)) if both_capped => fields.append_renamed(&max, "cappedMax"),
        // Servers take it for no limit.
        (b"max", None) if both_capped => fields.int32("cappedMax", 0),
        _ => return None,
    };
    Some(fields.finish())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn planned(wanted: &RawDocumentBuf, existing: &RawDocumentBuf) -> Vec<(String, Option<Vec<u8>>)> {
        let steps = steps(wanted.as_bytes(), existing.as_bytes());
        steps.into_iter().map(|step| (step.options.join(" "), step.fields)).collect()
    }

    fn step(options: &str, fields: RawDocumentBuf) -> (String, Option<Vec<u8>>) {
        (options.to_owned(), Some(fields.into_bytes()))
    }

    #[test]
    fn what_goes_without_saying_and_how_a_collection_came_to_be_need_no_change() {
        let existing = rawdoc! { "validationLevel": "strict", "validationAction": "error", "size": 4096.0 };
        assert_eq!(planned(&rawdoc! { "size": 4096, "autoIndexId": true, "temp": true }, &existing), []);
    }

    #[test]
    fn a_validator_is_changed_with_all_that_belongs_to_it() {
        let existing = rawdoc! { "validator": { "x": 1 }, "validationLevel": "moderate" };
        let removed = rawdoc! { "validator": {}, "validationLevel": "strict", "validationAction": "error" };
        assert_eq!(planned(&rawdoc! {}, &existing), [step("validator validationLevel", removed)]);
        let wanted = rawdoc! { "validator": { "x": 2 }, "validationLevel": "moderate", "validationAction": "warn" };
        assert_eq!(planned(&wanted, &existing), [step("validator validationAction", wanted.clone())]);
    }

    #[test]
    fn limits_are_changed_where_both_are_capped_alone() {
        let wanted = rawdoc! { "capped": true, "size": 4096 };
        let existing = rawdoc! { "capped": true, "size": 8192, "max": 5 };
        let changed = [step("size", rawdoc! { "cappedSize": 4096 }), step("max", rawdoc! { "cappedMax": 0 })];
        assert_eq!(planned(&wanted, &existing), changed);
        assert_eq!(planned(&wanted, &rawdoc! {}), [("capped".to_owned(), None), ("size".to_owned(), None)]);
    }

    #[test]
    fn documents_expire_as_on_the_source() {
        let (wanted, none) = (rawdoc! { "expireAfterSeconds": 60_i64 }, rawdoc! {});
        assert_eq!(planned(&wanted, &none), [step("expireAfterSeconds", wanted.clone())]);
        assert_eq!(planned(&none, &wanted), [step("expireAfterSeconds", rawdoc! { "expireAfterSeconds": "off" })]);
    }
}
