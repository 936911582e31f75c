//! Why no server could be chosen: a driver's dump of its topology, in a few words.
//!
//! The driver tells it as one text, `… Topology: { Type: …, Servers: [ { Address: a:1, Type: Unknown, Error: Kind:
//! I/O error: Connection refused (os error 111), labels: {…}, source: None }, … ] }`, and has no other way to ask.

/// What each server of the driver's text answered, or what else kept it from being chosen.
pub(super) fn causes(message: &str) -> String {
    let topology = message.split_once("Topology: ").map_or(message, |(_, topology)| topology);
    let mut servers: Vec<(&str, String)> = topology.split("{ Address: ").skip(1).map(server).collect();
    // The driver lists them in no order.
    servers.sort();
    match servers.as_slice() {
        [] => match after(topology, "Set Name: ") {
            Some(name) => format!("none of the hosts is a member of the replica set '{name}'"),
            None => "no host is known".to_owned(),
        },
        // The place in front of the message names the one host.
        [(_, cause)] => cause.clone(),
        all => {
            let all: Vec<_> = all.iter().map(|(address, cause)| format!("{address}: {cause}")).collect();
            all.join("; ")
        }
    }
}

fn server(text: &str) -> (&str, String) {
    let address = text.split([',', ' ']).next().unwrap_or_default();
    let cause = match text.split_once("Error: ") {
        Some((_, error)) => in_short(error.split_once(", labels: ").map_or(error, |(error, _)| error)),
        None => match after(text, "Type: ") {
            None | Some("Unknown") => "it does not answer".to_owned(),
            Some("RsPrimary") => "it is the primary, and the connection string asks for another member".to_owned(),
            Some("RsSecondary") => "it is a secondary, and there is no primary".to_owned(),
            Some("RsGhost") => "its replica set is not initiated, or it was removed from it".to_owned(),
            Some(_) => "it is not such a server as the connection string asks for".to_owned(),
        },
    };
    (address, cause)
}

/// The word that follows `label`.
fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.split_once(label)?.1.split([',', ' ', '}']).next()
}

/// An error of the driver without what names its own classes and numbers.
pub(super) fn in_short(error: &str) -> String {
    let text = error.strip_prefix("Kind: ").unwrap_or(error);
    let text = text.split_once(", labels: ").map_or(text, |(text, _)| text);
    let text = text.strip_prefix("I/O error: ").unwrap_or(text);
    if text.contains("failed to lookup address") {
        return "the host name is not known".to_owned();
    }
    if text == "tls handshake eof" {
        return "it hung up on the TLS handshake, as a server without TLS does".to_owned();
    }
    text.split(" (os error").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // As driver 3.8.2 wrote them.
    const REFUSED: &str = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { \
        Address: 127.0.0.1:1, Type: Unknown, Last Update Time: 2026-11-22 19:05:34.0 +00:00:00, Error: Kind: I/O error: \
        Connection refused (os error 111), labels: {}, source: None }";

    #[test]
    fn one_server_is_told_by_its_cause_alone() {
        assert_eq!(causes(&format!("{REFUSED} ] }}")), "Connection refused");
    }

    #[test]
    fn several_are_told_by_their_addresses() {
        let other = ", { Address: b:2, Type: Unknown, Error: Kind: I/O error: failed to lookup address information: Name \
            or service not known, labels: {\"a\"}, source: None } ] }";
        assert_eq!(
            causes(&format!("{REFUSED}{other}")),
            "127.0.0.1:1: Connection refused; b:2: the host name is not known"
        );
    }

    #[test]
    fn a_server_that_answered_is_told_by_what_it_is() {
        let text = "Server selection timeout: None of the available servers suitable for criteria \
            ReadPreference(Secondary { options: None }). Topology: { Type: ReplicaSetWithPrimary, Set Name: rs, Servers: [ \
            { Address: a:1, Type: RsPrimary, Average RTT: 1ms, Replica Set Name: rs } ] }";
        assert_eq!(causes(text), "it is the primary, and the connection string asks for another member");
        let text =
            "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Set Name: rs }";
        assert_eq!(causes(text), "none of the hosts is a member of the replica set 'rs'");
    }
}
