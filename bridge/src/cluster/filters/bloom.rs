//! Which keys a join's build side may have, in little room: a Bloom filter, whose bits for one key lie in
//! one word (Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). It
//! passes every key that was noted, and of the others one in a hundred or so.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use datafusion::common::hash_utils::{create_hashes, RandomState};
use datafusion::error::Result as DfResult;

/// Bits for each key that is noted, where there is room.
const BITS_PER_KEY: usize = 16;
const WORD_BITS: usize = u64::BITS as usize;
/// A filter of 1 MiB: it is sent to each task that tests it, and stays in a processor's cache there.
const WORDS_MAX: usize = 1 << 17;
/// Keys of one task: more of them would leave a filter of that size without effect.
pub(in crate::cluster) const NOTED_MAX: usize = 1 << 20;
/// Not that of joins and repartitions: keys of one partition have the same of some of those bits.
const SEED: u64 = 0x1967_0b10;

/// Of each row's keys; equal keys of the same types have equal hashes on every member of a build. Text in
/// another layout is of another type.
pub(super) fn hashes_of(keys: &[ArrayRef]) -> DfResult<Vec<u64>> {
    let mut hashes = vec![0; keys.first().map_or(0, |key| key.len())];
    create_hashes(keys, &RandomState::with_seed(SEED), &mut hashes)?;
    Ok(hashes)
}

/// A power of two of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

/// The number that says which word it is, and the bits in it.
fn place(hash: u64) -> (usize, u64) {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = mixed ^ (mixed >> 32);
    let bit = |at: u32| 1 << ((mixed >> at) & 63);
    (mixed as usize, bit(40) | bit(46) | bit(52) | bit(58))
}

impl Bloom {
    /// Of the keys of one of so many tasks, which have as many each.
    pub fn of(hashes: &[u64], tasks: usize) -> Bloom {
        let bits = hashes.len().saturating_mul(tasks).saturating_mul(BITS_PER_KEY);
        let count = bits.div_ceil(WORD_BITS).clamp(1, WORDS_MAX).next_power_of_two();
        let mut words = vec![0; count];
        for hash in hashes {
            let (word, bits) = place(*hash);
            words[word & (count - 1)] |= bits;
        }
        Bloom { words }
    }

    /// What one of the two passes.
    pub fn or(self, other: Bloom) -> Bloom {
        let (mut words, fewer) = match self.words.len() >= other.words.len() {
            true => (self.words, other.words),
            false => (other.words, self.words),
        };
        // The number of a word in the smaller filter is the end of its number in the larger one.
        words.iter_mut().zip(fewer.iter().cycle()).for_each(|(word, bits)| *word |= bits);
        Bloom { words }
    }

    /// Of each row whether its key may have been noted.
    pub fn test(&self, hashes: &[u64]) -> BooleanBuffer {
        let mask = self.words.len() - 1;
        BooleanBuffer::collect_bool(hashes.len(), |row| {
            let (word, bits) = place(hashes[row]);
            self.words[word & mask] & bits == bits
        })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// None: no filter has such bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Bloom> {
        let (words, rest) = bytes.as_chunks::<8>();
        let fits = rest.is_empty() && words.len().is_power_of_two() && words.len() <= WORDS_MAX;
        fits.then(|| Bloom { words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn numbers(all: impl Iterator<Item = i64>) -> Vec<u64> {
        hashes_of(&[Arc::new(all.collect::<Int64Array>()) as ArrayRef]).unwrap()
    }

    fn passing(filter: &Bloom, hashes: &[u64]) -> usize {
        filter.test(hashes).count_set_bits()
    }

    #[test]
    fn every_key_that_was_noted_passes_and_few_others() {
        for keys in [1, 7, 100, 5_000, 300_000] {
            let noted = numbers((0..keys).map(|n| n * 3));
            let filter = Bloom::of(&noted, 1);
            assert_eq!(passing(&filter, &noted), keys as usize);
            let others = numbers((0..100_000).map(|n| n * 3 + 1));
            let wrong = passing(&filter, &others);
            assert!(wrong < 3_000, "{wrong} of 100000 pass with {keys} keys");
        }
    }

    #[test]
    fn filters_of_tasks_pass_the_keys_of_all_whatever_their_sizes() {
        let parts = [numbers(0..10), numbers(10..4_000), numbers(4_000..90_000), vec![]];
        let filters = parts.iter().map(|part| Bloom::of(part, parts.len()));
        let all = filters.reduce(Bloom::or).unwrap();
        parts.iter().for_each(|part| assert_eq!(passing(&all, part), part.len()));
        let wrong = passing(&all, &numbers(90_000..190_000));
        assert!(wrong < 3_000, "{wrong} of 100000 pass");
    }

    #[test]
    fn filter_of_nothing_passes_nothing() {
        assert_eq!(passing(&Bloom::of(&[], 3), &numbers(0..1_000)), 0);
    }

    #[test]
    fn size_is_bounded_and_the_rest_passes() {
        let noted = numbers(0..NOTED_MAX as i64);
        let filter = Bloom::of(&noted, 50);
        assert_eq!(filter.words.len(), WORDS_MAX);
        assert_eq!(passing(&filter, &noted), NOTED_MAX);
    }

    #[test]
    fn bytes_that_no_filter_has_are_refused() {
        let filter = Bloom::of(&numbers(0..1_000), 1);
        assert_eq!(Bloom::of_bytes(&filter.to_bytes()), Some(filter));
        for bytes in [0, 1, 7, 9, 24, (WORDS_MAX * 8) * 2] {
            assert_eq!(Bloom::of_bytes(&vec![0; bytes]), None, "{bytes}");
        }
    }
}
