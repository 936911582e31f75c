//! The indexes of one collection, built; and what is told of it.

use std::time::Instant;

use super::Planned;
use crate::{
    catalog::{self, sidecar::index_name},
    connect::Server,
    error::Result,
    progress::{News, Progress},
};

/// Builds indexes of a collection of about so many documents; gives back, for each spec, why it was not built.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn build(
    server: &Server,
    planned: &Planned,
    specs: &[Vec<u8>],
    documents: u64,
    progress: &dyn Progress,
) -> Result<Vec<Option<String>>> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    let (begun, names) = (Instant::now(), specs.iter().map(|spec| index_name(spec)).collect::<Vec<_>>());
    progress.of(&planned.source, &News::Indexing { indexes: &names });
    let reasons = catalog::create_indexes(server, &planned.target, specs, documents).await?;
    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for (name, reason) in names.into_iter().zip(&reasons) {
        match reason {
            None => built.push(name),
            Some(reason) => failed.push((name, reason.clone())),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    progress.of(&planned.source, &News::Indexed { built: &built, failed: &failed, seconds });
    Ok(reasons)
}
