//! Which events are recorded, and in which lane.

use crate::{
    catalog::is_copied,
    changes::{Event, Operation, Watch},
    namespace::Namespace,
    selection::Selection,
};

/// What a lane of events about a whole database is called, behind its name.
const DATABASE_LANE: &str = "$cmd";

/// Decides on events by their namespace alone, here and not on the server: a `$match` there could hide the rename of what
/// is left out into what is selected, and the drop of a database.
#[derive(Debug)]
pub(super) struct Filter {
    selection: Selection,
    watch: Watch,
}

impl Filter {
    pub(super) fn new(selection: Selection, watch: Watch) -> Self {
        Filter { selection, watch }
    }

    /// Writes the lane of an event to `name`: its namespace, `DATABASE.$cmd` if it is about a database.
    pub(super) fn lane(&self, event: &Event<'_>, name: &mut String) {
        let (database, collection) = match (event.database, event.collection, &self.watch) {
            // Of the stream itself: its invalidation.
            ("", _, Watch::Deployment) => ("admin", None),
            ("", _, Watch::Database(database)) => (database.as_str(), None),
            ("", _, Watch::Collection(namespace)) => (namespace.database(), Some(namespace.collection())),
            (database, collection, _) => (database, collection),
        };
        name.push_str(database);
        name.push('.');
        name.push_str(collection.unwrap_or(DATABASE_LANE));
    }

    /// Whether it is recorded.
    pub(super) fn takes(&self, event: &Event<'_>) -> bool {
        let renamed = || event.renamed_to().is_some_and(|(database, collection)| self.selects(database, collection));
        match event.collection {
            None => event.database.is_empty() || self.selection.takes_of(event.database),
            Some(collection) => {
                self.selects(event.database, collection) || event.operation == Operation::Rename && renamed()
            }
        }
    }

    fn selects(&self, database: &str, collection: &str) -> bool {
        is_copied(collection) && Namespace::new(database, collection).is_ok_and(|name| self.selection.takes(&name))
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::selection::SelectionOptions;

    fn filter(include: &[&str], default_database: Option<&str>, watch: Watch) -> Filter {
        let options = SelectionOptions {
            include: include.iter().map(|text| (*text).to_owned()).collect(),
            default_database: default_database.map(str::to_owned),
            ..SelectionOptions::default()
        };
        Filter::new(Selection::new(&options).unwrap(), watch)
    }

    fn event(operation: &str, namespace: RawDocumentBuf) -> RawDocumentBuf {
        rawdoc! {
            "_id": { "_data": "82" }, "operationType": operation, "ns": namespace, "documentKey": { "_id": 1 },
            "to": { "db": "shop", "coll": "orders" },
        }
    }

    fn taken(filter: &Filter, event: &RawDocumentBuf) -> (bool, String) {
        let event = Event::parse(event.as_bytes()).unwrap();
        let mut name = String::new();
        filter.lane(&event, &mut name);
        (filter.takes(&event), name)
    }

    #[test]
    fn an_event_goes_to_the_lane_of_its_namespace_if_that_is_selected() {
        let filter = filter(&["shop.orders*"], None, Watch::Deployment);
        let in_collection = |name: &str| taken(&filter, &event("delete", rawdoc! { "db": "shop", "coll": name }));
        assert_eq!(in_collection("orders.new"), (true, "shop.orders.new".to_owned()));
        assert_eq!(in_collection("events"), (false, "shop.events".to_owned()));
        assert!(!in_collection("system.profile").0);
        let database = event("dropDatabase", rawdoc! { "db": "shop" });
        assert_eq!(taken(&filter, &database), (true, "shop.$cmd".to_owned()));
    }

    #[test]
    fn a_rename_into_the_selection_is_recorded_and_another_databases_end_is_not() {
        let filter = filter(&["orders"], Some("shop"), Watch::Database("shop".to_owned()));
        let renamed = event("rename", rawdoc! { "db": "shop", "coll": "draft" });
        assert_eq!(taken(&filter, &renamed), (true, "shop.draft".to_owned()));
        assert!(!taken(&filter, &event("drop", rawdoc! { "db": "shop", "coll": "draft" })).0);
        assert!(!taken(&filter, &event("dropDatabase", rawdoc! { "db": "live" })).0);
    }

    #[test]
    fn an_event_about_the_stream_goes_to_the_lane_of_what_it_watches() {
        let ended = rawdoc! { "_id": { "_data": "82" }, "operationType": "invalidate" };
        let collection = Watch::Collection(Namespace::parse("shop.orders").unwrap());
        for (watch, lane) in [
            (Watch::Deployment, "admin.$cmd"),
            (Watch::Database("shop".to_owned()), "shop.$cmd"),
            (collection, "shop.orders"),
        ] {
            assert_eq!(taken(&filter(&[], None, watch), &ended), (true, lane.to_owned()));
        }
    }
}
