//! Who is connected to a source that cannot be told to refuse writes: what has to be stopped before a cutover, by name.

use std::collections::BTreeMap;

use bson::{Document, rawdoc};

use crate::{
    connect::{Doing, Server, is_writing},
    error::ErrorKind,
    preflight::FENCES,
};

/// Clients that are named.
const NAMED: usize = 10;
/// What members of a set call themselves where they speak with each other, and this program.
const NOT_MEANT: [&str; 5] =
    ["transload", "NetworkInterfaceTL", "MongoDB Internal Client", "OplogFetcher", "MongoDB Automation"];

/// How often a client is there.
#[derive(Default)]
struct Connections {
    all: u64,
    writing: u64,
}

/// Why a source cannot be told to refuse writes (before 6.0), and who is connected to it, as far as its user may see that. None where it
/// can.
pub async fn unfenced(source: &Server) -> Option<String> {
    if source.version() >= FENCES {
        return None;
    }
    let seen = match listed(source).await {
        Ok(operations) => in_words(&clients(&operations)),
        Err(ErrorKind::Authorization) => "who is connected, this user may not see (role clusterMonitor)".to_owned(),
        Err(_) => "who is connected, it does not tell".to_owned(),
    };
    Some(format!("MongoDB {} cannot be told to refuse writes; {seen}", source.version()))
}

/// What every connection of the source is at.
async fn listed(source: &Server) -> Result<Vec<Document>, ErrorKind> {
    let doing = Doing::new("ask who is connected", "inprog", "admin");
    // All connections, those that do nothing now too; of all users.
    let asked = rawdoc! { "currentOp": 1, "$all": true };
    let reply = source.reading_primary().run("admin", asked, &doing).await.map_err(|error| error.kind())?;
    let operations = reply.get_array("inprog").map_err(|_| ErrorKind::Server)?;
    Ok(operations.iter().filter_map(|operation| operation.as_document().cloned()).collect())
}

/// Whose connections they are: what each program calls itself, or its driver, and where it runs.
fn clients(operations: &[Document]) -> BTreeMap<String, Connections> {
    let mut clients: BTreeMap<String, Connections> = BTreeMap::new();
    for operation in operations {
        // What the server does by itself is of no connection.
        let Some(host) = operation.get_str("client").ok().or_else(|| operation.get_str("client_s").ok()) else {
            continue;
        };
        let driver = operation.get_document("clientMetadata").and_then(|data| data.get_document("driver"));
        let driver = driver.and_then(|driver| driver.get_str("name")).ok();
        let name = operation.get_str("appName").ok().filter(|name| !name.is_empty()).or(driver).unwrap_or("somebody");
        if NOT_MEANT.iter().any(|other| name.starts_with(other) || driver.is_some_and(|it| it.starts_with(other))) {
            continue;
        }
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let known = clients.entry(format!("{name} on {host}")).or_default();
        known.all += 1;
        known.writing += u64::from(is_writing(operation));
    }
    clients
}

fn in_words(clients: &BTreeMap<String, Connections>) -> String {
    if clients.is_empty() {
        return "nobody else is connected to it now".to_owned();
    }
    let mut all: Vec<_> = clients.iter().collect();
    all.sort_by_key(|(_, connections)| std::cmp::Reverse((connections.writing, connections.all)));
    let named = all.iter().take(NAMED).map(|(name, Connections { all, writing })| match writing {
        0 => format!("{name} ({all})"),
        _ => format!("{name} ({all}, {writing} writing)"),
    });
    let named: Vec<String> = named.collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("connected to it now: {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn clients_are_named_and_servers_and_this_program_are_not() {
        let shop = doc! { "client": "10.0.0.5:4711", "appName": "shop", "active": false, "op": "none" };
        let writing = doc! { "client": "10.0.0.5:4712", "appName": "shop", "active": true, "op": "update" };
        let nameless = doc! {
            "client": "10.0.0.6:1", "active": true, "op": "command", "command": { "insert": "orders" },
            "clientMetadata": { "driver": { "name": "PyMongo" } },
        };
        let member = doc! {
            "client": "10.0.0.7:1", "active": true, "op": "getmore",
            "clientMetadata": { "driver": { "name": "NetworkInterfaceTL-ReplNetwork" } },
        };
        let ours = doc! { "client": "10.0.0.8:1", "appName": "transload", "active": true, "op": "getmore" };
        let inside = doc! { "desc": "TTLMonitor", "active": true, "op": "remove" };
        let told = in_words(&clients(&[shop, writing, nameless, member, ours, inside]));
        assert_eq!(told, "connected to it now: shop on 10.0.0.5 (2, 1 writing), PyMongo on 10.0.0.6 (1, 1 writing)");
        assert_eq!(in_words(&clients(&[])), "nobody else is connected to it now");
    }
}
