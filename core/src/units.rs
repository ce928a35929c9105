//! The quantities of a room, each a type of its own so that a ticket is never mistaken for a place or a time.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize};

/// A point in room time: milliseconds since the Unix epoch. Room time never runs backwards, see [`crate::line`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub const fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `ms` milliseconds later.
    pub const fn plus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// The point `ms` milliseconds earlier, not before the epoch.
    pub const fn minus(self, ms: u64) -> Millis {
        Millis(self.0.saturating_sub(ms))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

/// The number handed out by a join: 1, 2, 3 … within a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub u64);

/// The place in line that a ticket stands for: the ticket itself, or its drawn place after a draw. Slot 0 is before everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

/// How many live slots stand at or before a place: the head of the line is 1; 0 means called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// Which life of a room a token belongs to; a reset starts the next one and voids all tokens of the former.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Most characters of an identifier on the wire.
pub const ID_MAX: usize = 128;

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// It has no characters.
    Empty,
    /// It has more than [`ID_MAX`] characters.
    TooLong,
    /// It has a character outside `A-Za-z0-9._:-`.
    Character,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadId::Empty => "is empty",
            BadId::TooLong => "is longer than 128 characters",
            BadId::Character => "has a character outside A-Za-z0-9._:-",
        })
    }
}

impl core::error::Error for BadId {}

fn check_id(text: &str) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > ID_MAX {
        return Err(BadId::TooLong);
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if text.bytes().all(allowed) { Ok(()) } else { Err(BadId::Character) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Parses 1 to 128 characters of `A-Za-z0-9._:-`; the error says which rule was broken.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                check_id(text).map(|()| Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                check_id(&text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// Names an event, and so its room.
    EventId
);
/// Who somebody is, as far as one place per person goes: the `sub` of a believed user token, or a trusted `user_id`.
///
/// Identity providers choose their own alphabets, so any text of 1 to 255 bytes without control characters is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// Parses 1 to 255 bytes without control characters.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        match text {
            "" => Err(BadId::Empty),
            _ if text.len() > 255 => Err(BadId::TooLong),
            _ if text.chars().any(char::is_control) => Err(BadId::Character),
            _ => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Identity::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_accept_exactly_the_contract_alphabet() {
        for (text, want) in [
            ("a", Ok(())),
            ("Sale-2026.11_21:vip", Ok(())),
            ("", Err(BadId::Empty)),
            ("a b", Err(BadId::Character)),
            ("a/b", Err(BadId::Character)),
            ("a{b}", Err(BadId::Character)),
            ("é", Err(BadId::Character)),
        ] {
            assert_eq!(EventId::parse(text).map(|_| ()), want, "{text:?}");
        }
        assert!(EventId::parse(&"x".repeat(128)).is_ok());
        assert_eq!(EventId::parse(&"x".repeat(129)), Err(BadId::TooLong));
    }
}
