//! What a driver's error means: the words for the user, and whether trying again can help.
//!
//! The server's own messages may repeat the command, and so its documents and keys; what is shown is the code, the
//! code's name, and only those messages that hold no data.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mongodb::error::{CommandError, Error as DriverError, ErrorKind as DriverErrorKind};

use super::selection::{causes, in_short};
use crate::error::{Error, ErrorKind};

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The connection or the cursor is gone, the server is there: at once.
    Now,
    /// The server or its primary is not there just now: after a pause.
    BackOff,
    /// It would fail again.
    Stop,
}

/// The one retry policy, for reads and for idempotent writes.
pub fn retry(error: &DriverError) -> Retry {
    match error.kind.as_ref() {
        DriverErrorKind::Io(_) | DriverErrorKind::ConnectionPoolCleared { .. } => Retry::BackOff,
        DriverErrorKind::ServerSelection { .. } | DriverErrorKind::DnsResolve { .. } => Retry::BackOff,
        DriverErrorKind::Command(command) => retry_code(command.code),
        _ => Retry::Stop,
    }
}

/// The same for the code of a reply or of a write concern error.
pub(crate) fn retry_code(code: i32) -> Retry {
    match code {
        // CursorNotFound, CursorKilled, Interrupted: the session expired, or someone killed the cursor or its session.
        43 | 237 | 11601 => Retry::Now,
        // HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
        // SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange,
        // NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary, ReadConcernMajorityNotAvailableYet, StaleConfig,
        // StaleShardVersion, FailedToSatisfyReadPreference, RetryChangeStream, StaleDbVersion.
        6 | 7 | 89 | 91 | 189 | 262 | 9001 | 10107 | 11600 | 11602 | 13435 | 13436 | 134 | 13388 | 63 | 133 | 234
        | 249 => Retry::BackOff,
        _ => Retry::Stop,
    }
}

/// How long one piece of work may fail before it is given up. Progress starts it anew.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
    retries: Arc<AtomicU64>,
}

impl Patience {
    const FIRST_PAUSE: Duration = Duration::from_millis(50);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    /// Patience for failures that last no longer than `limit`. Each of its waits is counted in `retries`.
    pub fn new(limit: Duration, retries: Arc<AtomicU64>) -> Self {
        Patience { limit, since: None, pause: Self::FIRST_PAUSE, retries }
    }

    /// Something succeeded.
    pub fn progress(&mut self) {
        self.since = None;
        self.pause = Self::FIRST_PAUSE;
    }

    /// Waits before another try, as long as the policy wants; false if there is to be none.
    pub async fn wait(&mut self, retry: Retry) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        if retry == Retry::Stop || since.elapsed() > self.limit {
            return false;
        }
        self.retries.fetch_add(1, Ordering::Relaxed);
        // A retry without any pause must not spin either: a second failure in a row waits.
        if retry == Retry::BackOff || self.pause > Self::FIRST_PAUSE {
            tokio::time::sleep(self.pause).await;
        }
        self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
        true
    }
}

/// What a command is for: completes "failed to …" and "not authorized to …", and names the privilege it needs.
#[derive(Clone, Debug)]
pub struct Doing {
    what: String,
    action: &'static str,
    database: String,
}

impl Doing {
    /// `what` for the user, the server's name of the privilege's action, and the database it is needed on.
    pub fn new(what: impl Into<String>, action: &'static str, database: impl Into<String>) -> Self {
        Doing { what: what.into(), action, database: database.into() }
    }

    /// Something that any user may do.
    pub fn unprivileged(what: &str) -> Self {
        Doing::new(what, "", "")
    }

