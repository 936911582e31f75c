//! A side of a comparison: a server or an archive, and what it holds.

use std::collections::HashSet;

use super::item::Item;
use crate::{
    archive::ArchiveFile,
    catalog::{self, Catalog, LeftOut},
    connect::{Server, Version},
    error::Result,
    namespace::Namespace,
    selection::Selection,
};

/// Why users and roles are left out.
const USERS_AND_ROLES: &str = "users and roles are merged into those of a server, and not compared";

/// A side of a comparison.
#[derive(Clone, Debug)]
pub enum Side {
    /// A server; the database that its connection string names, if it names one.
    Server(Server),
    /// A finished archive.
    Archive(ArchiveFile),
}

/// What a side holds, as far as it is selected.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) items: Vec<Item>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) warnings: Vec<String>,
    /// What could not be read.
    pub(super) missing: Vec<String>,
}

impl Side {
    /// Its name, for messages: without credentials.
    pub fn name(&self) -> String {
        match self {
            Side::Server(server) => match server.default_database() {
                Some(database) => format!("{}/{database}", server.place()),
                None => server.place(),
            },
            Side::Archive(archive) => archive.name().to_owned(),
        }
    }

    /// What it is recognised by.
    pub(super) fn identity(&self) -> String {
        match self {
            Side::Server(_) => self.name(),
            Side::Archive(archive) => format!("archive {}", archive.contents().header().id),
        }
    }

    pub(super) fn default_database(&self) -> Option<&str> {
        match self {
            Side::Server(server) => server.default_database(),
            Side::Archive(_) => None,
        }
    }

    /// The release whose index specs it has.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Side::Server(server) => Some(server.version()),
            Side::Archive(archive) => archive.contents().origin().and_then(|origin| Version::parse(&origin.server)),
        }
    }

    /// The databases that it is about, where that is not all that there are.
    pub(super) fn databases(&self) -> Option<HashSet<String>> {
        let Side::Archive(archive) = self else { return None };
        let names = archive.contents().namespaces().iter();
        Some(
            names
                .filter_map(|of| Some(Namespace::parse(&of.collection.namespace).ok()?.database().to_owned()))
                .collect(),
        )
    }

    /// What `selection` takes of it.
    ///
    /// # Errors
    /// When it cannot be read, or nothing is selected.
    pub(super) async fn selected(&self, selection: &Selection) -> Result<Holdings> {
        match self {
            Side::Server(server) => Ok(of_server(server, catalog::read(server, selection).await?)),
            Side::Archive(archive) => {
                let (mut items, left_out) = of_archive(archive)?;
                let names: Vec<Namespace> = items.iter().map(|item| item.namespace.clone()).collect();
                let resolved = selection.resolve(&names)?;
                let taken: HashSet<Namespace> = resolved.selected.into_iter().map(|selected| selected.source).collect();
                items.retain(|item| taken.contains(&item.namespace));
                Ok(Holdings { items, left_out, warnings: resolved.warnings, ..Holdings::default() })
            }
        }
    }

    /// What it holds of that which `takes` wants: it may be nothing.
    ///
    /// # Errors
    /// When it cannot be read, and what `takes` says.
    pub(super) async fn those(&self, takes: impl Fn(&Namespace) -> Result<bool>) -> Result<Holdings> {
        match self {
            Side::Server(server) => Ok(of_server(server, catalog::read_those(server, takes).await?)),
            Side::Archive(archive) => {
                let (mut items, left_out) = of_archive(archive)?;
                let mut all = Vec::with_capacity(items.len());
                for item in items.drain(..) {
                    if takes(&item.namespace)? {
                        all.push(item);
                    }
                }
                Ok(Holdings { items: all, left_out, ..Holdings::default() })
            }
        }
    }
}

/// The namespaces of an archive, and those that are left out.
fn of_archive(archive: &ArchiveFile) -> Result<(Vec<Item>, Vec<LeftOut>)> {
    let mut items = Item::all_of_archive(archive)?;
    let those = items.extract_if(.., |item| catalog::is_of_users_or_roles(&item.namespace));
    let left_out = those.map(|item| LeftOut { namespace: item.namespace, reason: USERS_AND_ROLES }).collect();
    Ok((items, left_out))
}

fn of_server(server: &Server, catalog: Catalog) -> Holdings {
    let Catalog { entries, left_out, warnings, missing } = catalog;
    let items = entries.into_iter().map(|entry| Item::of_server(server, entry)).collect();
    Holdings { items, left_out, warnings, missing }
}
