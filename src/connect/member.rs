//! One member of a replica set, which alone is read: what it numbers for itself is good for as long as it runs.

use std::sync::{Arc, Mutex, PoisonError};

use bson::{Document, oid::ObjectId, rawdoc};
use mongodb::{
    ServerInfo,
    options::{SelectionCriteria, ServerAddress},
};

use super::{Doing, Server};
use crate::error::Result;

/// A member of a replica set, or a standalone server: the process that has answered, and none that is started after it or is reached by
/// the same name.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    server: Server,
    process: ObjectId,
}

impl Member {
    /// The deployment, of which this member alone is read.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Whether it is the same process still that answers.
    ///
    /// # Errors
    /// When nobody does.
    pub(crate) async fn is_there(&self) -> mongodb::error::Result<bool> {
        let admin = self.server.database("admin");
        let hello = admin.run_raw_command(rawdoc! { "isMaster": 1 }).selection_criteria(self.server.reads());
        Ok(process(&self.server.watched(hello).await?) == Some(self.process))
    }
}

/// The process that says hello; none of a router, which asks others.
fn process(hello: &Document) -> Option<ObjectId> {
    let is_router = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
    hello.get_document("topologyVersion").ok()?.get_object_id("processId").ok().filter(|_| !is_router)
}

/// Whether there is no other member than the one that says hello, which reads are answered by.
fn is_alone(hello: &Document) -> bool {
    let members = ["hosts", "passives"].into_iter().flat_map(|name| hello.get_array(name).into_iter().flatten());
    members.count() <= 1
}

impl Server {
    /// The member to which reads go now; none where it cannot be held to: behind a router, by a name that is not its own, and before 4.4.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn one_member(&self) -> Result<Option<Member>> {
        let hello = self.hello().await?;
        let Some(process) = process(&hello) else { return Ok(None) };
        let address = hello.get_str("me").ok().and_then(|me| ServerAddress::parse(me).ok());
        let addresses = self.addresses().await?;
        let server = match address.filter(|address| addresses.contains(address)) {
            Some(address) => {
                let is_it = move |server: &ServerInfo<'_>| *server.address() == address;
                Server { reads: SelectionCriteria::Predicate(Arc::new(is_it)), ..self.clone() }
            }
            // By another name, as through a tunnel: of several members it may lead to one now, and to another one later.
            None if addresses.len() == 1 && is_alone(&hello) => self.clone(),
            None => return Ok(None),
        };
        Ok(Some(Member { server, process }))
    }

    /// The members that the driver knows, as it calls them.
    async fn addresses(&self) -> Result<Vec<ServerAddress>> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let asking = {
            let asked = Arc::clone(&asked);
            move |server: &ServerInfo<'_>| {
                asked.lock().unwrap_or_else(PoisonError::into_inner).push(server.address().clone());
                true
            }
        };
        let all = Server { reads: SelectionCriteria::Predicate(Arc::new(asking)), ..self.clone() };
        all.run("admin", rawdoc! { "ping": 1 }, &Doing::unprivileged("ask for the members")).await?;
        let mut addresses = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        addresses.sort_by_key(ToString::to_string);
        addresses.dedup();
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_router_is_no_member() {
        let id = ObjectId::from_bytes([7; 12]);
        let version = doc! { "processId": id, "counter": 6_i64 };
        assert_eq!(process(&doc! { "topologyVersion": &version, "setName": "r" }), Some(id));
        assert_eq!(process(&doc! { "topologyVersion": version, "msg": "isdbgrid" }), None);
        assert_eq!(process(&doc! { "setName": "r" }), None);
    }

    #[test]
    fn a_name_that_is_none_of_a_member_leads_to_the_only_one() {
        assert!(is_alone(&doc! {}));
        assert!(is_alone(&doc! { "setName": "r", "hosts": ["db:27017"], "arbiters": ["a:27017"] }));
        assert!(!is_alone(&doc! { "setName": "r", "hosts": ["db:27017"], "passives": ["slow:27017"] }));
    }
}