    fn hint(&self) -> String {
        let role = match self.action {
            "listDatabases" => "readAnyDatabase",
            "indexStats" => "clusterMonitor",
            "find" | "listCollections" | "listIndexes" | "collStats" => "read",
            _ => "readWrite",
        };
        let database = if self.database.is_empty() { "admin" } else { &self.database };
        format!("it needs the action '{}', which the role '{role}' on the database '{database}' gives", self.action)
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// A driver's error in this crate's words.
pub fn failure(error: DriverError, doing: &Doing) -> Error {
    match error.kind.as_ref() {
        DriverErrorKind::Authentication { .. } => authentication(),
        DriverErrorKind::Command(CommandError { code: 18, .. }) => authentication(),
        DriverErrorKind::Command(command) => command_failure(command, doing),
        DriverErrorKind::ServerSelection { message, .. } => {
            unreachable(format!("no server answered when trying to {doing}: {}", causes(message)))
        }
        DriverErrorKind::DnsResolve { message, .. } => unresolved(message),
        DriverErrorKind::Io(io) => {
            unreachable(format!("the connection was lost when trying to {doing}: {}", in_short(&io.to_string())))
        }
        DriverErrorKind::ConnectionPoolCleared { .. } => {
            unreachable(format!("the connection was lost when trying to {doing}"))
        }
        DriverErrorKind::IncompatibleServer { message, .. } | DriverErrorKind::InvalidTlsConfig { message, .. } => {
            Error::new(ErrorKind::Server, message.clone())
        }
        other => Error::new(ErrorKind::Server, format!("failed to {doing}: {}", in_short(&other.to_string()))),
    }
}

fn unreachable(message: String) -> Error {
    Error::new(ErrorKind::Unreachable, message).with_hint(
        "check host, port, replica set name, TLS options and firewall; serverSelectionTimeoutMS in the connection \
         string sets how long to wait for an answer",
    )
}

/// A host name, or the records of a `mongodb+srv` one, that the resolver does not know.
pub(super) fn unresolved(message: &str) -> Error {
    // The resolver's own text is a dump of its query.
    let what = match message.contains("no records found") {
        true => "the name service has no such record",
        false => "the name service did not answer",
    };
    Error::new(ErrorKind::Unreachable, format!("the host name cannot be resolved: {what}"))
        .with_hint("check the host name; mongodb+srv:// wants a name that has SRV records, mongodb:// one of a host")
}

fn authentication() -> Error {
    Error::new(ErrorKind::Authentication, "the server does not accept this user and password")
        .with_hint("the user may live in another database: try authSource=admin in the connection string")
}

fn command_failure(command: &CommandError, doing: &Doing) -> Error {
    const UNAUTHORIZED: i32 = 13;
    if command.code == UNAUTHORIZED {
        return Error::new(ErrorKind::Authorization, format!("not authorized to {doing}")).with_hint(doing.hint());
    }
    let text = command_text(command.code, &command.code_name, &command.message);
    if is_out_of_space(command.code, &command.message) {
        return Error::new(ErrorKind::NoSpace, format!("failed to {doing}: {text}"))
            .with_hint("make room on the server, or give it more");
    }
    Error::new(kind_of(command.code), format!("failed to {doing}: {text}"))
}

/// What an error is that a server has answered with until nobody wanted to wait any longer: that it is not there, as far as what was
/// asked goes, if it may answer otherwise later.
pub(crate) fn kind_of(code: i32) -> ErrorKind {
    if retry_code(code) == Retry::BackOff { ErrorKind::Unreachable } else { ErrorKind::Server }
}

/// Whether a server says that its disk, or what a user may fill of it on a hosted one, is full.
pub(crate) fn is_out_of_space(code: i32, message: &str) -> bool {
    const OUT_OF_DISK_SPACE: i32 = 14031;
    // "you are over your space quota, using 513 MB of 512 MB"
    const ATLAS_ERROR: i32 = 8000;
    code == OUT_OF_DISK_SPACE || code == ATLAS_ERROR && message.contains("space quota")
}

/// What stands between an error and its cause.
const CAUSED_BY: &str = " :: caused by :: ";

/// The text of a server's error, without what may hold data.
pub(crate) fn command_text(code: i32, name: &str, message: &str) -> String {
    const DUPLICATE_KEY: i32 = 11000;
    const IMMUTABLE_FIELD: i32 = 66;
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    if code == DUPLICATE_KEY || message.is_empty() {
        return format!("error {code}{name}");
    }
    if code == IMMUTABLE_FIELD {
        // Its message ends with the key, in no braces.
        return format!("error {code}{name}: a field that cannot change would become another one");
    }
    let short: String = without_documents(message).chars().take(400).collect();
    format!("error {code}{name}: {short}")
}

/// Servers put keys, specs and whole documents into their messages, always in braces. A document may hold braces
/// itself, in its texts, so all from the first to the last is left out: of each cause by itself, if that cuts no
/// document in two.
fn without_documents(message: &str) -> String {
    let count = |text: &str, brace| text.matches(brace).count();
    match message.split(CAUSED_BY).all(|cause| count(cause, '{') == count(cause, '}')) {
        true => message.split(CAUSED_BY).map(without_braces).collect::<Vec<_>>().join(CAUSED_BY),
        false => without_braces(message),
    }
}

fn without_braces(message: &str) -> String {
    match message.split_once('{') {
        None => message.to_owned(),
        Some((before, rest)) => format!("{before}{{…}}{}", rest.rsplit_once('}').map_or("", |(_, after)| after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        assert!(is_out_of_space(14031, "no room"));
        assert!(is_out_of_space(8000, "you are over your space quota, using 513 MB of 512 MB"));
        assert!(!is_out_of_space(8000, "user is not allowed to do action [find]"));
    }

    #[test]
    fn what_a_server_says_is_shown_without_the_documents_in_it() {
        let text = "Can't extract geo keys: { _id: 1, at: { x: \"secret\" } }  unknown GeoJSON type";
        assert_eq!(command_text(16755, "", text), "error 16755: Can't extract geo keys: {…}  unknown GeoJSON type");
        let text = "failed for: { locale: \"xx\" } :: caused by :: Field 'locale' is invalid in: { locale: \"xx\" }";
        let short = "error 2 BadValue: failed for: {…} :: caused by :: Field 'locale' is invalid in: {…}";
        assert_eq!(command_text(2, "BadValue", text), short);
        let text = "of { a: \"it is :: caused by :: me\" }, it says";
        assert_eq!(command_text(2, "", text), "error 2: of {…}, it says");
        assert_eq!(command_text(1, "Cut", "in { name: \"sec"), "error 1 Cut: in {…}");
        assert_eq!(command_text(11000, "DuplicateKey", "dup key: secret"), "error 11000 DuplicateKey");
        let text = "the (immutable) field '_id' was found to have been altered to _id: \"secret\"";
        assert!(!command_text(66, "ImmutableField", text).contains("secret"));
    }
}
