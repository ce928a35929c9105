//! The rooms, their settings and the keys of passes, as the origin says them: what the gate works with. Held like a board, and kept for
//! as long as nothing newer is known.

use crate::lease::{Ages, Lease, Plan};
use anteroom_core::gate::Gate;
use anteroom_core::relay;
use anteroom_core::settings::Settings;
use anteroom_core::token::pass::{PublicKey, public_keys};
use anteroom_core::units::Millis;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

const AGES: Ages = Ages { fresh_ms: 5_000, usable_ms: 60_000 };

/// The rooms as the origin said them.
#[derive(Debug)]
pub struct Rooms {
    /// Which requests they guard.
    pub gate: Gate,
    /// What passes are verified with, by their `kid`.
    pub passes: Vec<PublicKey>,
    /// Sites whose pages may use the API.
    pub cors_origins: Vec<String>,
    /// The entity tag that they came with.
    pub etag: Option<String>,
}

impl Rooms {
    /// Reads the origin's answer. All or nothing: a room that cannot be read would not be guarded.
    pub fn read(text: &str, etag: Option<String>) -> Result<Self, BadRooms> {
        let said: relay::Rooms = serde_json::from_str(text).map_err(BadRooms::Unreadable)?;
        let rooms = said.rooms.into_iter().map(|room| match Settings::of_origin(&room.settings) {
            Ok(settings) => Ok((room.event_id, Arc::new(settings))),
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Err(BadRooms::Settings(room.event_id.as_str().into(), problems.join("; ")))
            }
        });
        Ok(Self {
            gate: Gate::new(rooms.collect::<Result<Vec<_>, _>>()?),
            passes: public_keys(&said.passes),
            cors_origins: said.cors_origins,
            etag,
        })
    }
}

/// Why a text does not say the rooms.
#[derive(Debug)]
pub enum BadRooms {
    /// It cannot be read.
    Unreadable(serde_json::Error),
    /// The settings of a room are none that this edge knows: it is older than the origin.
    Settings(String, String),
}

impl fmt::Display for BadRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRooms::Unreadable(error) => write!(f, "the rooms cannot be read: {error}"),
            BadRooms::Settings(event, problems) => write!(f, "the settings of {event} cannot be read: {problems}"),
        }
    }
}

/// The rooms that this isolate holds.
#[derive(Debug, Default)]
pub struct Held {
    rooms: Option<Rc<Rooms>>,
    lease: Lease,
}

impl Held {
    /// None held.
    pub const fn new() -> Self {
        Self { rooms: None, lease: Lease::new() }
    }

    /// What to do for a request at `now`. After [`Plan::Fetch`] and [`Plan::ServeAndFetch`] the caller must fetch and
    /// [`Held::settle`].
    pub fn plan(&mut self, now: Millis) -> Plan {
        self.lease.plan(AGES, now)
    }

    /// Takes in what came of a fetch: new rooms, `None` where those held are still right, or that the origin did not answer.
    pub fn settle(&mut self, fetched: Result<Option<Rooms>, ()>, now: Millis) {
        self.lease.settle(fetched.is_ok(), now);
        if let Ok(Some(rooms)) = fetched {
            self.rooms = Some(Rc::new(rooms));
        }
    }

    /// Takes in rooms that a cache kept, if none are held.
    pub fn recall(&mut self, rooms: Rooms, kept_at: Millis) {
        if self.rooms.is_none() {
            self.rooms = Some(Rc::new(rooms));
            self.lease.recall(kept_at);
        }
    }

    /// The rooms, however old; `None` when none have ever been heard of.
    pub fn look(&self) -> Option<Rc<Rooms>> {
        self.rooms.clone()
    }

    /// For how long the origin has not said them; 0 while it does, milliseconds.
    pub fn away_ms(&self, now: Millis) -> u64 {
        self.lease.away_ms(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anteroom_core::gate::{Facts, Route};
    use serde_json::json;

    const NOW: Millis = Millis(1_795_219_200_000);

    fn said(settings: serde_json::Value) -> String {
        json!({
            "rooms": [{"event_id": "sale", "settings": settings}],
            "passes": {"keys": [{
                "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }]},
            "cors_origins": ["https://shop.example"],
        })
        .to_string()
    }

    fn guarded(rooms: &Rooms, path: &str) -> bool {
        let mut facts = Facts::new("GET", path);
        facts.header("host", "shop.example");
        matches!(rooms.gate.route(&facts), Route::Guarded(_))
    }

    #[test]
    fn the_rooms_of_the_origin_guard_what_they_say() {
        let text = said(json!({"gate": {"paths": ["/tickets/*"]}}));
        let rooms = Rooms::read(&text, Some("\"1\"".into())).unwrap();
        assert!(guarded(&rooms, "/tickets/1") && !guarded(&rooms, "/about"));
        assert_eq!((rooms.passes.len(), &*rooms.cors_origins), (1, &["https://shop.example".to_owned()][..]));
        let whole = said(Settings::default().to_json());
        assert!(guarded(&Rooms::read(&whole, None).unwrap(), "/"), "as the origin writes them");
    }

    #[test]
    fn a_room_that_cannot_be_read_is_never_left_unguarded() {
        for text in ["", "{}", "<html>", &said(json!({"mode": "dance"})), &said(json!(7))] {
            assert!(Rooms::read(text, None).is_err(), "{text}");
        }
        let mut held = Held::new();
        held.settle(Ok(Some(Rooms::read(&said(json!({})), None).unwrap())), NOW);
        held.settle(Err(()), NOW.plus(10_000));
        assert!(guarded(&held.look().unwrap(), "/"), "those that were held go on");
    }

    #[test]
    fn the_rooms_outlast_the_origin_and_it_is_known_for_how_long() {
        let mut held = Held::new();
        assert_eq!(held.plan(NOW), Plan::Fetch);
        held.settle(Ok(Some(Rooms::read(&said(json!({})), None).unwrap())), NOW);
        assert_eq!(held.plan(NOW.plus(4_999)), Plan::Serve);
        assert_eq!(held.plan(NOW.plus(5_000)), Plan::ServeAndFetch);
        held.settle(Err(()), NOW.plus(5_010));
        assert_eq!(held.plan(NOW.plus(3_600_000)), Plan::Fetch, "what is held is served meanwhile");
        assert_eq!(held.away_ms(NOW.plus(3_600_000)), 3_595_000);
        held.settle(Ok(None), NOW.plus(3_600_000));
        assert_eq!((held.away_ms(NOW.plus(3_600_000)), held.look().is_some()), (0, true));
    }

    #[test]
    fn a_cold_start_goes_on_with_what_a_cache_kept() {
        let mut held = Held::new();
        let kept = || Rooms::read(&said(json!({})), None).unwrap();
        held.recall(kept(), NOW.minus(30_000));
        assert_eq!(held.plan(NOW), Plan::ServeAndFetch);
        let first = held.look().unwrap();
        held.recall(kept(), NOW);
        assert!(Rc::ptr_eq(&first, &held.look().unwrap()), "what is held stays");
    }
}
