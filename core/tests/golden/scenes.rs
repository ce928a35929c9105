//! Boards of many kinds of line, and what each says to its people: the same text wherever it is computed.
//!
//! Compiled into the native test and into the one that runs in a browser, so that both hold WebAssembly and native arithmetic to one
//! committed text. Nothing in here reads a clock or chance that is not its own.

use anteroom_core::board::{self, Board};
use anteroom_core::eta::{Capacity, Observed, Pace, Supply};
use anteroom_core::line::{Call, EnterTerms, Join, JoinLimits, Line, TICK_MAX_MS};
use anteroom_core::rank::Rank;
use anteroom_core::settings::{Mode, rfc3339};
use anteroom_core::sketch::Sketch;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::WaitingClaims;
use anteroom_core::units::{EventId, Generation, Millis, Slot, Ticket};
use serde::{Deserialize, Serialize};

/// 2026-11-21T00:00:00Z, room time of every board.
pub const NOW: Millis = Millis(1_795_219_200_000);
/// Generation of every board.
pub const GENERATION: Generation = Generation(1_795_200_000);
/// How long a turn is open, milliseconds.
const CLAIM_MS: u64 = 120_000;

/// A board and what it was asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scene {
    /// What is special about it.
    pub name: String,
    /// The board, as it goes over the wire.
    pub board: String,
    /// Questions and answers.
    pub asked: Vec<Asked>,
}

/// One question.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// What the token says.
    pub event: String,
    /// See `event`.
    pub generation: u64,
    /// See `event`.
    pub ticket: u64,
    /// See `event`; seconds.
    pub issued_at: u64,
    /// When it is asked, milliseconds.
    pub now: u64,
    /// The status reply as JSON text, an error code, or `ask` for "the board cannot tell".
    pub answer: String,
}

impl Asked {
    /// What the token says.
    pub fn claims(&self) -> WaitingClaims {
        WaitingClaims {
            event: EventId::parse(&self.event).unwrap(),
            generation: Generation(self.generation),
            ticket: Ticket(self.ticket),
            identity: None,
            issued_at: self.issued_at,
        }
    }
}

/// What a board, as text, says to the holder of a token.
pub fn answer(board: &str, claims: &WaitingClaims, now: Millis) -> String {
    let board: Board = serde_json::from_str(board).unwrap();
    let as_of = rfc3339(board.as_of);
    match status::from_board(&board, &as_of, board.is_stale(now), claims, now) {
        FromBoard::Reply(reply) => serde_json::to_string(&reply).unwrap(),
        FromBoard::Refuse(code) => code.as_str().to_owned(),
        FromBoard::Ask => "ask".to_owned(),
    }
}

/// All of them, one question a line, so that a change can be read.
pub fn text() -> String {
    let mut text = String::from("[\n");
    let scenes = scenes();
    for (at, scene) in scenes.iter().enumerate() {
        let (name, board) = (json(&scene.name), json(&scene.board));
        text += &format!(" {{\"name\": {name},\n  \"board\": {board},\n  \"asked\": [\n");
        for (at, asked) in scene.asked.iter().enumerate() {
            text += &format!("   {}{}\n", json(asked), if at + 1 < scene.asked.len() { "," } else { "" });
        }
        text += if at + 1 < scenes.len() { "  ]},\n" } else { "  ]}\n" };
    }
    text + "]\n"
}

/// Results of the functions that estimates and pauses are made of, bit for bit.
pub fn floats() -> String {
    let mut lines = Vec::new();
    let mut dice = Dice(7);
    for _ in 0..200 {
        let x = (dice.share() * 40.0 - 20.0).exp2_by_parts();
        let results = [
            libm::exp(-x),
            libm::log(x),
            libm::log10(x),
            libm::log1p(x),
            libm::erf(x),
            libm::sqrt(x),
            libm::pow(10.0, x.min(300.0)),
            libm::ceil(x),
            libm::floor(x),
            libm::round(x),
        ];
        let bits: Vec<String> = results.iter().map(|result| format!("{:016x}", result.to_bits())).collect();
        lines.push(format!("{:016x} {}", x.to_bits(), bits.join(" ")));
    }
    lines.join("\n") + "\n"
}

/// Chance, the same everywhere (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn share(&mut self) -> f64 {
        self.roll(1 << 53) as f64 / (1_u64 << 53) as f64
    }
}

/// Numbers spread over orders of magnitude, without a function that is itself under test.
trait Spread {
    fn exp2_by_parts(self) -> f64;
}

