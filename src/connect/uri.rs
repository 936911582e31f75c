//! A connection string that cannot be printed by accident.
//!
//! Passwords end up in `ps`, in logs and in error messages when a string is passed around. [`Uri`] shows its hosts
//! and its database and nothing else; only [`super::connect`] reads the whole.

use std::{env, fmt, fs, path::Path, process::Command};

use super::ENCODE;
use crate::error::{Error, ErrorKind, Result};

/// Options that other drivers know and this one would refuse. They tune a client, not a connection: left out with
/// a warning, the string still reaches the same server as the same user.
const FOREIGN_OPTIONS: &[&str] = &[
    "autoreconnect",
    "fsync",
    "keepalive",
    "maxidletime",
    "poolsize",
    "reconnectinterval",
    "reconnecttries",
    "slaveok",
    "sockettimeoutms",
    "usenewurlparser",
    "useunifiedtopology",
    "uuidrepresentation",
    "waitqueuemultiple",
    "waitqueuetimeoutms",
];

const FORM: &str = "it is mongodb://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS, with special characters encoded as %XX";

/// Mechanisms that authenticate without a password in the string.
const WITHOUT_PASSWORD: &[&str] = &["mongodb-x509", "mongodb-aws", "mongodb-oidc", "gssapi"];

/// A connection string. It shows itself as its hosts and database alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// Reads an argument: a connection string, `env:NAME` for one in an environment variable, or `@FILE` for one
    /// in a file. Warnings say what was left out of it, or that the file can be read by others.
    ///
    /// # Errors
    /// When the variable or the file is not there, or what it holds is no connection string.
    pub fn read(argument: &str) -> Result<(Self, Vec<String>)> {
        let mut warnings = Vec::new();
        let uri = if let Some(name) = argument.strip_prefix("env:") {
            let place = format!("environment variable {name}");
            let text = env::var(name).map_err(|error| {
                let trouble = match error {
                    env::VarError::NotPresent => "is not set",
                    env::VarError::NotUnicode(_) => "is no UTF-8 text",
                };
                Error::new(ErrorKind::Usage, trouble).at(&place)
            })?;
            Uri::parse(text.trim(), &mut warnings).map_err(|error| error.at(place))?
        } else if let Some(path) = argument.strip_prefix('@') {
            warnings.extend(readable_by_others(Path::new(path)));
            let text = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
            Uri::parse(text.trim(), &mut warnings).map_err(|error| error.at(path))?
        } else {
            Uri::parse(argument.trim(), &mut warnings)?
        };
        Ok((uri, warnings))
    }

    fn parse(text: &str, warnings: &mut Vec<String>) -> Result<Self> {
        if !["mongodb://", "mongodb+srv://"].iter().any(|scheme| text.starts_with(scheme)) {
            // Not repeated: it may be a string with a password that lacks its beginning.
            return Err(Error::new(ErrorKind::Usage, "is no connection string").with_hint(
                "a connection string begins with mongodb:// or mongodb+srv://; env:NAME and @FILE name one that stands elsewhere",
            ));
        }
        let Some((front, query)) = text.split_once('?') else {
            return Uri(text.to_owned()).with_plain_hosts();
        };
        // Then the password's end would be taken for options, and its beginning for a host, and shown.
        if query.contains('@') {
            let message = "the connection string is not usable: it has an '@' behind its '?'";
            return Err(Error::new(ErrorKind::Usage, message).with_hint(ENCODE));
        }
        let mut kept = Vec::new();
        for option in query.split('&') {
            let name = option.split('=').next().unwrap_or_default();
            if FOREIGN_OPTIONS.contains(&name.to_ascii_lowercase().as_str()) {
                warnings.push(format!("the option '{name}' of the connection string is not used here"));
            } else {
                kept.push(option);
            }
        }
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        Uri(format!("{front}{query}")).with_plain_hosts()
    }

    /// Refuses hosts that are none: they may be a user and a password without the `@host` behind them.
    fn with_plain_hosts(self) -> Result<Self> {
        let hosts = self.to_string();
        if hosts.is_empty() {
            return Err(
                Error::new(ErrorKind::Usage, "the connection string is not usable: it names no host").with_hint(FORM)
            );
        }
        let is_plain = |host: &str| {
            let port = match host.strip_prefix('[') {
                Some(address) => address.split_once(']').map_or("none", |(_, port)| port.trim_start_matches(':')),
                None if host.ends_with(".sock") => "",
                None => host.split_once(':').map_or("", |(_, port)| port),
            };
            port.bytes().all(|byte| byte.is_ascii_digit())
        };
        if hosts.split(',').all(is_plain) {
            return Ok(self);
        }
        let message = "the connection string is not usable: the port of a host is no number";
        Err(Error::new(ErrorKind::Usage, message).with_hint(FORM))
    }

    /// The whole string, for the driver alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it names a user without a password, whose mechanism needs one.
    pub fn lacks_password(&self) -> bool {
        let options = self.0.split_once('?').map_or("", |(_, options)| options).to_ascii_lowercase();
        let needs = !WITHOUT_PASSWORD.iter().any(|mechanism| options.contains(&format!("authmechanism={mechanism}")));
        needs && self.credentials().is_some_and(|credentials| !credentials.is_empty() && !credentials.contains(':'))
    }

    /// The same string with this password.
    #[must_use]
    pub fn with_password(&self, password: &str) -> Self {
        let encoded: String = password
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        match self.credentials() {
            Some(user) => Uri(self.0.replacen(&format!("{user}@"), &format!("{user}:{encoded}@"), 1)),
            None => self.clone(),
        }
    }

    /// Puts the string into a variable of a process that is to be started.
    pub(crate) fn hand_to(&self, command: &mut Command, variable: &str) {
        command.env(variable, self.reveal());
    }

    /// The string as a configuration of mongo-tools, which is YAML.
    pub(crate) fn as_tool_configuration(&self) -> Vec<u8> {
        // A JSON string is a YAML string.
        format!("uri: {}\n", serde_json::Value::from(self.reveal())).into_bytes()
    }

    /// Takes everything secret out of a text that was made from the string.
    pub(crate) fn redact(&self, text: &str) -> String {
        let credentials = self.credentials().unwrap_or_default();
        let password = credentials.split_once(':').map_or("", |(_, password)| password);
        let options = self.0.split_once('?').map_or("", |(_, options)| options);
        let values = options.split('&').filter_map(|option| option.split_once('=')).map(|(_, value)| value);
        let secret_values = values.filter(|value| value.len() > 3 && !value.bytes().all(|b| b.is_ascii_digit()));
        let mut text = text.replace(self.reveal(), &self.to_string());
        for secret in [credentials, password].into_iter().chain(secret_values).filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "***");
        }
        text
    }

    /// The user and password as they stand in the string.
    fn credentials(&self) -> Option<&str> {
        self.authority().rsplit_once('@').map(|(credentials, _)| credentials)
    }

    /// What stands between the scheme and the database. A password may hold an unescaped slash by mistake, so the
    /// last `@` counts.
    fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let rest = rest.split_once('?').map_or(rest, |(front, _)| front);
        let after_credentials = rest.rfind('@').map_or(0, |at| at + 1);
        let end = rest.get(after_credentials..).and_then(|hosts| hosts.find('/')).map(|at| after_credentials + at);
        rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority();
        f.write_str(authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts))
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({self})")
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| format!("{} can be read by other users; chmod 600 keeps it yours", path.display()))
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::read(text).unwrap().0
    }

    #[test]
    fn a_connection_string_shows_its_hosts_alone() {
        for (text, shown) in [
            ("mongodb://localhost", "localhost"),
            ("mongodb://ann:secret@a:1,b:2/shop?authSource=admin", "a:1,b:2"),
            ("mongodb+srv://ann:sec/ret@cluster.example.net/?tls=true", "cluster.example.net"),
            ("mongodb://ann:p@ss@a:1", "a:1"),
        ] {
            assert_eq!(uri(text).to_string(), shown);
            assert_eq!(format!("{:?}", uri(text)), format!("Uri({shown})"));
        }
    }

    #[test]
    fn a_password_is_taken_out_of_any_text() {
        let uri = uri("mongodb://ann:secret@a:99999/?tlsCertificateKeyFilePassword=hidden");
        let text = "invalid port: ann:secret@a:99999 with secret and hidden";
        assert_eq!(uri.redact(text), "invalid port: ***@a:99999 with *** and ***");
    }

    #[test]
    fn a_missing_password_is_noticed_and_filled_in_escaped() {
        assert!(uri("mongodb://ann@a/shop").lacks_password());
        assert!(!uri("mongodb://ann:x@a/shop").lacks_password());
        assert!(!uri("mongodb://a/shop").lacks_password());
        assert!(!uri("mongodb://CN=ann@a/?authMechanism=MONGODB-X509").lacks_password());
        assert_eq!(uri("mongodb://ann@a/shop").with_password("p@:/").reveal(), "mongodb://ann:p%40%3A%2F@a/shop");
    }

    #[test]
    fn options_of_other_drivers_are_left_out_with_a_warning() {
        let (uri, warnings) = Uri::read("mongodb://a/?socketTimeoutMS=5&replicaSet=rs&keepAlive=true").unwrap();
        assert_eq!(uri.reveal(), "mongodb://a/?replicaSet=rs");
        assert_eq!(warnings.len(), 2);
        assert_eq!(warnings[0], "the option 'socketTimeoutMS' of the connection string is not used here");
        assert_eq!(Uri::read("mongodb://a/?keepAlive=1").unwrap().0.reveal(), "mongodb://a/");
    }

    #[test]
    fn what_is_no_connection_string_is_not_repeated() {
        let error = Uri::read("ann:secret@host").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
        assert_eq!(error.kind(), ErrorKind::Usage);
        let error = Uri::read("env:TRANSLOAD_NOT_SET").unwrap_err();
        assert_eq!(error.to_string(), "environment variable TRANSLOAD_NOT_SET: is not set");
    }

    #[test]
    fn what_may_be_a_password_in_the_place_of_a_host_is_not_repeated() {
        for text in [
            "mongodb://ann:secret",
            "mongodb://ann:secret/shop",
            "mongodb://ann:sec?ret@host/",
            "mongodb://ann:secret@more?secret@host/",
            "mongodb://a:1,ann:secret/?tls=true",
            "mongodb://[::1:secret/",
        ] {
            let error = Uri::read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!format!("{error:?}").contains("sec"), "{error:?}");
        }
        for text in ["mongodb://[::1]:27017/", "mongodb://%2Ftmp%2Fmongodb-27017.sock/", "mongodb://a:1,b,[::1]/shop"] {
            uri(text);
        }
    }
}
