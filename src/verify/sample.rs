//! A sample of documents: the same ones on both sides, and in every run with the same seed.

use transload_format::document_digest;

use crate::{changes::key::Key, document};

/// Takes a document or leaves it by its `_id` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    seed: u64,
    /// Of 2^64 numbers, as many take a document.
    share: u64,
}

impl Sample {
    /// A sample of about `wanted` of so many documents; none where that is all of them.
    pub(super) fn of(wanted: u64, documents: u64, seed: u64) -> Option<Self> {
        let share = u128::from(wanted) * (1 << 64) / u128::from(documents.max(1));
        u64::try_from(share).ok().map(|share| Sample { seed, share })
    }

    /// Whether the document, or `{_id: …}`, is in the sample.
    pub(super) fn takes(&self, document: &[u8]) -> bool {
        let mut key = self.seed.to_le_bytes().to_vec();
        match document::id(document) {
            Some(id) => Key::write(&id, &mut key),
            None => key.extend_from_slice(document),
        }
        document_digest(&key) < self.share
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_sample_is_about_as_large_as_wanted_and_the_same_for_a_seed() {
        let taken = |seed| {
            let sample = Sample::of(1000, 20_000, seed).unwrap();
            (0..20_000).filter(|n| sample.takes(rawdoc! { "_id": *n }.as_bytes())).collect::<Vec<i32>>()
        };
        let (one, other) = (taken(1), taken(2));
        assert!(
            (900..1100).contains(&one.len()) && (900..1100).contains(&other.len()),
            "{} {}",
            one.len(),
            other.len()
        );
        assert_eq!(one, taken(1));
        assert!(one.iter().filter(|n| other.contains(n)).count() < 100, "another seed, another sample");
        assert_eq!(Sample::of(20_000, 20_000, 1), None);
    }

    #[test]
    fn what_the_server_holds_to_be_one_document_is_in_it_or_not() {
        let sample = Sample::of(1, 2, 7).unwrap();
        for n in 0..100 {
            let (int, double) = (rawdoc! { "_id": n }, rawdoc! { "_id": f64::from(n), "a": 1 });
            assert_eq!(sample.takes(int.as_bytes()), sample.takes(double.as_bytes()));
        }
    }
}
