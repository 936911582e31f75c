//! Which namespace of the right side is held against which of the left one.

use crate::{
    error::Result,
    namespace::Namespace,
    selection::{Selection, SelectionOptions},
};

/// What is selected, and under which names it is on the right.
#[derive(Debug)]
pub(super) struct Names {
    selection: Selection,
    /// The databases that the connection strings name. Where both name one, the left one's is the right one's.
    left: Option<String>,
    right: Option<String>,
}

impl Names {
    /// Reads what the user wants to select and to rename.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(super) fn new(options: &SelectionOptions, left: Option<&str>, right: Option<&str>) -> Result<Self> {
        let of_left = SelectionOptions { default_database: left.map(str::to_owned), ..options.clone() };
        Ok(Names {
            selection: Selection::new(&of_left)?,
            left: left.map(str::to_owned),
            right: right.map(str::to_owned),
        })
    }

    /// What is selected on the left.
    pub(super) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Its name on the right; none where it is not selected, or not in the database that is.
    ///
    /// # Errors
    /// When a rename leads to a name that no server takes.
    pub(super) fn on_right(&self, left: &Namespace) -> Result<Option<Namespace>> {
        let Some(name) = self.selection.target(left)? else { return Ok(None) };
        let name = swapped(&name, self.left.as_deref(), self.right.as_deref())?;
        Ok(Some(name).filter(|name| self.right.as_deref().is_none_or(|only| name.database() == only)))
    }

    /// The name on the left of what is on the right; none where nothing that is selected would have its name.
    ///
    /// # Errors
    /// As [`on_right`](Self::on_right).
    pub(super) fn on_left(&self, right: &Namespace) -> Result<Option<Namespace>> {
        // A rename that says so itself leads to the right one's database; what is not renamed goes there as well.
        for name in [right.clone(), swapped(right, self.right.as_deref(), self.left.as_deref())?] {
            let left = self.selection.origin(&name)?;
            if let Some(left) = left
                && self.on_right(&left)?.as_ref() == Some(right)
            {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }
}

/// The same name in the other database, where both sides name one.
fn swapped(name: &Namespace, from: Option<&str>, to: Option<&str>) -> Result<Namespace> {
    match (from, to) {
        (Some(from), Some(to)) if name.database() == from => Namespace::new(to, name.collection()),
        _ => Ok(name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rename: &[&str], left: Option<&str>, right: Option<&str>) -> Names {
        let rename = rename.iter().map(|text| (*text).to_owned()).collect();
        let options = SelectionOptions { exclude: vec!["*.tmp*".to_owned()], rename, ..SelectionOptions::default() };
        Names::new(&options, left, right).unwrap()
    }

    fn there_and_back(names: &Names, left: &str) -> Option<(String, String)> {
        let right = names.on_right(&Namespace::parse(left).unwrap()).unwrap()?;
        let back = names.on_left(&right).unwrap().unwrap();
        Some((right.to_string(), back.to_string()))
    }

    #[test]
    fn names_lead_to_the_right_and_back() {
        let both = |right: &str, left: &str| Some((right.to_owned(), left.to_owned()));
        let plain = names(&[], None, None);
        assert_eq!(there_and_back(&plain, "shop.orders"), both("shop.orders", "shop.orders"));
        assert_eq!(there_and_back(&plain, "shop.tmp1"), None);
        let renamed = names(&["shop.old_*=archive.*", "shop.*=copy.*"], None, None);
        assert_eq!(there_and_back(&renamed, "shop.old_a"), both("archive.a", "shop.old_a"));
        assert_eq!(there_and_back(&renamed, "shop.a"), both("copy.a", "shop.a"));
        assert_eq!(there_and_back(&renamed, "other.a"), both("other.a", "other.a"));
        let databases = names(&[], Some("shop"), Some("copy"));
        assert_eq!(there_and_back(&databases, "shop.a"), both("copy.a", "shop.a"));
        let both_said = names(&["shop.*=copy.*"], Some("shop"), Some("copy"));
        assert_eq!(there_and_back(&both_said, "shop.a"), both("copy.a", "shop.a"));
        let one = names(&[], None, Some("copy"));
        assert_eq!(there_and_back(&one, "copy.a"), both("copy.a", "copy.a"));
        assert_eq!(there_and_back(&one, "shop.a"), None, "not in the database that is named");
    }

    #[test]
    fn what_nothing_selected_would_be_called_is_none_of_it() {
        let on_left = |names: &Names, right: &str| names.on_left(&Namespace::parse(right).unwrap()).unwrap();
        assert_eq!(on_left(&names(&["shop.*=copy.*"], None, None), "shop.a"), None, "it would be copy.a");
        assert_eq!(on_left(&names(&[], None, None), "shop.tmp"), None);
        assert_eq!(on_left(&names(&[], Some("shop"), None), "other.a"), None);
    }
}
