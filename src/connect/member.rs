//! One member of a replica set, which alone is read.

use std::sync::{Arc, Mutex, PoisonError};

use bson::rawdoc;
use mongodb::{
    ServerInfo,
    options::{SelectionCriteria, ServerAddress},
};

use super::{Doing, Server};
use crate::error::Result;

impl Server {
    /// The same deployment, of which that member alone is read to which reads go now; none where it cannot be held to: behind a
    /// router.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn reading_one_member(&self) -> Result<Option<Self>> {
        let hello = self.hello().await?;
        if hello.get_str("msg").is_ok_and(|message| message == "isdbgrid") {
            return Ok(None);
        }
        let Ok(member) = hello.get_str("me") else {
            return Ok(Some(self.clone()));
        };
        let member = ServerAddress::parse(member).ok();
        let addresses = self.addresses().await?;
        Ok(match member.filter(|member| addresses.contains(member)) {
            Some(member) => {
                let is_it = move |server: &ServerInfo<'_>| *server.address() == member;
                Some(Server { reads: SelectionCriteria::Predicate(Arc::new(is_it)), ..self.clone() })
            }
            // One that is connected to directly, by whatever name, is read alone.
            None => (addresses.len() == 1).then(|| self.clone()),
        })
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
