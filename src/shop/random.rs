//! Numbers that look random and are the same everywhere: SplitMix64, seeded for one document.
//!
//! Its own few lines rather than a crate's, because a new version of a crate may give other numbers, and then figures
//! of before and after are no longer about the same data.

/// A stream of pseudo-random numbers.
pub(super) struct Random(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// The stream of document `i` of collection number `collection`.
    pub(super) fn new(seed: u64, collection: u64, i: u64) -> Self {
        // Mixed between the parts, so that neighbours in any of them begin far apart.
        Random(mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(collection)).wrapping_add(mix(i.wrapping_add(GOLDEN))))
    }

    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `end`, each as likely as any other but for a bias of `end / 2^32`.
    #[inline]
    pub(super) fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// A double of 53 random bits, at least 0 and below 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// So many random bytes.
    pub(super) fn bytes<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        for chunk in bytes.chunks_mut(8) {
            chunk.iter_mut().zip(self.next().to_le_bytes()).for_each(|(byte, random)| *byte = random);
        }
        bytes
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, each as likely.
    pub(super) fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let end = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        choices.get(self.below(end) as usize).copied().unwrap_or_default()
    }

    /// One of `choices`, the first ones more likely.
    pub(super) fn pick_early<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let end = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        let below = self.below(end);
        choices.get(self.below(below + 1) as usize).copied().unwrap_or_default()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `number` in exactly `LEN` decimal digits, the leading ones cut off if there are more.
pub(super) fn digits<const LEN: usize>(mut number: u64) -> [u8; LEN] {
    let mut digits = [b'0'; LEN];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// `number` in exactly `LEN` hex digits.
pub(super) fn hex<const LEN: usize>(mut number: u64) -> [u8; LEN] {
    let mut digits = [b'0'; LEN];
    for digit in digits.iter_mut().rev() {
        let nibble = (number & 15) as u8;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        number >>= 4;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_splitmix64() {
        // The reference implementation's first outputs for the state 1234567.
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn numbers_stay_below_their_end_and_reach_all_of_it() {
        let mut random = Random::new(1, 2, 3);
        let mut seen = [0u32; 5];
        (0..5000).for_each(|_| seen[random.below(5) as usize] += 1);
        assert!(seen.iter().all(|count| (900..1100).contains(count)), "{seen:?}");
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn digits_are_padded_and_cut_to_their_length() {
        assert_eq!(&digits::<4>(7), b"0007");
        assert_eq!(&digits::<2>(123), b"23");
        assert_eq!(&hex::<4>(0xBEEF), b"beef");
    }
}
