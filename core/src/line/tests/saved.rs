//! The line as it is saved: what is read back is what was written, and old files stay readable.

use super::against_model::{BIRTH, Op, Pair, any_op};
use crate::line::{Call, EnterTerms, Heard, IdemKey, Join, JoinLimits, Line};
use crate::units::{Generation, Identity, Slot};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::vec::Vec;

proptest! {
    #[test]
    fn any_line_reads_back_as_it_was_and_lives_on_alike(
        before in prop::collection::vec(any_op(), 1..40),
        after in prop::collection::vec(any_op(), 1..10),
    ) {
        let mut pair = Pair::new();
        before.iter().try_for_each(|op| pair.apply(op))?;
        let text = serde_json::to_string(&pair.line).unwrap();
        let mut copy = pair.clone();
        copy.line = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&copy.line, &pair.line);
        for op in after.iter().filter(|op| !matches!(op, Op::Restore { .. })) {
            pair.apply(op)?;
            copy.apply(op)?;
        }
        prop_assert_eq!(&copy.line, &pair.line);
    }
}

#[test]
fn the_format_is_this_one() {
    let mut line = Line::new(Generation(7), BIRTH);
    let anybody = Join { identity: None, idem: None };
    let ann = Join {
        identity: Identity::parse("ann").ok(),
        idem: Some(IdemKey { key: "k".into(), fingerprint: "f".into() }),
    };
    let limits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 250 };
    line.join(&[anybody.clone(), anybody.clone(), anybody, ann], limits, BIRTH);
    let heard = Heard { generation: Generation(7), base: 0, bits: crate::bitmap::Bitmap::from_bytes(&[0x30]) };
    line.hear(&heard, BIRTH.plus(10));
    line.call(&Call {
        version: 1,
        now: BIRTH.plus(20),
        count: 2,
        limit: Slot(4),
        until: BIRTH.plus(120_020),
        level: 600_000,
        cost: 60_000,
        level_at: BIRTH.plus(20),
        ..Call::default()
    });
    line.enter(Generation(7), Slot(1), EnterTerms { session_ms: 1_000, pass_ttl_ms: 30_000 }, BIRTH.plus(30));
    line.turn_epoch(0, BIRTH.plus(40));
    line.settle(BIRTH.plus(50));

    let mut value = serde_json::to_value(&line).unwrap();
    let ring = value["window"]["ring"].take();
    let flows: Vec<&Value> = ring.as_array().unwrap().iter().filter(|entry| entry[0] != 0).collect();
    assert_eq!(
        flows,
        [&json!([180_000_000, {"calls": 2, "entries": 1, "losses": 0, "busy_ms": 50, "waited_ms": 100}])],
        "one stretch of 32",
    );
    assert_eq!(value, serde_json::from_str::<Value>(FORMAT).unwrap());
    assert_eq!(ring.as_array().unwrap().len(), 32);
    value["window"]["ring"] = ring;
    assert_eq!(serde_json::from_value::<Line>(value).unwrap(), line);
}

const FORMAT: &str = r#"{
  "facts": {
    "generation": 7, "base": 0, "issued": 4, "serving": 2, "waiting": 2, "ready": 1, "active": 1,
    "called_total": 2, "entered_total": 1, "missed_total": 0, "left_total": 0,
    "epoch": 1, "epoch_at": 1800000000040, "level": 480000, "level_at": 1800000000020, "refund": 0,
    "wave_at": 0, "rate": 0, "now": 1800000000050, "settled_at": 1800000000050, "given_back": 0, "mark_at": 1800000000000,
    "born_at": 1800000000000, "version": 3, "bits": 3, "settings": 0
  },
  "gone": "",
  "left": "gAAAAAAAAAA",
  "seen": ["MAAAAAAAAAA", "", "", "", ""],
  "starts": [0, 4, 0, 0, 0],
  "waves": [
    {"from": 1, "last": 2, "called_at": 1800000000020, "until": 1800000120020, "called": 2, "claimed": 1}
  ],
  "active": {"1": {"entered_at": 1800000000030, "ends_at": 1800000001030, "pass_at": 1800000000030}},
  "joins": [{"at": 1800000000000, "issued": 0, "waiting": 0}],
  "window": {"ring": null},
  "users": {"ann": [4]},
  "idem": {
    "k": {
      "generation": 7, "ticket": 4, "position": 4, "joined_at": 1800000000000, "fingerprint": "f",
      "expires_at": 1800000060000
    }
  }
}"#;
