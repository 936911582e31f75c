//! Every index option that servers from 2.6 to 8.x take: its type, and the releases that know it.

use crate::connect::Version;

/// What an option's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionType {
    /// A boolean or a number.
    Bool,
    /// A boolean and nothing else.
    StrictBool,
    /// A number.
    Number,
    /// Seconds, which have rules of their own.
    Seconds,
    /// A string.
    String,
    /// A document. Without it the index would mean something else.
    Essential,
    /// A document that may be left out.
    Document,
    /// The weights of a text index: a document, or the name of one field.
    Weights,
    /// The version of the index itself.
    IndexVersion,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexOption {
    pub(super) name: &'static str,
    pub(super) value: OptionType,
    /// The first release that takes it.
    pub(super) since: Version,
    /// Why it is left out, if it does nothing on any target of ours.
    pub(super) outdated: Option<&'static str>,
}

const ALWAYS: Version = Version::new(0, 0, 0);

const fn option(name: &'static str, value: OptionType, since: Version) -> IndexOption {
    IndexOption { name, value, since, outdated: None }
}

const fn outdated(name: &'static str, why: &'static str) -> IndexOption {
    IndexOption { name, value: OptionType::Bool, since: ALWAYS, outdated: Some(why) }
}

/// All of them but `key`, in no particular order. `clustered` comes with the collection, and `originalSpec` stands in
/// catalogs only.
const OPTIONS: [IndexOption; 26] = [
    option("v", OptionType::IndexVersion, ALWAYS),
    option("name", OptionType::String, ALWAYS),
    option("unique", OptionType::Bool, ALWAYS),
    option("sparse", OptionType::Bool, ALWAYS),
    option("expireAfterSeconds", OptionType::Seconds, ALWAYS),
    option("storageEngine", OptionType::Document, ALWAYS),
    option("weights", OptionType::Weights, ALWAYS),
    option("default_language", OptionType::String, ALWAYS),
    option("language_override", OptionType::String, ALWAYS),
    option("textIndexVersion", OptionType::Number, ALWAYS),
    option("2dsphereIndexVersion", OptionType::Number, ALWAYS),
    option("bits", OptionType::Number, ALWAYS),
    option("min", OptionType::Number, ALWAYS),
    option("max", OptionType::Number, ALWAYS),
    option("bucketSize", OptionType::Number, ALWAYS),
    option("coarsestIndexedLevel", OptionType::Number, ALWAYS),
    option("finestIndexedLevel", OptionType::Number, ALWAYS),
    option("partialFilterExpression", OptionType::Essential, Version::new(3, 2, 0)),
    option("collation", OptionType::Essential, Version::new(3, 4, 0)),
    option("wildcardProjection", OptionType::Essential, Version::new(4, 2, 0)),
    option("hidden", OptionType::StrictBool, Version::new(4, 4, 0)),
    option("prepareUnique", OptionType::Bool, Version::new(6, 0, 0)),
    option("columnstoreProjection", OptionType::Essential, Version::new(6, 3, 0)),
    outdated("ns", "servers no longer keep the namespace in a spec"),
    outdated("background", "servers from 4.2 on build all indexes the same way"),
    outdated("dropDups", "no server since 3.0 drops duplicates"),
];

/// The option of this name, if servers know it.
pub(super) fn find(name: &[u8]) -> Option<&'static IndexOption> {
    OPTIONS.iter().find(|option| option.name.as_bytes() == name)
}
