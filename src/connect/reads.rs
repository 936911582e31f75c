//! Which members of a replica set are read, as one says it on a command line.

use std::{collections::HashMap, str::FromStr, time::Duration};

use mongodb::options::{ReadPreference, ReadPreferenceOptions, SelectionCriteria};

use crate::error::{Error, ErrorKind, Result};

/// What stands before the seconds that a member may be behind: the name that connection strings have for it.
const STALENESS: &str = "maxStalenessSeconds=";
/// No driver takes less: members tell how far they have come only now and then.
const LEAST_STALENESS: u64 = 90;

/// Which members are read: `MODE[,TAG:VALUE...][,maxStalenessSeconds=N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reads(ReadPreference);

impl From<Reads> for SelectionCriteria {
    fn from(reads: Reads) -> Self {
        SelectionCriteria::ReadPreference(reads.0)
    }
}

impl FromStr for Reads {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split(',');
        let mode = words.next().unwrap_or_default();
        let (mut tags, mut max_staleness) = (HashMap::new(), None);
        for word in words {
            if let Some(seconds) = word.strip_prefix(STALENESS) {
                let seconds = seconds.parse().ok().filter(|seconds| *seconds >= LEAST_STALENESS);
                let seconds = seconds.ok_or_else(|| refused("maxStalenessSeconds is no number from 90 on"))?;
                max_staleness = Some(Duration::from_secs(seconds));
            } else if let Some((tag, value)) = word.split_once(':').filter(|(tag, _)| !tag.is_empty()) {
                tags.insert(tag.to_owned(), value.to_owned());
            } else {
                return Err(refused("what stands behind the mode is neither TAG:VALUE nor maxStalenessSeconds=N"));
            }
        }
        let mut options = None;
        if !tags.is_empty() || max_staleness.is_some() {
            let tag_sets = (!tags.is_empty()).then(|| vec![tags]);
            let with = ReadPreferenceOptions::builder().tag_sets(tag_sets).max_staleness(max_staleness);
            options = Some(with.build());
        }
        Ok(Reads(match mode {
            "primary" if options.is_some() => {
                return Err(refused("there is one primary, and it has no tags and is never behind"));
            }
            "primary" => ReadPreference::Primary,
            "primaryPreferred" => ReadPreference::PrimaryPreferred { options },
            "secondary" => ReadPreference::Secondary { options },
            "secondaryPreferred" => ReadPreference::SecondaryPreferred { options },
            "nearest" => ReadPreference::Nearest { options },
            _ => return Err(refused("is no mode of reading")),
        }))
    }
}

fn refused(why: &str) -> Error {
    let wanted = "wanted: primary, primaryPreferred, secondary, secondaryPreferred or nearest, and behind it what members \
                  must be, as secondary,dc:east,maxStalenessSeconds=120";
    Error::new(ErrorKind::Usage, format!("{why}; {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_may_have_tags_and_a_staleness_behind_it() {
        let read = |text: &str| text.parse::<Reads>().map(|reads| reads.0);
        assert_eq!(read("primary").unwrap(), ReadPreference::Primary);
        assert_eq!(read("nearest").unwrap(), ReadPreference::Nearest { options: None });
        let tags = [("dc", "east"), ("use", "a:b")].map(|(tag, value)| (tag.to_owned(), value.to_owned()));
        let options = ReadPreferenceOptions::builder().tag_sets(vec![HashMap::from(tags)]);
        let options = options.max_staleness(Duration::from_secs(120)).build();
        let secondary = ReadPreference::Secondary { options: Some(options) };
        assert_eq!(read("secondary,dc:east,maxStalenessSeconds=120,use:a:b").unwrap(), secondary);
        for text in [
            "",
            "Secondary",
            "secondary,",
            "secondary,east",
            "secondary,:east",
            "secondary,maxStalenessSeconds=89",
            "secondary,maxStalenessSeconds=soon",
            "primary,dc:east",
        ] {
            assert_eq!(read(text).unwrap_err().kind(), ErrorKind::Usage, "{text}");
        }
    }
}
