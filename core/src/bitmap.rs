//! Bitmaps in the bit order of Redis: bit 0 is the highest bit of byte 0.
//!
//! Held as big-endian 64-bit words, so that bit `i` is bit `63 - i % 64` of word `i / 64`, counting works a word at a time, and the
//! bytes of Redis convert without touching single bits. Bits that were never set read as 0, whatever the length.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A growable bitmap.
#[derive(Clone, Debug, Default)]
pub struct Bitmap {
    words: Vec<u64>,
}

const fn mask(bit: u64) -> u64 {
    1 << (63 - bit % 64)
}

/// The word with its first `n` bits set, `n` in 0..=64.
const fn head(n: u64) -> u64 {
    if n == 0 { 0 } else { !0 << (64 - n) }
}

impl Bitmap {
    /// A bitmap without a set bit.
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// From words as [`Bitmap::words`] gives them.
    pub fn from_words(words: Vec<u64>) -> Self {
        Self { words }
    }

    /// From a Redis string value.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut words: Vec<u64> = chunks.iter().map(|chunk| u64::from_be_bytes(*chunk)).collect();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            words.push(u64::from_be_bytes(last));
        }
        Self { words }
    }

    /// As a Redis string value: at least the bytes up to the last set bit, at most 7 zero bytes more.
    pub fn to_bytes(&self) -> Vec<u8> {
        let used = self.words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        self.words[..used].iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// The words, for whoever counts over them ([`crate::rank`]).
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether bit `i` is 1.
    pub fn get(&self, i: u64) -> bool {
        self.words.get((i / 64) as usize).is_some_and(|word| word & mask(i) != 0)
    }

    /// Sets bit `i` to 1, growing as needed; whether it was 0.
    pub fn set(&mut self, i: u64) -> bool {
        let at = (i / 64) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let was = self.words[at] & mask(i);
        self.words[at] |= mask(i);
        was == 0
    }

    /// Sets bit `i` to 0.
    pub fn clear(&mut self, i: u64) {
        if let Some(word) = self.words.get_mut((i / 64) as usize) {
            *word &= !mask(i);
        }
    }

    /// Sets the bits `from..to` to 1.
    pub fn set_range(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let words = to.div_ceil(64) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
        for at in (from / 64) as usize..words {
            self.words[at] |= range_mask(at as u64, from, to);
        }
    }

    /// How many of the bits `from..to` are 1. O((to - from) / 64).
    pub fn count(&self, from: u64, to: u64) -> u64 {
        let end = to.min(self.words.len() as u64 * 64);
        if from >= end {
            return 0;
        }
        let first = (from / 64) as usize;
        let last = end.div_ceil(64) as usize;
        let mut ones = 0;
        for (offset, word) in self.words[first..last].iter().enumerate() {
            ones += u64::from((word & range_mask((first + offset) as u64, from, end)).count_ones());
        }
        ones
    }

    /// Every bit that is 1 here or in `other`.
    pub fn or(&mut self, other: &Bitmap) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Sets to 0 every bit that is 1 in `other`.
    pub fn and_not(&mut self, other: &Bitmap) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    /// The bits below `end` turned over, all others 0.
    pub fn inverted(&self, end: u64) -> Bitmap {
        let words = (0..end.div_ceil(64))
            .map(|at| !self.words.get(at as usize).copied().unwrap_or(0) & range_mask(at, 0, end))
            .collect();
        Bitmap { words }
    }

    /// Replaces the bits below `end` by those of `other`.
    pub fn copy_head(&mut self, other: &Bitmap, end: u64) {
        let words = end.div_ceil(64) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
        for at in 0..words {
            let keep = range_mask(at as u64, 0, end);
            self.words[at] = (self.words[at] & !keep) | (other.words.get(at).copied().unwrap_or(0) & keep);
        }
    }

    /// Drops the first `bits` bits, a multiple of 64: bit `bits` becomes bit 0.
    pub fn drop_head(&mut self, bits: u64) {
        debug_assert_eq!(bits % 64, 0);
        self.words.drain(..self.words.len().min((bits / 64) as usize));
    }

    /// Sets every bit at `end` and beyond to 0.
    pub fn truncate(&mut self, end: u64) {
        self.words.truncate(end.div_ceil(64) as usize);
        if !end.is_multiple_of(64)
            && let Some(last) = self.words.get_mut((end / 64) as usize)
        {
            *last &= head(end % 64);
        }
    }
}

