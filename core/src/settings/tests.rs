use super::*;
use proptest::prelude::*;
use std::string::ToString;

fn problems(patch: Value) -> Vec<String> {
    match Settings::default().patched(&patch) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string()).collect(),
    }
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let contract = r#"{
      "mode": "line", "admit_per_minute": 600, "burst": 10, "release": "steady", "capacity": null,
      "session_sec": 600, "session_renew": true, "claim_sec": 120, "pass_ttl_sec": 30, "heartbeat_sec": 300,
      "min_wait": [{"up_to": 10, "sec": 0}, {"up_to": 50, "sec": 2}, {"sec": 5}], "max_wait_min": 120,
      "schedule": {"joins_open": null, "opens": null, "closes": null}, "order": "fifo",
      "places_per_user": 1, "trust_user_id": false,
      "feedback": null, "on_origin_down": "hold",
      "gate": {"hosts": ["*"], "paths": ["/*"], "bypass_paths": [], "bypass_methods": ["OPTIONS"]},
      "page": {"title": null, "message": null, "theme": {}, "languages": ["en", "ko"], "template": null}
    }"#;
    let contract: Value = serde_json::from_str(contract).unwrap();
    assert_eq!(Settings::default().to_json(), contract);
    assert_eq!(Settings::default().patched(&contract).unwrap(), Settings::default());
}

#[test]
fn every_bad_value_is_refused_by_its_name() {
    for (patch, want) in [
        (json!({"admit_per_minute": -5}), "admit_per_minute must be a whole number from 1 to 6000000, not -5"),
        (json!({"claim_sec": 0}), "claim_sec must be a whole number from 1 to 86400, not 0"),
        (json!({"burst": 1.5}), "burst must be a whole number from 1 to 1000000, not 1.5"),
        (json!({"capacity": "many"}), "capacity must be a whole number from 1 to 10000000, not \"many\""),
        (json!({"mode": "open"}), "mode must be one of line, passthrough, hold, reject, not \"open\""),
        (json!({"order": "draw"}), "order must be one of fifo, not \"draw\""),
        (json!({"session_renew": 1}), "session_renew must be true or false, not 1"),
        (json!({"colour": "red"}), "colour is not a setting"),
        (json!({"gate": {"host": []}}), "gate.host is not a setting"),
        (json!({"schedule": 5}), "schedule must be a JSON object, not 5"),
        (
            json!({"schedule": {"opens": "tomorrow"}}),
            "schedule.opens must be an RFC 3339 time such as 2026-11-21T10:00:00Z, not \"tomorrow\"",
        ),
        (
            json!({"schedule": {"opens": "2026-01-02T00:00:00Z", "closes": "2026-01-01T00:00:00Z"}}),
            "schedule.closes is before schedule.opens",
        ),
        (json!({"release": "waves"}), "release must be one of steady, not \"waves\""),
        (
            json!({"release": {"waves": {"size": 0, "every_sec": 3}}}),
            "release.waves.size must be a whole number from 1 to 1000000, not 0",
        ),
        (json!({"release": {}}), "release must be \"steady\" or {\"waves\": {\"size\": n, \"every_sec\": n}}"),
        (
            json!({"min_wait": [{"sec": 1}, {"up_to": 5, "sec": 1}]}),
            "min_wait[1].up_to must be more than that of the step before, which must have one",
        ),
        (json!({"min_wait": [{"up_to": 5}]}), "min_wait[0].sec is missing"),
        (
            json!({"min_wait": [{"sec": 120}], "max_wait_min": 2}),
            "min_wait waits at least as long as max_wait_min, so every ticket would lapse",
        ),
        (json!({"feedback": {"error_rate": 2}}), "feedback.error_rate must be a number from 0 to 1, not 2"),
        (json!({"feedback": {"min_per_minute": 9000}}), "feedback.min_per_minute is more than max_per_minute"),
        (json!({"page": {"title": 5}}), "page.title must be a text of up to 200 characters, not 5"),
        (json!([1]), "the body must be a JSON object, not [1]"),
    ] {
        assert_eq!(problems(patch.clone()), [want], "{patch}");
    }
}

#[test]
fn all_problems_come_at_once() {
    assert_eq!(problems(json!({"burst": 0, "claim_sec": 0, "x": 1})).len(), 3);
}

#[test]
fn a_patch_keeps_what_it_does_not_name() {
    let first = Settings::default()
        .patched(&json!({"burst": 7, "schedule": {"opens": "2026-11-21T10:00:00.25+01:00"}, "release": {"waves": {"size": 5, "every_sec": 30}}}))
        .unwrap();
    let second = first.patched(&json!({"schedule": {"closes": "2026-11-22T00:00:00Z"}})).unwrap();
    assert_eq!(second.burst, 7);
    assert_eq!(second.schedule.opens, first.schedule.opens);
    assert_eq!(second.to_json()["schedule"]["opens"], "2026-11-21T09:00:00.25Z");
    assert_eq!(Settings::default().patched(&second.to_json()).unwrap(), second);
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "mode", "burst", "release", "waves", "size", "schedule", "opens", "min_wait", "sec", "up_to", "feedback",
        "gate", "theme", "page", "capacity",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        Just(json!("line")),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..5).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_refused_with_names_or_gives_settings_that_read_back(patch in any_json()) {
        match Settings::default().patched(&patch) {
            Ok(settings) => prop_assert_eq!(Settings::default().patched(&settings.to_json()), Ok(settings)),
            Err(problems) => prop_assert!(problems.iter().all(|problem| !problem.what.is_empty())),
        }
    }
}

#[test]
fn what_a_newer_origin_has_added_does_not_make_its_rooms_unreadable() {
    let mut written = Settings::default().to_json();
    written["new"] = json!(1);
    written["gate"]["newer"] = json!([2]);
    assert_eq!(Settings::of_origin(&written), Ok(Settings::default()));
    written["mode"] = json!("newest");
    assert_eq!(Settings::of_origin(&written).unwrap_err().len(), 1, "what is known must be understood");
}

#[test]
fn times_are_read_and_written_in_rfc_3339() {
    for (text, ms, written) in [
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
        ("2026-11-21T10:00:00Z", 1_795_255_200_000, "2026-11-21T10:00:00Z"),
        ("2026-11-21t19:00:00.250+09:00", 1_795_255_200_250, "2026-11-21T10:00:00.25Z"),
        ("2026-11-21T10:00:00.1239Z", 1_795_255_200_123, "2026-11-21T10:00:00.123Z"),
        ("2024-02-29T23:59:59-00:30", 1_709_252_999_000, "2024-03-01T00:29:59Z"),
    ] {
        assert_eq!(parse_rfc3339(text), Some(Millis(ms)), "{text}");
        assert_eq!(rfc3339(Millis(ms)), written);
    }
    for text in [
        "",
        "2026-11-21",
        "2026-11-21T10:00:00",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-11-21T25:00:00Z",
    ] {
        assert_eq!(parse_rfc3339(text), None, "{text}");
    }
    for far in [u64::MAX, 253_402_300_800_000] {
        assert_eq!(rfc3339(Millis(far)), "9999-12-31T23:59:59Z");
    }
}

proptest! {
    #[test]
    fn a_time_that_is_written_reads_back(ms in 0u64..253_402_300_800_000, text in "\\PC{0,40}") {
        prop_assert_eq!(parse_rfc3339(&rfc3339(Millis(ms))), Some(Millis(ms)));
        let _ = parse_rfc3339(&text);
    }
}
