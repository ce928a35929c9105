//! Random lives of a line, compared with the naive model after every step.

use super::model::{Model, known};
use crate::bitmap::Bitmap;
use crate::line::{Call, EnterTerms, Heard, IdemKey, Join, JoinLimits, Line};
use crate::rank::Rank;
use crate::units::{Generation, Identity, Millis, Slot};
use proptest::prelude::*;
use std::vec::Vec;
use std::{format, vec};

pub(super) const BIRTH: Millis = Millis(1_800_000_000_000);

/// Steps name slots by a fraction of the line, so that they still mean something when a case shrinks.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Join { batch: Vec<(u8, u8)>, anonymous: u8, places: u64, every_ms: u64 },
    Hear { from: u16, step: u8, len: u8, base: u8, stranger: bool },
    TurnEpoch { wrong: bool },
    Sweep,
    Call { count: u8, limit: u16, lapse: Option<u16>, stale: bool, claim_ms: u64, cost: u64, delay_ms: u64 },
    Enter { at: u16, stranger: bool },
    Leave { at: u16, stranger: bool },
    Extend { at: u16, by_ms: u64 },
    EndSession { at: u16 },
    Trim { to: u16, legal: bool },
    Settle,
    Remember,
    Restore { gap: u8, elsewhere: bool },
    SkipTo { gap: u8 },
    Reset,
    Time { ms: i64 },
}

pub(super) fn any_op() -> impl Strategy<Value = Op> {
    let at = any::<u16>();
    let named = prop::collection::vec((0u8..8, 0u8..6), 0..4);
    let rare = |odds: f64| prop::bool::weighted(odds);
    prop_oneof![
        6 => (named, 0u8..90, 1u64..4, prop::sample::select(vec![0u64, 250, 9_000]))
            .prop_map(|(batch, anonymous, places, every_ms)| Op::Join { batch, anonymous, places, every_ms }),
        8 => (at, 1u8..9, 0u8..80, 0u8..4, rare(0.1))
            .prop_map(|(from, step, len, base, stranger)| Op::Hear { from, step, len, base, stranger }),
        8 => rare(0.1).prop_map(|wrong| Op::TurnEpoch { wrong }),
        2 => Just(Op::Sweep),
        8 => (0u8..60, at, prop::option::weighted(0.2, at), rare(0.1), 0u64..5_000, 0u64..70_000, 0u64..400).prop_map(
            |(count, limit, lapse, stale, claim_ms, cost, delay_ms)| {
                Op::Call { count, limit, lapse, stale, claim_ms, cost, delay_ms }
            }
        ),
        8 => (at, rare(0.05)).prop_map(|(at, stranger)| Op::Enter { at, stranger }),
        6 => (at, rare(0.05)).prop_map(|(at, stranger)| Op::Leave { at, stranger }),
        2 => (at, 0u64..9_000).prop_map(|(at, by_ms)| Op::Extend { at, by_ms }),
        2 => at.prop_map(|at| Op::EndSession { at }),
        3 => (at, rare(0.7)).prop_map(|(to, legal)| Op::Trim { to, legal }),
        5 => Just(Op::Settle),
        2 => Just(Op::Remember),
        1 => (0u8..200, any::<bool>()).prop_map(|(gap, elsewhere)| Op::Restore { gap, elsewhere }),
        1 => (0u8..200).prop_map(|gap| Op::SkipTo { gap }),
        1 => Just(Op::Reset),
        6 => (-2_000i64..4_000).prop_map(|ms| Op::Time { ms }),
        // An outage, unless somebody ticks first.
        1 => (2_000i64..200_000).prop_map(|ms| Op::Time { ms }),
    ]
}

/// The line and its model side by side, with a clock that may step back.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) line: Line,
    model: Model,
    now: Millis,
    remembered: Option<(Line, Model)>,
}

