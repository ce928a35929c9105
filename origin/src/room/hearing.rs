//! Heartbeats on their way to the store: one bit per holder heard from since the last merge.
//!
//! A poll sets a bit and nothing else; once a second the bits are taken and merged in one step.

use anteroom_core::bitmap::Bitmap;
use anteroom_core::line::Heard;
use anteroom_core::units::{Generation, Slot};
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Room for numbers handed out between two merges. Whoever joins beyond it is too young to be silent.
const AHEAD: u64 = 65_536;

/// See the module's comment.
#[derive(Default)]
pub struct Hearing {
    bits: RwLock<Bits>,
}

#[derive(Default)]
struct Bits {
    generation: Generation,
    base: u64,
    words: Vec<AtomicU64>,
}

impl Hearing {
    /// Notes that the holder of `slot` was heard from.
    pub fn note(&self, generation: Generation, slot: Slot) {
        let bits = self.bits.read();
        if bits.generation != generation || slot.0 <= bits.base {
            return;
        }
        let bit = slot.0 - bits.base - 1;
        if let Some(word) = bits.words.get((bit / 64) as usize) {
            let mask = 1 << (63 - bit % 64);
            // Most polls find their bit set: a read that stays in every core's cache.
            if word.load(Ordering::Relaxed) & mask == 0 {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    /// Takes what was heard, if anything was, and makes room for the slots of `(base, issued]`.
    pub fn take(&self, generation: Generation, base: u64, issued: u64) -> Option<Heard> {
        let words = ((issued - base + AHEAD) / 64) as usize;
        let fresh = Bits { generation, base, words: (0..words).map(|_| AtomicU64::new(0)).collect() };
        let old = std::mem::replace(&mut *self.bits.write(), fresh);
        let words: Vec<u64> = old.words.into_iter().map(AtomicU64::into_inner).collect();
        words.iter().any(|word| *word != 0).then(|| Heard {
            generation: old.generation,
            base: old.base,
            bits: Bitmap::from_words(words),
        })
    }

    /// Puts back what could not be merged.
    pub fn put_back(&self, heard: &Heard) {
        let bits = self.bits.read();
        if bits.generation != heard.generation || bits.base < heard.base {
            return;
        }
        let skip = ((bits.base - heard.base) / 64) as usize;
        for (word, heard) in bits.words.iter().zip(heard.bits.words().iter().skip(skip)) {
            word.fetch_or(*heard, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_is_taken_once_and_can_be_put_back() {
        let (hearing, generation) = (Hearing::default(), Generation(3));
        assert_eq!(hearing.take(generation, 64, 100), None);
        hearing.note(generation, Slot(65));
        hearing.note(generation, Slot(200));
        hearing.note(generation, Slot(64));
        hearing.note(Generation(2), Slot(70));
        hearing.note(generation, Slot(10_000_000));
        let heard = hearing.take(generation, 128, 200).unwrap();
        assert_eq!((heard.base, heard.bits.count(0, u64::MAX)), (64, 2));
        assert!(heard.bits.get(0) && heard.bits.get(135));
        hearing.put_back(&heard);
        let heard = hearing.take(generation, 128, 200).unwrap();
        assert_eq!((heard.base, heard.bits.count(0, u64::MAX)), (128, 1));
        assert!(heard.bits.get(71));
        assert_eq!(hearing.take(generation, 128, 200), None);
    }
}
