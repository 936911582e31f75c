//! What makes a file the journal of a server: its name, and what it says itself.

use crate::{
    catalog::{is_scratch, sidecar::Sidecar},
    error::{Error, ErrorKind, Result},
};

/// Characters of a journal's name: file systems take 255 bytes.
const NAME: usize = 150;
/// What stands before and behind what is of the server in it.
pub(super) const PREFIX: &str = "transload-repair-";
pub(super) const SUFFIX: &str = ".indexes.json";

/// The name of the journal of this server. Servers that come to one name are told apart by what stands in the file.
pub(super) fn file_name(identity: &str) -> String {
    let name = identity.split_once('/').map_or(identity, |(set, _)| set);
    let plain = |char: char| if char.is_ascii_alphanumeric() || "-.".contains(char) { char } else { '_' };
    format!("{PREFIX}{}{SUFFIX}", name.chars().map(plain).take(NAME).collect::<String>())
}

/// What a journal with this text lists, if it is of this server.
///
/// # Errors
/// When it is no journal, or that of another server.
pub(super) fn understand(text: &str, identity: &str) -> Result<Sidecar> {
    let listed = Sidecar::parse(text)?;
    check_scratches(&listed)?;
    match &listed.server {
        Some(server) if is_same(server, identity) => Ok(listed),
        Some(server) => {
            Err(Error::new(ErrorKind::AlreadyExists, format!("it is of a repair of {server}, and this is {identity}")))
        }
        None => Err(Error::new(ErrorKind::AlreadyExists, "it is a sidecar, and not the journal of a repair")),
    }
}

/// Refuses a list of scratch collections with something else in it: these are dropped.
pub(super) fn check_scratches(listed: &Sidecar) -> Result<()> {
    let is_ours = |name: &str| name.split_once('.').is_some_and(|(_, name)| is_scratch(name));
    match listed.scratch.iter().find(|name| !is_ours(name)) {
        Some(other) => {
            Err(Error::new(ErrorKind::Usage, format!("\"scratch\" lists {other}, which no repair has made")))
        }
        None => Ok(()),
    }
}

/// Whether two identities are of one server: of a set, members come and go, but not all at once.
fn is_same(one: &str, other: &str) -> bool {
    match (one.split_once('/'), other.split_once('/')) {
        (Some((set, hosts)), Some((other_set, others))) => {
            set == other_set && hosts.split(',').any(|host| others.split(',').any(|other| other == host))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_named_after_the_set_or_the_hosts() {
        assert_eq!(file_name("rs 0/a:1,b:2"), "transload-repair-rs_0.indexes.json");
        assert_eq!(file_name("a.example:27017,[::1]:2"), "transload-repair-a.example_27017____1__2.indexes.json");
        assert!(file_name(&"h".repeat(1000)).len() < 255);
    }

    #[test]
    fn a_set_is_the_same_while_one_member_is() {
        assert!(is_same("rs/a:1,b:2", "rs/b:2,c:3"));
        assert!(!is_same("rs/a:1", "rs/b:2") && !is_same("rs/a:1", "other/a:1") && !is_same("rs/a:1", "a:1"));
        assert!(is_same("a:1", "a:1"));
    }

    #[test]
    fn what_is_no_journal_of_this_server_is_refused() {
        let of = |server: Option<&str>| Sidecar { server: server.map(str::to_owned), ..Sidecar::default() };
        let read = |sidecar: Sidecar| understand(&sidecar.to_json().unwrap(), "rs/a:1");
        assert!(read(of(Some("rs/a:1,b:2"))).is_ok());
        assert_eq!(
            read(of(Some("rs/b:2"))).unwrap_err().to_string(),
            "it is of a repair of rs/b:2, and this is rs/a:1"
        );
        assert_eq!(read(of(None)).unwrap_err().to_string(), "it is a sidecar, and not the journal of a repair");
        let scratch = |name: &str| Sidecar { scratch: vec![name.to_owned()], ..of(Some("rs/a:1")) };
        assert!(read(scratch("shop.transload_scratch_0123456789abcdef")).is_ok());
        assert!(read(scratch("shop.orders")).is_err() && read(scratch("orders")).is_err());
        assert!(understand("", "rs/a:1").is_err());
    }
}
