//! What a page can be about, and what a host knows when it asks for one.

use anteroom_core::code::ErrorCode;
use anteroom_core::line::Standing;
use anteroom_core::status::StatusReply;
use anteroom_core::units::{Generation, Millis, Ticket};

/// What the page is about.
#[derive(Clone, Copy, Debug)]
pub enum Scene<'a> {
    /// A place in line: waiting, paused, before the opening, ready to go in, or gone in already.
    Line(Line<'a>),
    /// A place that is no more, and a button that joins again.
    Ended(Ended),
    /// Nobody can join, and nobody is let in.
    Closed,
    /// Joins are not open yet. The page counts down and loads anew when they are.
    NotOpen {
        /// When they are.
        opens_at: Millis,
    },
    /// No place could be given, because the origin is away. The page tries again by itself.
    Held {
        /// When to, seconds.
        retry_after_sec: u64,
    },
    /// An error, in plain words.
    Refused(ErrorCode),
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Where it is, as the status API says it; `status.message` is the operator's message on this page.
    pub status: &'a StatusReply<'a>,
    /// The room's generation. With `ticket` it tells this place from others that the same browser had.
    pub generation: Generation,
    /// The person's number.
    pub ticket: Ticket,
    /// Silence after which the place stops counting, seconds.
    pub heartbeat_sec: u32,
    /// Where a page without script asks again: the same page, with what [`Seen::with`] says in its query and, when it is
    /// carried by hand, the token.
    pub refresh_url: &'a str,
}

/// Why a place is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The claim window closed before the person came, or the longest wait was over.
    Missed,
    /// Silent when the line came to it.
    PassedOver,
    /// Given up on purpose.
    Left,
    /// The person was inside, and the session is over.
    Over,
    /// Nobody knows it: another generation, or not our token.
    Unknown,
}

impl Ended {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Missed, Self::PassedOver, Self::Left, Self::Over, Self::Unknown];

    /// What `standing` ended as; `None` for a place that still is one. Whoever has entered may still be inside: only a
    /// host that knows the session says [`Ended::Over`].
    pub const fn of(standing: Standing) -> Option<Self> {
        match standing {
            Standing::Missed => Some(Self::Missed),
            Standing::PassedOver => Some(Self::PassedOver),
            Standing::Left => Some(Self::Left),
            Standing::Unknown => Some(Self::Unknown),
            Standing::Waiting | Standing::Silent | Standing::Ready { .. } | Standing::Entered => None,
        }
    }

    /// Its name in the language files and in templates.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::PassedOver => "passed",
            Self::Left => "left",
            Self::Over => "over",
            Self::Unknown => "unknown",
        }
    }
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The way back: the path and query the person asked for, already validated.
    pub to: &'a str,
    /// The waiting token, when it is carried by hand because the browser has not shown that it keeps cookies.
    pub token: Option<&'a str>,
    /// The person's languages, best first; see [`accepted`](crate::accepted).
    pub languages: &'a [&'a str],
    /// What allows this page's own style and script, and no other: 128 random bits or more as base64 or hex. Other
    /// characters are left out.
    pub nonce: &'a str,
    /// The room's time.
    pub now: Millis,
    /// What a page without script has shown before.
    pub seen: Option<Seen>,
}

/// What has been shown of a place: so that a position never goes up and progress never back, even without a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Best position shown.
    pub best: u64,
    /// Worst position shown: what progress is counted from.
    pub of: u64,
}

impl Seen {
    /// What will have been shown after a page with `status`. `before` comes from a request and may be anything.
    pub fn with(before: Option<Self>, status: &StatusReply<'_>) -> Self {
        let before = before.unwrap_or(Self { best: u64::MAX, of: 0 });
        // Whoever waits is at least first.
        let best = before.best.clamp(status.position.min(1), status.position);
        // Whatever comes from an address stays within what a script counts exactly.
        let of = before.of.min(1 << 40).max(best).max(1);
        Self { best, of }
    }
}
