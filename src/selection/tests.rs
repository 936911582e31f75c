//! The rules of a selection as a whole, each with the exact words in which a user meets it.

use std::fs;

use super::*;

const SHOP: [&str; 5] = ["shop.orders", "shop.events", "shop.fs.files", "shop.fs.chunks", "live.orders"];

fn existing() -> Vec<Namespace> {
    SHOP.iter().map(|text| Namespace::parse(text).unwrap()).collect()
}

fn options(include: &[&str], exclude: &[&str], rename: &[&str], default_database: Option<&str>) -> SelectionOptions {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    SelectionOptions {
        include: owned(include),
        exclude: owned(exclude),
        rename: owned(rename),
        collections_file: None,
        default_database: default_database.map(str::to_owned),
    }
}

fn resolve(options: &SelectionOptions) -> Result<Resolved> {
    Selection::new(options)?.resolve(&existing())
}

/// `source` of those that keep their name, `source=target` of the others.
fn shown(resolved: Result<Resolved>) -> Vec<String> {
    let show = |selected: &Selected| match selected.source == selected.target {
        true => selected.source.to_string(),
        false => format!("{}={}", selected.source, selected.target),
    };
    resolved.unwrap().selected.iter().map(show).collect()
}

fn assert_error(resolved: Result<Resolved>, kind: ErrorKind, message: &str, hint: Option<&str>) {
    let error = resolved.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str(), error.hint()), (kind, message, hint));
}

#[test]
fn without_patterns_everything_is_selected_in_the_order_it_was_found() {
    assert_eq!(shown(resolve(&options(&[], &[], &[], None))), SHOP);
}

#[test]
fn a_default_database_confines_the_selection_to_itself() {
    let four = ["shop.orders", "shop.events", "shop.fs.files", "shop.fs.chunks"];
    assert_eq!(shown(resolve(&options(&[], &[], &[], Some("shop")))), four);
    assert_eq!(shown(resolve(&options(&["*"], &[], &[], Some("shop")))), four);
    assert_eq!(shown(resolve(&options(&["*.*"], &[], &[], Some("shop")))), four);
}

#[test]
fn excludes_take_away_from_includes() {
    let selected = resolve(&options(&["shop.*"], &["*.fs.*"], &[], None));
    assert_eq!(shown(selected), ["shop.orders", "shop.events"]);
}

#[test]
fn a_namespace_that_is_listed_twice_is_selected_once() {
    let twice = [existing(), existing()].concat();
    let resolved = Selection::new(&SelectionOptions::default()).unwrap().resolve(&twice);
    assert_eq!(shown(resolved), SHOP);
}

#[test]
fn an_include_that_matches_nothing_says_what_there_is() {
    assert_error(
        resolve(&options(&["shop.orders", "shop.oders"], &[], &[], None)),
        ErrorKind::NotFound,
        "include \"shop.oders\": matches nothing",
        Some("there are: shop.orders, shop.events, live.orders, shop.fs.files, shop.fs.chunks"),
    );
    assert_error(
        resolve(&options(&["event"], &[], &[], Some("shop"))),
        ErrorKind::NotFound,
        "include \"event\": matches nothing",
        Some("there are: events, orders, fs.chunks, fs.files"),
    );
}

#[test]
fn an_include_outside_of_the_default_database_says_so() {
    assert_error(
        resolve(&options(&["live.*"], &[], &[], Some("shop"))),
        ErrorKind::NotFound,
        "include \"live.*\": matches nothing",
        Some("live.orders is outside of the database \"shop\" that the connection string names"),
    );
}

#[test]
fn an_include_that_names_no_database_says_what_to_write_instead() {
    assert_error(
        resolve(&options(&["c1"], &[], &[], None)),
        ErrorKind::Usage,
        "include \"c1\": names no database, and neither does the connection string",
        Some("write \"c1.*\" for a database, \"*.c1\" for a collection of any"),
    );
}

#[test]
fn a_default_database_that_holds_nothing_is_an_error() {
    assert_error(
        resolve(&options(&[], &[], &[], Some("shpo"))),
        ErrorKind::NotFound,
        "database \"shpo\": there is no collection in it",
        Some("there are: shop, live"),
    );
}

#[test]
fn excludes_that_leave_nothing_are_an_error() {
    assert_error(
        resolve(&options(&["shop.fs.*"], &["*.fs.*"], &[], None)),
        ErrorKind::NotFound,
        "the exclude patterns leave nothing to select",
        None,
    );
}

#[test]
fn an_exclude_that_matches_nothing_is_a_warning() {
    let resolved = resolve(&options(&[], &["*.tmp", "live.*"], &[], None)).unwrap();
    assert_eq!(resolved.selected.len(), 4);
    assert_eq!(resolved.warnings, ["exclude \"*.tmp\": matches nothing"]);
}