impl Spread for f64 {
    fn exp2_by_parts(self) -> f64 {
        let whole = self as i64;
        let part = 1.0 + (self - whole as f64).abs();
        if whole < 0 { part / (1_u64 << -whole) as f64 } else { part * (1_u64 << whole) as f64 }
    }
}

/// How a line comes to be and moves.
struct Story {
    name: &'static str,
    people: u64,
    /// How many of a hundred leave, in clumps.
    leave: u64,
    /// How many are called, in how many waves a second apart; some of them enter.
    called: u64,
    waves: u64,
    mode: Mode,
    opens_in_ms: Option<u64>,
    supply: Supply,
    capacity: Option<Capacity>,
}

const STEADY: Supply = Supply::Steady { per_minute: 600, ready_now: 0.5 };

const PLAIN: Story = Story {
    name: "",
    people: 1,
    leave: 0,
    called: 0,
    waves: 1,
    mode: Mode::Line,
    opens_in_ms: None,
    supply: STEADY,
    capacity: None,
};

fn scenes() -> Vec<Scene> {
    let full = Capacity { limit: 500, free: 0, session_ms: 600_000, renews: true };
    let roomy = Capacity { limit: 2_000, free: 40, session_ms: 300_000, renews: false };
    let groups = Supply::Waves { size: 250, every_ms: 30_000, next_at: NOW.plus(12_345) };
    [
        Story { name: "nobody", people: 0, ..PLAIN },
        Story { name: "one waits", supply: Supply::Steady { per_minute: 1, ready_now: 0.25 }, ..PLAIN },
        Story { name: "one is called", called: 1, ..PLAIN },
        Story { name: "ten", people: 10, leave: 20, called: 3, waves: 2, ..PLAIN },
        Story { name: "three hundred", people: 300, leave: 10, called: 20, waves: 4, capacity: Some(roomy), ..PLAIN },
        Story { name: "three hundred, full", people: 300, leave: 30, called: 60, capacity: Some(full), ..PLAIN },
        Story {
            name: "five thousand in waves",
            people: 5_000,
            leave: 15,
            called: 500,
            waves: 2,
            supply: groups,
            ..PLAIN
        },
        Story { name: "five thousand, more waves than a board holds", people: 5_000, called: 300, waves: 100, ..PLAIN },
        Story { name: "two hundred thousand", people: 200_000, leave: 30, called: 3_000, waves: 30, ..PLAIN },
        Story {
            name: "two hundred thousand, full",
            people: 200_000,
            leave: 5,
            called: 600,
            waves: 10,
            capacity: Some(full),
            ..PLAIN
        },
        Story { name: "held", people: 300, leave: 10, called: 5, mode: Mode::Hold, supply: Supply::Stopped, ..PLAIN },
        Story {
            name: "before opening",
            people: 5_000,
            leave: 5,
            opens_in_ms: Some(95_000),
            supply: Supply::Stopped,
            ..PLAIN
        },
        Story { name: "measured only", people: 10, mode: Mode::Passthrough, supply: Supply::Instant, ..PLAIN },
    ]
    .iter()
    .map(Story::scene)
    .collect()
}

impl Story {
    fn scene(&self) -> Scene {
        let line = self.line();
        let board = serde_json::to_string(&self.board(&line)).unwrap();
        let mut asked = Vec::new();
        let mut ask = |claims: &WaitingClaims, now: Millis| {
            asked.push(Asked {
                event: claims.event.as_str().to_owned(),
                generation: claims.generation.0,
                ticket: claims.ticket.0,
                issued_at: claims.issued_at,
                now: now.0,
                answer: answer(&board, claims, now),
            });
        };
        let start = NOW.minus(300_000).secs();
        for ticket in self.tickets() {
            let holder = claims("sale", GENERATION, ticket, start + ticket % 200);
            ask(&holder, NOW);
            ask(&holder, NOW.plus(1_234));
        }
        let serving = line.facts().serving;
        let edges = [1, serving, serving + 1].map(|ticket| claims("sale", GENERATION, ticket.max(1), start));
        for (holder, ms) in edges.iter().flat_map(|holder| [CLAIM_MS - 1, CLAIM_MS, 61_000].map(|ms| (holder, ms))) {
            ask(holder, NOW.plus(ms));
        }
        ask(&edges[2], NOW.minus(3_600_000));
        ask(&edges[2], NOW.plus(board::STALE_MS));
        ask(&edges[2], NOW.plus(board::STALE_MS + 1));
        ask(&claims("other", GENERATION, 1, start), NOW);
        ask(&claims("sale", Generation(GENERATION.0 - 1), 1, start), NOW);
        ask(&claims("sale", Generation(GENERATION.0 + 1), 1, start), NOW);
        Scene { name: self.name.to_owned(), board, asked }
    }

