//! The sidecar that a dump leaves beside its archive.

use std::path::PathBuf;

use transload_format::Contents;

use crate::{
    archive::Destination,
    catalog::{
        index_spec::Repair,
        sidecar::{Sidecar, index_name, sidecar_path},
    },
    error::{Error, ErrorKind, Result},
    report::BadIndex,
};

/// What people may have edited is not written over, unless they say so.
///
/// # Errors
/// When there is a sidecar where this dump would put its own.
pub fn check_sidecar(destination: &Destination) -> Result<()> {
    match destination {
        Destination::File { path, replace: false } if sidecar_path(path).exists() => {
            let path = sidecar_path(path);
            Err(Error::new(ErrorKind::AlreadyExists, "exists already")
                .with_hint("--force replaces it, and an archive of that name, once the new archive is finished")
                .at(path.display().to_string()))
        }
        _ => Ok(()),
    }
}

/// Puts the sidecar beside a finished archive. Without it a restore makes it again, so it comes last.
pub(crate) fn write_sidecar(destination: &Destination, contents: &Contents) -> Result<(Option<PathBuf>, Sidecar)> {
    let id = contents.header().id.to_string();
    let sidecar = Sidecar::derive(Some(id), contents.namespaces().iter().map(|namespace| &namespace.collection));
    let Destination::File { path, .. } = destination else {
        return Ok((None, sidecar));
    };
    let path = sidecar_path(path);
    sidecar.write(&path).map_err(|error| error.with_hint("the archive is whole; a restore makes its sidecar again"))?;
    Ok((Some(path), sidecar))
}

/// What a restore will repair, or cannot build.
pub(super) fn bad_indexes(sidecar: &Sidecar) -> Vec<BadIndex> {
    let mut bad = Vec::new();
    for collection in &sidecar.collections {
        let of = |index: String, repairs: &[Repair], reason: Option<String>| {
            let repairs = repairs.iter().filter(|repair| !repair.kind.is_routine()).cloned().collect();
            BadIndex { namespace: collection.namespace.clone(), index, repairs, reason }
        };
        let built = collection.indexes.iter().map(|index| of(index_name(&index.spec), &index.repairs, None));
        bad.extend(built.filter(|index| !index.repairs.is_empty()));
        bad.extend(
            collection.not_built.iter().map(|left| of(left.name.clone(), &left.repairs, Some(left.reason.clone()))),
        );
    }
    bad
}
