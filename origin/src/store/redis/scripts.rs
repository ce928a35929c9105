//! The scripts, each with the keys and arguments that its header declares.

use redis::Script;

/// A script that changes one room.
pub(super) struct RoomScript {
    /// Its file name, for logs and metrics.
    pub(super) name: &'static str,
    /// The part of each key's name that follows the room's.
    pub(super) keys: &'static [&'static str],
    /// Names of the arguments that are always there.
    pub(super) args: &'static [&'static str],
    /// Whether keys and arguments may follow these.
    pub(super) more: bool,
    pub(super) script: Script,
}

const SEEN: [&str; 5] = ["seen:0", "seen:1", "seen:2", "seen:3", "seen:4"];

macro_rules! scripts {
    ($($name:ident: [$($key:expr),*], [$($arg:literal),*], $more:literal;)*) => {
        /// All scripts.
        pub(super) struct Scripts {
            $(pub(super) $name: RoomScript,)*
        }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: RoomScript {
                        name: stringify!($name),
                        keys: &[$($key),*],
                        args: &[$($arg),*],
                        more: $more,
                        script: Script::new(concat!(
                            include_str!("../../../../lua/room.lua"),
                            include_str!(concat!("../../../../lua/", stringify!($name), ".lua")),
                        )),
                    },)*
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<&RoomScript> {
                vec![$(&self.$name),*]
            }
        }
    };
}

