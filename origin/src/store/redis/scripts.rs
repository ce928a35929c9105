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
        ["now", "life", "settings", "generation", "base", "known", "issued", "serving", "level", "level_at", "called_total", "entered_total",
            "missed_total", "left_total", "gone", "left", "waves", "sessions"], true;
    sweep_silent: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "window", "work:0"], ["now", "epoch"], false;
    trim_line: ["line", "gone", "left", SEEN[0], SEEN[1], SEEN[2], SEEN[3], SEEN[4], "waves"], ["base"], false;
}