    /// The front, both sides of where positions stop being exact, the middle, the end, and who joined after the board.
    fn tickets(&self) -> Vec<u64> {
        let (n, called) = (self.people, self.called);
        let mut tickets: Vec<u64> = [1, 2, 3, 5, 10, 100, 255, 256, 257, 258, 1_000, n / 2, n - n / 10]
            .into_iter()
            .chain([0, 1, 2, 7, 50, 256, 300].map(|behind| called + behind))
            .filter(|ticket| (1..=n).contains(ticket))
            .chain([n, n + 1, n + 1_000])
            .filter(|ticket| *ticket > 0)
            .collect();
        tickets.sort_unstable();
        tickets.dedup();
        tickets
    }

    fn line(&self) -> Line {
        let mut dice = Dice(self.people);
        let born = NOW.minus(300_000);
        let mut line = Line::new(GENERATION, born);
        let limits = JoinLimits { places_per_user: 1, idem_ttl_ms: 60_000, mark_every_ms: 1_000 };
        let mut at = born;
        for _ in 0..10 {
            at = at.plus(5_000);
            tick_until(&mut line, at);
            line.join(&vec![Join { identity: None, idem: None }; (self.people / 10) as usize], limits, at);
        }
        line.join(&vec![Join { identity: None, idem: None }; (self.people % 10) as usize], limits, at);
        let mut leaving = 0;
        for slot in 1..=self.people {
            if leaving == 0 && dice.roll(1_000) < self.leave {
                leaving = 1 + dice.roll(20);
            }
            if leaving > 0 && dice.roll(100) < 90 {
                line.leave(GENERATION, Slot(slot), at.plus(slot % 97));
            }
            leaving = u64::saturating_sub(leaving, 1);
        }
        let first = NOW.minus(self.waves * 1_000);
        tick_until(&mut line, first);
        let terms = EnterTerms { session_ms: 600_000, pass_ttl_ms: 30_000 };
        for wave in 0..self.waves.min(self.called) {
            let now = first.plus(wave * 1_000);
            let count = (wave + 1) * self.called / self.waves - wave * self.called / self.waves;
            tick_until(&mut line, now);
            let facts = line.facts().clone();
            let call = Call {
                version: facts.version,
                now,
                count,
                limit: Slot(facts.issued),
                until: now.plus(CLAIM_MS),
                ..Call::default()
            };
            line.call(&call);
            for slot in facts.serving + 1..=line.facts().serving {
                if dice.roll(3) == 0 {
                    line.enter(GENERATION, Slot(slot), terms, now);
                }
            }
        }
        tick_until(&mut line, NOW);
        line
    }

    fn board(&self, line: &Line) -> Board {
        let facts = line.facts();
        let observed = Observed {
            now: facts.now,
            since: facts.born_at,
            supply_since: facts.born_at,
            waiting: facts.waiting,
            supply: self.supply,
            capacity: self.capacity,
        };
        let rank = Rank::build(line.gone());
        Board {
            format: board::FORMAT,
            event_id: EventId::parse("sale").unwrap(),
            generation: facts.generation,
            version: facts.version,
            as_of: facts.now,
            mode: board::mode_word(self.mode),
            opens_at: self.opens_in_ms.map(|ms| facts.now.plus(ms)),
            message: None,
            issued: facts.issued,
            serving: facts.serving,
            waiting: facts.waiting,
            heartbeat_ms: 300_000,
            patience_ms: CLAIM_MS,
            turns: Board::turns(line.waves().iter().copied()),
            pace: Pace::learn(&observed, line.window()),
            sketch: Sketch::build(line.gone(), &rank, facts.base, Slot(facts.serving), Slot(facts.issued)),
        }
    }
}

/// Ticks as a host does until `now`.
fn tick_until(line: &mut Line, now: Millis) {
    while line.facts().settled_at < now {
        line.settle(line.facts().settled_at.plus(TICK_MAX_MS).min(now));
    }
}

fn claims(event: &str, generation: Generation, ticket: u64, issued_at: u64) -> WaitingClaims {
    let event = EventId::parse(event).unwrap();
    WaitingClaims { event, generation, ticket: Ticket(ticket), identity: None, issued_at }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