scripts! {
    bind_key: [], ["now", "fingerprint", "ttl_ms"], true;
    call_next: ["line", "gone", "waves", "window", "joins"],
        ["version", "now", "lapse_to", "count", "limit", "until", "level", "cost", "level_at", "refund", "wave_at", "rate", "marks_from"], false;
    delete_room: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "waves", "claims", "active", "sessions", "joins", "window",
        "users", "settings"], [], false;
    end_session: ["line", "active", "sessions"], ["now", "generation", "slot"], false;
    enter_line: ["line", "gone", "left", "waves", "claims", "active", "sessions", "window"],
        ["now", "generation", "slot", "session_ms", "pass_ttl_ms"], false;
    extend_session: ["line", "active", "sessions"], ["now", "generation", "slot", "until"], false;
    join_line: ["line", "joins", "users", "gone", "left", "waves", "sessions"],
        ["now", "places_per_user", "idem_ttl_ms", "mark_every_ms"], true;
    leave_line: ["line", "gone", "left", "waves", "claims", "active", "sessions", "window"], ["now", "generation", "slot"], false;
    merge_heartbeats: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "work:0", "work:1"],
        ["now", "generation", "base", "bits"], false;
    put_room: ["line", "settings"], ["now", "settings", "life"], false;
    read_line: ["line", "gone", "left", "waves", "claims", "active", "sessions", "joins", "window", "settings"],
        ["now", "generation", "version", "bits", "settings", "mark_at", "sessions"], false;
    reset_line: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "waves", "claims", "active", "sessions", "joins", "window",
        "users"], ["now", "life"], false;
    restore_line: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "waves", "claims", "active", "sessions", "joins", "window",
        "users", "settings", "work:0"],
        ["now", "life", "settings", "generation", "base", "known", "issued", "serving", "level", "level_at", "settled_at", "called_total", "entered_total",
            "missed_total", "left_total", "gone", "left", "waves", "sessions"], true;
    sweep_silent: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "window", "work:0"], ["now", "epoch"], false;
    trim_line: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "waves"], ["base"], false;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::reply::FACTS;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// A script file: its header without the leading dashes, and what follows.
    struct Source {
        header: String,
        body: String,
    }

    impl Source {
        fn read(name: &str) -> Self {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lua").join(format!("{name}.lua"));
            let text = fs::read_to_string(path).unwrap();
            let header = text.lines().take_while(|line| line.starts_with("--"));
            let header: Vec<&str> = header.map(|line| line.trim_start_matches('-').trim()).collect();
            let body: Vec<&str> = text.lines().skip(header.len()).collect();
            Self { header: header.join("\n"), body: body.join("\n") }
        }

        /// What the header says about `KEYS` or `ARGV`, in order: name, and whether more of the kind may follow.
        fn declared(&self, table: &str) -> Vec<(String, bool)> {
            let entries = self.header.lines().filter_map(|line| line.strip_prefix(table)?.strip_prefix('['));
            entries
                .enumerate()
                .map(|(at, entry)| {
                    let (index, rest) = entry.split_once("] ").unwrap();
                    let (index, many) = index.strip_suffix("..").map_or((index, false), |index| (index, true));
                    assert_eq!(index, (at + 1).to_string(), "{table} are numbered in order: {entry}");
                    let (name, what) = rest.split_once(": ").unwrap_or((rest, ""));
                    assert!(!what.is_empty(), "{table}[{index}] says what it is: {entry}");
                    (name.to_owned(), many)
                })
                .collect()
        }

        /// The indices with which the body names `table`.
        fn used(&self, table: &str) -> BTreeSet<usize> {
            let opening = format!("{table}[");
            self.body.split(&opening).skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
        }
    }

    #[test]
    fn every_script_is_listed_and_has_the_header_that_its_body_and_its_call_agree_with() {
        let scripts = Scripts::new();
        let listed: BTreeSet<String> = scripts.all().iter().map(|script| script.name.to_owned()).collect();
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../lua")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut present: BTreeSet<String> = names.map(|name| name.strip_suffix(".lua").unwrap().to_owned()).collect();
        assert!(present.remove("room"));
        assert_eq!(listed, present);

        for script in scripts.all() {
            let (name, source) = (script.name, Source::read(script.name));
            let purpose = source.header.split("\n\n").next().unwrap();
            assert!(purpose.ends_with('.'), "{name}: begins with its purpose");
            for part in ["Atomic because: ", "Reply: ", "Cost: ", "Agrees with: "] {
                assert!(source.header.contains(&format!("\n{part}")), "{name}: the header has no {part:?}");
            }

            let keys = source.declared("KEYS");
            let fixed = |entries: &[(String, bool)]| -> Vec<String> {
                // A key with a variable part is not one of the room's own.
                let own = entries.iter().filter(|(name, many)| !many && !name.contains('<'));
                own.map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(fixed(&keys), script.keys, "{name}: KEYS");
            let arguments = source.declared("ARGV");
            assert_eq!(fixed(&arguments), script.args, "{name}: ARGV");
            let more = [&keys, &arguments].iter().any(|entries| fixed(entries).len() < entries.len());
            assert_eq!(more, script.more, "{name}: more");

            for (table, declared) in [("KEYS", &keys), ("ARGV", &arguments)] {
                let used = source.used(table);
                assert!(used.iter().all(|index| *index <= declared.len()), "{name}: undeclared {table} in {used:?}");
            }
            let used = source.used("ARGV");
            for index in 1..=script.args.len() {
                // Dispatched by position in a loop where the header says so.
                assert!(used.contains(&index), "{name}: ARGV[{index}] is not used");
            }
            assert!(!source.body.contains("anteroom"), "{name}: keys are given, not made");

            let replies = source.body.split("return { ").skip(1);
            for status in replies.filter_map(|reply| reply.split([' ', ',']).next()) {
                let named = status.parse::<u32>().is_err() || source.header.contains(&format!("{{{status}"));
                assert!(named, "{name}: the header does not name the status {status}");
            }
            let agrees = source.header.split("Agrees with: ").nth(1).unwrap();
            for function in agrees.split("core::line::Line::").skip(1) {
                let function = function.split([',', '\n']).next().unwrap();
                let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/line");
                let defined = fs::read_dir(core).unwrap().any(|file| {
                    fs::read_to_string(file.unwrap().path())
                        .unwrap_or_default()
                        .contains(&format!("pub fn {function}("))
                });
                assert!(defined, "{name}: core has no Line::{function}");
            }
        }
    }

    #[test]
    fn the_facts_and_what_an_outage_is_are_those_of_core() {
        let room = include_str!("../../../../lua/room.lua");
        assert!(room.starts_with("#!lua\n"), "Redis checks memory and role before the script runs");
        let list = room.split("local FACTS = {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
        let in_lua: Vec<&str> = list.split('\'').skip(1).step_by(2).collect();
        let here: Vec<&str> = FACTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(in_lua, here);
        let core = serde_json::to_value(anteroom_core::line::Facts::default()).unwrap();
        let of_core: BTreeSet<&str> = core.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(of_core, here.iter().copied().collect());
        let outage = format!("\nlocal OUTAGE_MS = {}\n", anteroom_core::line::OUTAGE_MS);
        assert!(room.contains(&outage), "the scripts take another time for an outage than core");
    }
}
