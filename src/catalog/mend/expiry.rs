//! What expires on a server is held back again: a cutover has let it, and was not the last one.

use transload_format::CollectionType;

use super::{Mended, change};
use crate::{
    catalog::{
        held::{EXPIRES, without_expiry},
        read::described,
        truth::index_specs,
    },
    connect::{Doing, Server},
    document::{self, RawBuilder},
    error::{ErrorKind, Result},
    namespace::Namespace,
};

/// `NamespaceNotFound` and `IndexNotFound`: it is gone already.
const GONE: [i32; 2] = [26, 27];

/// Holds back what expires in a collection, by its indexes or by an option of its own, if it is there. Done again, it changes
/// nothing. Gives what was done, or could not be.
///
/// # Errors
/// When the server does not answer.
pub(crate) async fn hold_expiry(server: &Server, namespace: &Namespace) -> Result<Vec<Mended>> {
    let Some((kind, options)) = described(server, namespace).await? else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    if document::find(&options, EXPIRES).is_some() {
        let mut command = RawBuilder::new();
        command.string("collMod", namespace.collection()).string(EXPIRES, "off");
        changes.push(("option expireAfterSeconds: held back".to_owned(), command));
    }
    let specs = match kind {
        CollectionType::Collection => index_specs(server, namespace).await.map(|(specs, _)| specs),
        CollectionType::View | CollectionType::TimeSeries => Ok(Vec::new()),
    };
    let specs = match specs {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        specs => specs?,
    };
    for spec in specs {
        let held = without_expiry(&spec, server.version());
        let (name, longest) = (document::find(&held, b"name"), document::find(&held, EXPIRES));
        let (Some(name), Some(longest)) = (name, longest.filter(|_| held != spec)) else { continue };
        let mut command = RawBuilder::new();
        command.string("collMod", namespace.collection()).embed("index", |index| {
            index.append(&name).append(&longest);
        });
        let name = String::from_utf8_lossy(name.string().unwrap_or_default()).into_owned();
        changes.push((format!("index {name}: expireAfterSeconds held back"), command));
    }
    let mut done = Vec::new();
    for (what, command) in changes {
        let doing = Doing::new(format!("hold back what expires in {namespace}"), "collMod", namespace.database());
        let failed = match change(server, namespace, command, &doing, &GONE).await {
            // It expires as it did, which is no reason to do nothing more.
            Err(error) if error.kind() == ErrorKind::Authorization => Some(error.to_string()),
            changed => changed?,
        };
        done.push(Mended::new(namespace, what, failed));
    }
    Ok(done)
}