#[test]
fn the_lines_of_a_file_are_selected_beside_the_includes_and_each_must_exist() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.shop.collections.txt");
    let with_file = |include: &[&str], lines: &str| {
        fs::write(&path, lines).unwrap();
        let options = options(include, &["fs.chunks"], &[], Some("shop"));
        resolve(&SelectionOptions { collections_file: Some(path.clone()), ..options })
    };
    assert_eq!(shown(with_file(&[], "# ours\r\nfs.files\r\nshop.orders\r\n")), ["shop.orders", "shop.fs.files"]);
    assert_eq!(shown(with_file(&["ev*"], "orders")), ["shop.orders", "shop.events"]);
    let place = path.display();
    assert_error(
        with_file(&[], "orders\n\norders \n"),
        ErrorKind::NotFound,
        &format!("{place}: line 3: there is no \"orders \""),
        Some("there are: orders, events, fs.files, fs.chunks"),
    );
    assert_error(
        with_file(&[], "fs.*\n"),
        ErrorKind::NotFound,
        &format!("{place}: line 1: there is no \"fs.*\""),
        Some("there are: fs.files, events, fs.chunks, orders"),
    );
}

#[test]
fn the_first_rename_that_matches_wins() {
    let selected = resolve(&options(&["shop.*"], &[], &["shop.orders=live.sales", "shop.*=live.*"], None));
    assert_eq!(
        shown(selected),
        [
            "shop.orders=live.sales",
            "shop.events=live.events",
            "shop.fs.files=live.fs.files",
            "shop.fs.chunks=live.fs.chunks",
        ]
    );
}

#[test]
fn a_rename_that_an_earlier_one_leaves_nothing_to_is_a_warning() {
    let resolved = resolve(&options(&["shop.*"], &[], &["shop.*=copy.*", "shop.orders=copy.sales"], None)).unwrap();
    assert_eq!(resolved.warnings, ["rename \"shop.orders=copy.sales\": an earlier rename takes all it matches"]);
}

#[test]
fn a_rename_that_matches_nothing_selected_is_an_error() {
    assert_error(
        resolve(&options(&["shop.e*"], &[], &["shop.orders=live.sales"], None)),
        ErrorKind::NotFound,
        "rename \"shop.orders=live.sales\": matches nothing that is selected",
        Some("there are: shop.events"),
    );
}

#[test]
fn two_sources_that_end_in_one_target_are_an_error_that_names_both() {
    let hint = Some("change the renames, or exclude one of the two");
    assert_error(
        resolve(&options(&[], &[], &["shop.*=live.*"], None)),
        ErrorKind::Usage,
        "shop.orders and live.orders would both become live.orders",
        hint,
    );
    assert_error(
        resolve(&options(&[], &[], &["shop.fs.files=shop.x", "shop.fs.chunks=shop.x"], None)),
        ErrorKind::Usage,
        "shop.fs.files and shop.fs.chunks would both become shop.x",
        hint,
    );
}

#[test]
fn two_namespaces_may_exchange_their_names() {
    let swap = ["shop.orders=shop.events", "shop.events=shop.orders"];
    let selected = resolve(&options(&["shop.orders", "shop.events"], &[], &swap, None));
    assert_eq!(shown(selected), ["shop.orders=shop.events", "shop.events=shop.orders"]);
}

#[test]
fn a_namespace_that_comes_later_follows_the_same_rules() {
    let options = options(&["shop.*"], &["shop.tmp*"], &["shop.*=live.*"], None);
    let selection = Selection::new(&options).unwrap();
    let target = |text: &str| selection.target(&Namespace::parse(text).unwrap()).unwrap().map(String::from);
    assert_eq!(target("shop.new"), Some("live.new".to_owned()));
    assert_eq!(target("shop.tmp1"), None);
    assert_eq!(target("live.new"), None);
}

#[test]
fn what_is_born_later_is_taken_by_the_same_rules() {
    let takes = |options: &SelectionOptions, name: &str| {
        Selection::new(options).unwrap().takes(&Namespace::parse(name).unwrap())
    };
    let all = options(&[], &[], &[], None);
    assert!(takes(&all, "new.born"));
    let some = options(&["shop.*"], &["*.tmp*"], &[], None);
    assert!(takes(&some, "shop.born") && !takes(&some, "shop.tmp1") && !takes(&some, "live.born"));
    let one = options(&["orders*"], &[], &[], Some("shop"));
    assert!(takes(&one, "shop.orders2") && !takes(&one, "shop.events") && !takes(&one, "live.orders"));
    let of = |options: &SelectionOptions, database: &str| Selection::new(options).unwrap().takes_of(database);
    assert!(of(&one, "shop") && !of(&one, "live") && of(&all, "live"));
}

#[test]
fn a_file_that_was_read_selects_the_same_as_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    fs::write(&path, "orders\nfs.files\na*b\nback\\slash\n").unwrap();
    let with_file = SelectionOptions { collections_file: Some(path), ..options(&["x"], &["fs.*"], &[], Some("shop")) };
    let without = with_file.clone().with_file_read().unwrap();
    assert_eq!(without.collections_file, None);
    assert_eq!(without.include, ["x", "orders", "fs.files", r"a\*b", r"back\\slash"]);
    let (file, globs) = (Selection::new(&with_file).unwrap(), Selection::new(&without).unwrap());
    for name in
        ["shop.orders", "shop.fs.files", "shop.a*b", "shop.ab", r"shop.back\slash", "shop.x", "live.orders", "shop.y"]
    {
        let namespace = Namespace::parse(name).unwrap();
        assert_eq!(file.takes(&namespace), globs.takes(&namespace), "{name}");
    }
}
