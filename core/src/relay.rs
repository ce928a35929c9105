//! What an edge and its origin tell each other: the rooms and keys that the edge works with, and what it reports of the people it
//! serves.
//!
//! An edge answers polls and admits people by itself. Once in a while it sends one [`Report`] for all of them: who was heard from,
//! and whose session is being used. The answer says how long those sessions last now.

use crate::units::{EventId, Generation, Identity, Millis, Ticket};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Path of [`Rooms`] at the origin.
pub const ROOMS_PATH: &str = "/api/v1/edge/rooms";
/// Path that takes a [`Report`] at the origin.
pub const REPORTS_PATH: &str = "/api/v1/edge/reports";
/// Most tickets in one [`Report`], all of its lists together: it stays below the longest body that an origin takes.
pub const REPORT_MAX: usize = 4_096;

/// Everything an edge has to know beside the boards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rooms {
    /// All rooms.
    pub rooms: Vec<RoomSettings>,
    /// The public keys of passes, a JWK set.
    pub passes: Value,
    /// Sites whose pages may use the API: origins such as `https://shop.example`, or `*`.
    #[serde(default)]
    pub cors_origins: Vec<String>,
}

/// A room and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomSettings {
    /// The event.
    pub event_id: EventId,
    /// The settings, as [`crate::settings::Settings::to_json`] writes them.
    pub settings: Value,
}

/// What an edge has seen since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One for each room and generation there is something to say about.
    pub rooms: Vec<RoomReport>,
}

/// What an edge has seen in one room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomReport {
    /// The event.
    pub event_id: EventId,
    /// The generation that the tickets are of.
    pub generation: Generation,
    /// Holders who have polled.
    #[serde(default, with = "differences")]
    pub heard: Vec<Ticket>,
    /// Who of them is known by an identity: proof for a line that was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<(Ticket, Identity)>,
    /// Tickets whose session is being used and past half of its time: to be extended, where the room extends sessions.
    #[serde(default, with = "differences")]
    pub renew: Vec<Ticket>,
}

/// The answer to a [`Report`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// One for each room of the report that there is, at the generation there is.
    pub rooms: Vec<RoomAnswer>,
}

/// What became of the sessions of one room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomAnswer {
    /// The event.
    pub event_id: EventId,
    /// Its present generation: sessions of older ones are over.
    pub generation: Generation,
    /// For each ticket to renew, when its session ends now; `None` when none is open.
    pub sessions: Vec<(Ticket, Option<Millis>)>,
}

/// Rising numbers as the differences between neighbours: short for tickets that stand close together.
mod differences {
    use super::Ticket;
    use alloc::vec::Vec;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(tickets: &[Ticket], serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<u64> = tickets.iter().map(|ticket| ticket.0).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut last = 0;
        serializer.collect_seq(sorted.into_iter().map(|ticket| ticket - core::mem::replace(&mut last, ticket)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Ticket>, D::Error> {
        let mut last = 0_u64;
        let differences = Vec::<u64>::deserialize(deserializer)?;
        let sum = |difference| {
            last = last.checked_add(difference).ok_or_else(|| D::Error::custom("the tickets add up to too much"))?;
            Ok(Ticket(last))
        };
        differences.into_iter().map(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec;
    use proptest::prelude::*;

    fn room(heard: Vec<u64>) -> RoomReport {
        RoomReport {
            event_id: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            heard: heard.into_iter().map(Ticket).collect(),
            known: vec![],
            renew: vec![],
        }
    }

    #[test]
    fn the_format_is_pinned() {
        let report = Report { rooms: vec![room(vec![5, 7, 6, 1_000])] };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json, r#"{"rooms":[{"event_id":"sale","generation":7,"heard":[5,1,1,993],"renew":[]}]}"#);
        let answer = RoomAnswer {
            event_id: EventId::parse("sale").unwrap(),
            generation: Generation(7),
            sessions: vec![(Ticket(3), Some(Millis(9))), (Ticket(4), None)],
        };
        let json = serde_json::to_string(&Answer { rooms: vec![answer] }).unwrap();
        assert_eq!(json, r#"{"rooms":[{"event_id":"sale","generation":7,"sessions":[[3,9],[4,null]]}]}"#);
    }

    proptest! {
        #[test]
        fn tickets_come_back_as_they_were(tickets: BTreeSet<u64>) {
            let sent = room(tickets.into_iter().collect());
            let json = serde_json::to_string(&sent).unwrap();
            prop_assert_eq!(serde_json::from_str::<RoomReport>(&json).unwrap(), sent);
        }

        #[test]
        fn hostile_reports_never_panic(text in "\\PC{0,200}", numbers: Vec<u64>) {
            let _ = serde_json::from_str::<Report>(&text);
            let json = serde_json::json!({"event_id": "a", "generation": 1, "heard": numbers, "renew": []});
            let _ = serde_json::from_value::<RoomReport>(json);
        }
    }
}