impl Pair {
    pub(super) fn new() -> Self {
        let generation = Generation(BIRTH.secs());
        Pair { line: Line::new(generation, BIRTH), model: Model::new(generation, BIRTH), now: BIRTH, remembered: None }
    }

    /// A slot of the line, seldom one before or after it.
    fn slot(&self, at: u16) -> u64 {
        let (base, end) = (self.model.base().saturating_sub(1), self.model.issued() + 2);
        base + u64::from(at) % (end - base + 1)
    }

    fn generation(&self, stranger: bool) -> Generation {
        let Generation(number) = self.line.facts().generation;
        Generation(number - u64::from(stranger))
    }

    pub(super) fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let now = self.now;
        match op {
            Op::Join { batch, anonymous, places, every_ms } => {
                let mut joins: Vec<Join> = batch.iter().map(named).collect();
                joins.resize(joins.len() + usize::from(*anonymous), Join { identity: None, idem: None });
                let limits = JoinLimits { places_per_user: *places, idem_ttl_ms: 3_000, mark_every_ms: *every_ms };
                let got = self.line.join(&joins, limits, now);
                prop_assert_eq!(got.joined, self.model.join(&joins, limits, now));
                prop_assert_eq!((got.now, got.serving), (self.line.facts().now, self.model.serving()));
                prop_assert_eq!((got.generation, got.waiting), (self.generation(false), self.line.facts().waiting));
            }
            Op::Hear { from, step, len, base, stranger } => {
                let from = self.slot(*from);
                let base = self.model.base().saturating_sub(u64::from(*base) * 64);
                let slots: Vec<u64> = (from..).step_by(usize::from(*step)).take(usize::from(*len)).collect();
                let mut bits = Bitmap::new();
                slots.iter().filter(|slot| **slot > base).for_each(|slot| {
                    bits.set(slot - base - 1);
                });
                let heard = Heard { generation: self.generation(*stranger), base, bits };
                let back = if *stranger { self.model.hear(&[], now) } else { self.model.hear(&slots, now) };
                prop_assert_eq!(self.line.hear(&heard, now), back);
            }
            Op::TurnEpoch { wrong } => {
                let epoch = self.line.facts().epoch + u64::from(*wrong);
                prop_assert_eq!(self.line.turn_epoch(epoch, now), self.model.turn_epoch(epoch, now));
            }
            Op::Sweep => prop_assert_eq!(self.line.sweep(now), self.model.sweep(now)),
            Op::Call { count, limit, lapse, stale, claim_ms, cost, delay_ms } => {
                let facts = self.line.facts();
                let call = Call {
                    version: facts.version - u64::from(*stale),
                    now: now.minus(*delay_ms),
                    lapse_to: Slot(lapse.map_or(0, |lapse| self.slot(lapse))),
                    count: u64::from(*count),
                    limit: Slot(self.slot(*limit)),
                    until: now.plus(*claim_ms),
                    level: u64::from(*limit) * 7,
                    cost: *cost,
                    level_at: now,
                    refund: u64::from(*count) / 2,
                    wave_at: now.minus(*claim_ms),
                    rate: *cost,
                    marks_from: now.minus(*delay_ms * 10),
                };
                prop_assert_eq!(self.line.call(&call), self.model.call(&call));
            }
            Op::Enter { at, stranger } => {
                let (slot, generation) = (self.slot(*at), self.generation(*stranger));
                let terms = EnterTerms { session_ms: 4_000, pass_ttl_ms: 700 };
                let got = self.line.enter(generation, Slot(slot), terms, now);
                prop_assert_eq!(got, self.model.enter(generation, slot, terms, now));
            }
            Op::Leave { at, stranger } => {
                let (slot, generation) = (self.slot(*at), self.generation(*stranger));
                let got = self.line.leave(generation, Slot(slot), now);
                prop_assert_eq!(got, self.model.leave(generation, slot, now));
            }
            Op::Extend { at, by_ms } => {
                let (slot, generation, until) = (self.slot(*at), self.generation(false), now.plus(*by_ms));
                let got = self.line.extend_session(generation, Slot(slot), until, now);
                prop_assert_eq!(got, self.model.extend_session(generation, slot, until, now));
            }
            Op::EndSession { at } => {
                let (slot, generation) = (self.slot(*at), self.generation(false));
                let got = self.line.end_session(generation, Slot(slot), now);
                prop_assert_eq!(got, self.model.end_session(generation, slot, now));
            }
            Op::Trim { to, legal } => {
                let base = if *legal { self.model.serving() / 64 * 64 } else { self.slot(*to) };
                prop_assert_eq!(self.line.trim(base), self.model.trim(base));
            }
            Op::Settle => {
                self.line.settle(now);
                self.model.settle(now);
            }
            Op::Remember => self.remembered = Some((self.line.clone(), self.model.clone())),
            Op::Restore { gap, elsewhere } => {
                let (line, model) = self.remembered.clone().unwrap_or((self.line.clone(), self.model.clone()));
                if *elsewhere {
                    let generation = self.generation(false);
                    self.line = Line::new(generation, now);
                    self.model = Model::new(generation, now);
                }
                let issued = line.facts().issued + u64::from(*gap);
                let highest = self.model.issued();
                let got = self.line.restore(&known(&line, issued), now);
                prop_assert_eq!(got, self.model.restore(&model, issued, now));
                prop_assert!(*elsewhere || self.model.issued() >= highest, "a number would be issued twice");
            }
            Op::SkipTo { gap } => {
                let issued = self.model.issued() + u64::from(*gap);
                self.line.skip_to(issued);
                self.model.skip_to(issued);
            }
            Op::Reset => prop_assert_eq!(self.line.reset(now), self.model.reset(now)),
            Op::Time { ms } => {
                self.now = self.now.plus(ms.unsigned_abs()).minus(if *ms < 0 { 2 * ms.unsigned_abs() } else { 0 })
            }
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let (line, model) = (&self.line, &self.model);
        prop_assert_eq!(line.facts(), &model.facts(line.facts()));
        let rank = Rank::build(line.gone());
        let (base, serving, issued) = (model.base(), model.serving(), model.issued());
        let before = serving - base - rank.ones_below(line.gone(), serving - base);
        let mut live = 0;
        for slot in base.saturating_sub(1)..issued + 2 {
            prop_assert_eq!(line.standing(Slot(slot)), model.standing(slot), "slot {}", slot);
            live += u64::from(model.is_live(slot));
            if slot > serving && slot <= issued {
                prop_assert_eq!(line.live_up_to(Slot(slot)), live, "counted at slot {}", slot);
                let ranked = slot - base - rank.ones_below(line.gone(), slot - base) - before;
                prop_assert_eq!(ranked, live, "ranked at slot {}", slot);
            }
        }
        prop_assert_eq!(line.live_up_to(Slot(u64::MAX)), live);
        for bits in [line.gone(), line.left()].into_iter().chain(&line.seen) {
            prop_assert_eq!(bits.count(issued - base, u64::MAX), 0, "a place not handed out is marked");
        }
        prop_assert!(
            line.joins.iter().zip(line.joins.iter().skip(1)).all(|(a, b)| a.at <= b.at && a.issued < b.issued)
        );
        prop_assert!(
            line.waves.iter().zip(line.waves.iter().skip(1)).all(|(a, b)| a.until <= b.until && a.last < b.from)
        );
        Ok(())
    }
}

fn named((who, key): &(u8, u8)) -> Join {
    let identity = (*who < 6).then(|| Identity::parse(&format!("user-{who}")).unwrap());
    let idem = (*key < 4).then(|| IdemKey { key: format!("key-{key}"), fingerprint: format!("{who}") });
    Join { identity, idem }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_line_is_at_every_step_what_looking_at_every_person_says(ops in prop::collection::vec(any_op(), 1..50)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op)?;
            pair.compare()?;
        }
    }
}
