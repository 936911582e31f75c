//! What a stream watches, where it starts, and the command that opens it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    document::{RawBuilder, kind},
    namespace::{Namespace, printable},
};

/// What one stream watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watch {
    /// All user databases, those to come too.
    Deployment,
    /// A database with all its collections, those to come too. Its end is the end of the stream, which goes on behind it.
    Database(String),
    /// One collection. Its drop or rename is the end of the stream, which goes on behind it.
    Collection(Namespace),
}

impl Watch {
    /// The database that the stream's command goes to.
    pub fn database(&self) -> &str {
        match self {
            Watch::Deployment => "admin",
            Watch::Database(database) => database,
            Watch::Collection(namespace) => namespace.database(),
        }
    }

    /// What the server wants of a user who watches it.
    pub(super) fn privilege(&self) -> String {
        match self {
            Watch::Deployment => "it needs the actions 'find' and 'changeStream' on all databases, which the role \
                'readAnyDatabase' on the database 'admin' gives"
                .to_owned(),
            Watch::Database(database) => format!(
                "it needs the actions 'find' and 'changeStream' on all of the database '{}', which the role 'read' on it gives",
                printable(database)
            ),
            Watch::Collection(namespace) => format!(
                "it needs the actions 'find' and 'changeStream' on {}, which the role 'read' on its database gives",
                printable(&namespace.to_string())
            ),
        }
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watch::Deployment => f.write_str("the deployment"),
            Watch::Database(database) => write!(f, "the database {}", printable(database)),
            Watch::Collection(namespace) => write!(f, "the collection {}", printable(&namespace.to_string())),
        }
    }
}

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the events of this cluster time.
    At(u64),
    /// Behind a token.
    After(Vec<u8>),
    /// Behind a token that ended a stream, which cannot be resumed but followed by a new one (4.2+).
    AfterInvalidate(Vec<u8>),
}

/// How events are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOptions {
    /// Events of what happens to collections and indexes, too (6.0+).
    pub expanded_events: bool,
    /// The whole document with each update, as it is when the event is read: three times the cost, a later state than
    /// that of the event, and nothing when it is deleted since.
    pub full_documents: bool,
}

/// The form of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Events as they are.
    Whole,
    /// Events over 16 MB come in fragments (6.0.9+, 7.0+).
    Split,
    /// Without so many of the fields that make events large.
    Reduced(usize),
}

/// The `aggregate` command. Without `at_once` the first reply is empty.
pub(super) fn command(watch: &Watch, start: &Start, options: StreamOptions, form: Form, at_once: bool) -> Vec<u8> {
    let mut aggregate = RawBuilder::new();
    match watch {
        Watch::Collection(namespace) => aggregate.string("aggregate", namespace.collection()),
        Watch::Deployment | Watch::Database(_) => aggregate.int32("aggregate", 1),
    };
    aggregate.embed_array("pipeline", |pipeline| {
        pipeline.embed("0", |stage| {
            stage.embed("$changeStream", |stream| change_stream(stream, watch, start, options));
        });
        match form {
            Form::Whole => {}
            Form::Split => {
                pipeline.embed("1", |stage| {
                    stage.embed("$changeStreamSplitLargeEvent", |_| {});
                });
            }
            Form::Reduced(fields) => {
                pipeline.embed("1", |stage| {
                    stage.embed("$project", |project| {
                        super::large::LARGE_FIELDS.iter().take(fields).for_each(|field| {
                            project.int32(field, 0);
                        });
                    });
                });
            }
        }
    });
    aggregate.embed("cursor", |cursor| {
        if !at_once {
            cursor.int32("batchSize", 0);
        }
    });
    aggregate.finish()
}

fn change_stream(stream: &mut RawBuilder, watch: &Watch, start: &Start, options: StreamOptions) {
    match start {
        Start::At(time) => stream.append_element(kind::TIMESTAMP, "startAtOperationTime", &time.to_le_bytes()),
        Start::After(token) => stream.document("resumeAfter", token),
        Start::AfterInvalidate(token) => stream.document("startAfter", token),
    };
    if *watch == Watch::Deployment {
        stream.bool("allChangesForCluster", true);
    }
    if options.expanded_events {
        stream.bool("showExpandedEvents", true);
    }
    if options.full_documents {
        stream.string("fullDocument", "updateLookup");
    }
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn a_stream_of_a_deployment_starts_at_a_time() {
        let options = StreamOptions { expanded_events: true, full_documents: false };
        let start = Start::At((7 << 32) | 3);
        let expected = rawdoc! {
            "aggregate": 1,
            "pipeline": [{ "$changeStream": {
                "startAtOperationTime": Timestamp { time: 7, increment: 3 }, "allChangesForCluster": true, "showExpandedEvents": true,
            } }],
            "cursor": { "batchSize": 0 },
        };
        assert_eq!(command(&Watch::Deployment, &start, options, Form::Whole, false), expected.as_bytes());
    }

    #[test]
    fn a_stream_of_a_collection_goes_on_behind_a_token() {
        let watch = Watch::Collection(Namespace::parse("shop.a.b").unwrap());
        let token = rawdoc! { "_data": "82" };
        let options = StreamOptions { expanded_events: false, full_documents: true };
        let expected = rawdoc! {
            "aggregate": "a.b",
            "pipeline": [
                { "$changeStream": { "startAfter": token.clone(), "fullDocument": "updateLookup" } },
                { "$changeStreamSplitLargeEvent": {} },
            ],
            "cursor": {},
        };
        let start = Start::AfterInvalidate(token.into_bytes());
        assert_eq!(command(&watch, &start, options, Form::Split, true), expected.as_bytes());
    }
}
