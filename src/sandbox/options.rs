//! What a throwaway replica set is to be like.

use std::{fmt, path::PathBuf};

use super::ServerBinary;

/// How a [`ReplicaSet`](super::ReplicaSet) is started; [`new`](ReplicaSetOptions::new) gives the usual values.
#[derive(Clone, Debug)]
pub struct ReplicaSetOptions {
    /// The server to run.
    pub server: ServerBinary,
    /// How many members, all electable: 1 to 7; usually 1, which starts in less than a second.
    pub members: usize,
    /// Whether it is one server that is no set at all: without an oplog, and with nobody to tell of changes.
    pub standalone: bool,
    /// With a user, access control is on; without, everyone on this machine may do everything.
    pub root: Option<RootUser>,
    /// Whether failpoints and other test commands work; they do by default.
    pub test_commands: bool,
    /// More `--setParameter`s.
    pub set_parameters: Vec<(String, String)>,
    /// The oplog's size in MB; the server's own rule (a share of the disk) by default.
    pub oplog_size_mb: Option<u32>,
    /// The storage engine's cache in GB, for each member; a quarter by default, the smallest the server takes.
    pub cache_gb: f64,
    /// More arguments of `mongod`, at the end.
    pub extra_arguments: Vec<String>,
    /// Where to make the temporary directory; the system's place for these by default.
    pub parent_directory: Option<PathBuf>,
}

impl ReplicaSetOptions {
    /// One member of `server`, open to everyone on this machine, with test commands.
    pub fn new(server: ServerBinary) -> Self {
        ReplicaSetOptions {
            server,
            members: 1,
            standalone: false,
            root: None,
            test_commands: true,
            set_parameters: Vec::new(),
            oplog_size_mb: None,
            cache_gb: 0.25,
            extra_arguments: Vec::new(),
            parent_directory: None,
        }
    }
}

/// The user `root` in `admin` that a sandbox with access control is given.
#[derive(Clone)]
pub struct RootUser {
    pub(super) name: String,
    pub(super) password: String,
}

impl RootUser {
    /// A user with the role `root`.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        RootUser { name: name.into(), password: password.into() }
    }

    /// `name:password@` as a connection string wants it.
    pub(super) fn uri_prefix(&self) -> String {
        format!("{}:{}@", percent_encoded(&self.name), percent_encoded(&self.password))
    }
}

/// A throwaway password is still a password.
impl fmt::Debug for RootUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootUser").field("name", &self.name).finish_non_exhaustive()
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::RootUser;

    #[test]
    fn a_user_is_encoded_in_a_connection_string_and_hidden_in_debug_output() {
        let user = RootUser::new("root", "p@ss:w/ö%");
        assert_eq!(user.uri_prefix(), "root:p%40ss%3Aw%2F%C3%B6%25@");
        assert_eq!(format!("{user:?}"), r#"RootUser { name: "root", .. }"#);
    }
}