/// The bits of word `at` that lie in `from..to`.
const fn range_mask(at: u64, from: u64, to: u64) -> u64 {
    let start = at * 64;
    let low = from.saturating_sub(start);
    let high = if to < start + 64 { to.saturating_sub(start) } else { 64 };
    if low >= high { 0 } else { head(high) & !head(low) }
}

/// Written as base64 of [`Bitmap::to_bytes`].
impl Serialize for Bitmap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Bitmap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(|bytes| Self::from_bytes(&bytes)).map_err(serde::de::Error::custom)
    }
}

/// Two bitmaps are equal when the same bits are 1; length does not count.
impl PartialEq for Bitmap {
    fn eq(&self, other: &Self) -> bool {
        let (short, long) = if self.words.len() <= other.words.len() {
            (&self.words, &other.words)
        } else {
            (&other.words, &self.words)
        };
        long[..short.len()] == short[..] && long[short.len()..].iter().all(|word| *word == 0)
    }
}

impl Eq for Bitmap {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bitmap(bits: &[bool]) -> Bitmap {
        let mut map = Bitmap::new();
        bits.iter().enumerate().filter(|(_, set)| **set).for_each(|(i, _)| {
            map.set(i as u64);
        });
        map
    }

    #[test]
    fn the_order_of_bits_is_that_of_redis() {
        let mut map = Bitmap::new();
        map.set(0);
        map.set(9);
        assert_eq!(map.to_bytes()[..2], [0x80, 0x40]);
        assert_eq!(Bitmap::from_bytes(&[0x80, 0x40]), map);
    }

    proptest! {
        #[test]
        fn every_operation_equals_the_one_on_plain_booleans(
            a in prop::collection::vec(any::<bool>(), 0..300),
            b in prop::collection::vec(any::<bool>(), 0..300),
            x in 0u64..320, y in 0u64..320,
        ) {
            let at = |bits: &[bool], i: u64| bits.get(i as usize).copied().unwrap_or(false);
            let (left, right) = (bitmap(&a), bitmap(&b));
            prop_assert_eq!(&Bitmap::from_bytes(&left.to_bytes()), &left);
            prop_assert_eq!(left.count(x, y), (x..y).filter(|i| at(&a, *i)).count() as u64);
            let check = |map: &Bitmap, want: &dyn Fn(u64) -> bool| (0..400).all(|i| map.get(i) == want(i));
            let mut map = left.clone(); map.or(&right);
            prop_assert!(check(&map, &|i| at(&a, i) || at(&b, i)));
            let mut map = left.clone(); map.and_not(&right);
            prop_assert!(check(&map, &|i| at(&a, i) && !at(&b, i)));
            prop_assert!(check(&left.inverted(x), &|i| i < x && !at(&a, i)));
            let mut map = left.clone(); map.copy_head(&right, x);
            prop_assert!(check(&map, &|i| at(if i < x { &b } else { &a }, i)), "copy_head");
            let mut map = left.clone(); map.set_range(x, y);
            prop_assert!(check(&map, &|i| at(&a, i) || (x <= i && i < y)));
            let mut map = left.clone(); map.truncate(x);
            prop_assert!(check(&map, &|i| i < x && at(&a, i)));
            let mut map = left.clone(); map.drop_head(x / 64 * 64);
            prop_assert!(check(&map, &|i| at(&a, i + x / 64 * 64)));
            let mut map = left.clone(); map.set(x); map.clear(y);
            prop_assert!(check(&map, &|i| i != y && (i == x || at(&a, i))));
        }
    }

    #[test]
    fn bytes_never_end_in_a_stray_word() {
        let mut map = Bitmap::new();
        map.set(1000);
        map.clear(1000);
        assert!(map.to_bytes().is_empty());
    }
}
