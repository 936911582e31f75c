//! Views, which hold nothing and may be made anew: those that differ are dropped first, all of them, and then created in
//! the order in which they need each other. Changed one by one, two that have changed places would read each other.

use std::collections::HashSet;

use transload_format::{Collection, CollectionType};

use super::{
    Mended, refused,
    sides::{Pair, Sides},
};
use crate::{
    catalog::{apply, meaning, read::kind_name},
    connect::Server,
    error::Result,
    namespace::Namespace,
};

/// Drops the views that are not the source's any more, and forgets them.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn drop_stale(target: &Server, sides: &mut Sides) -> Result<Vec<Mended>> {
    let mut mended = Vec::new();
    for gone in &sides.gone {
        let name = &gone.namespace;
        mended.push(match gone.collection.kind {
            CollectionType::View => Mended::new(name, "view: dropped", refused(apply::drop(target, name).await)?),
            kind => {
                let reason = format!("the {} is not on the source, and no collection is dropped", kind_name(kind));
                Mended::new(name, "dropped", Some(reason))
            }
        });
    }
    let mut kept = HashSet::new();
    for pair in &mut sides.pairs {
        let Some(existing) = pair.existing.take_if(|existing| is_stale(&pair.source.collection, &existing.collection))
        else {
            continue;
        };
        let failed = refused(apply::drop(target, &pair.target).await)?;
        if failed.is_some() {
            kept.insert(pair.target.clone());
        }
        let what = match pair.source.collection.kind {
            CollectionType::View => "view: dropped, to be created as it is on the source",
            _ => "view: dropped, as it is no view on the source",
        };
        mended.push(Mended::new(&existing.namespace, what, failed));
    }
    sides.pairs.retain(|pair| !kept.contains(&pair.target));
    Ok(mended)
}

fn is_stale(source: &Collection, existing: &Collection) -> bool {
    let (left, right) = (&source.options, &existing.options);
    let differs = || {
        let (left, right) = (meaning::meant_options(left, right), meaning::meant_options(right, left));
        !meaning::unlike(&left, &right).is_empty()
    };
    existing.kind == CollectionType::View && (source.kind != CollectionType::View || differs())
}

/// Creates those of these views that are not there.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn create(target: &Server, views: &[Pair]) -> Result<Vec<Mended>> {
    let mut mended = Vec::new();
    let mut missing: Vec<(Namespace, Collection)> = Vec::new();
    for pair in views {
        match &pair.existing {
            None => missing.push((pair.target.clone(), pair.source.collection.clone())),
            Some(existing) if existing.collection.kind != CollectionType::View => {
                let is = kind_name(existing.collection.kind);
                let reason =
                    format!("it is a {is} on the target and a view on the source, and no collection is dropped");
                mended.push(Mended::new(&pair.target, "type", Some(reason)));
            }
            Some(_) => {}
        }
    }
    apply::in_order_of_dependency(&mut missing);
    for (name, view) in &missing {
        mended.push(Mended::new(name, "view: created", refused(apply::create(target, name, view).await)?));
    }
    Ok(mended)
}
