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
    /// The rules by which strings compare, without which the index would mean something else.
    Collation,
    /// Options of storage engines, by the name of each.
    Engines,
    /// A document that may be left out.
    Document,
    /// The weights of a text index: a document, or `$**`.
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
    /// The kinds of indexes that it does something for, as a key names them; empty for all. Some releases refuse it for
    /// others: 5.0 `weights`, 6.0.5 `bucketSize`, the newest all of them.
    pub(super) only: &'static [&'static [u8]],
    /// Why it is left out, if it does nothing on any target of ours.
    pub(super) outdated: Option<&'static str>,
}

const ALWAYS: Version = Version::new(0, 0, 0);

const fn option(name: &'static str, value: OptionType, since: Version) -> IndexOption {
    IndexOption { name, value, since, only: &[], outdated: None }
}

const fn only(only: &'static [&'static [u8]], option: IndexOption) -> IndexOption {
    IndexOption { only, ..option }
}

const fn outdated(name: &'static str, value: OptionType, why: &'static str) -> IndexOption {
    IndexOption { outdated: Some(why), ..option(name, value, ALWAYS) }
}

/// All of them but `key`, in no particular order. `clustered` comes with the collection. `originalSpec` is what a
/// user of a time series had asked for, beside what is built on its buckets.
const OPTIONS: [IndexOption; 28] = [
    option("v", OptionType::IndexVersion, ALWAYS),
    option("name", OptionType::String, ALWAYS),
    option("unique", OptionType::Bool, ALWAYS),
    option("sparse", OptionType::Bool, ALWAYS),
    option("expireAfterSeconds", OptionType::Seconds, ALWAYS),
    option("storageEngine", OptionType::Engines, ALWAYS),
    option("default_language", OptionType::String, ALWAYS),
    option("language_override", OptionType::String, ALWAYS),
    option("partialFilterExpression", OptionType::Essential, Version::new(3, 2, 0)),
    option("collation", OptionType::Collation, Version::new(3, 4, 0)),
    option("hidden", OptionType::StrictBool, Version::new(4, 4, 0)),
    option("originalSpec", OptionType::Document, Version::new(6, 0, 0)),
    option("prepareUnique", OptionType::Bool, Version::new(6, 0, 0)),
    only(&[b"text"], option("weights", OptionType::Weights, ALWAYS)),
    only(&[b"text"], option("textIndexVersion", OptionType::Number, ALWAYS)),
    only(&[b"2dsphere", b"2dsphere_bucket"], option("2dsphereIndexVersion", OptionType::Number, ALWAYS)),
    only(&[b"2dsphere"], option("coarsestIndexedLevel", OptionType::Number, ALWAYS)),
    only(&[b"2dsphere"], option("finestIndexedLevel", OptionType::Number, ALWAYS)),
    only(&[b"2d"], option("bits", OptionType::Number, ALWAYS)),
    only(&[b"2d"], option("min", OptionType::Number, ALWAYS)),
    only(&[b"2d"], option("max", OptionType::Number, ALWAYS)),
    only(&[b"geoHaystack"], option("bucketSize", OptionType::Number, ALWAYS)),
    only(&[b"$**"], option("wildcardProjection", OptionType::Essential, Version::new(4, 2, 0))),
    only(&[b"columnstore"], option("columnstoreProjection", OptionType::Essential, Version::new(6, 3, 0))),
    only(&[b"columnstore"], option("columnstoreCompressor", OptionType::String, Version::new(6, 3, 0))),
    outdated("ns", OptionType::String, "servers no longer keep the namespace in a spec"),
    outdated("background", OptionType::Bool, "servers from 4.2 on build all indexes the same way"),
    outdated("dropDups", OptionType::Bool, "no server since 3.0 drops duplicates"),
];

/// The option of this name, if servers know it.
pub(super) fn find(name: &[u8]) -> Option<&'static IndexOption> {
    OPTIONS.iter().find(|option| option.name.as_bytes() == name)
}
