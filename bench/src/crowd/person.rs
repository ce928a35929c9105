//! One person: joins, polls when told to, and does what the plan says.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::story::{Kind, Outcome, Story};
use crate::{
    client::{Answer, Ask, Client},
    wire::{Entered, Joined, Place, Status},
};

/// What one person has in mind.
#[derive(Debug, Clone)]
pub struct Plan {
    /// When to come.
    pub arrives: Instant,
    /// After how many polls to leave.
    pub leaves_after: Option<u64>,
    /// After how many polls to go silent.
    pub silent_after: Option<u64>,
    /// Lets the turn pass.
    pub no_show: bool,
    /// Key under which the join is sent twice at the same time; the enter is then sent twice as well.
    pub doubled: Option<String>,
    /// How long to stay inside.
    pub dwell: Duration,
}

/// What everybody in the crowd shares.
#[derive(Debug)]
pub struct Scene {
    /// The way to the server.
    pub client: Client,
    /// The room.
    pub event: String,
    /// Length of the claim window, if known.
    pub claim_ms: Option<f64>,
    /// Whether sessions must be ended, because room inside is scarce.
    pub end_sessions: bool,
    /// Statuses that are retried without blame.
    pub tolerate: Vec<u16>,
    /// When to stop.
    pub deadline: Instant,
    /// Clock of the crowd.
    pub clock: Clock,
    /// People in each state, for the progress line.
    pub progress: Progress,
}

/// Wall-clock milliseconds that never step back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    zero: Instant,
    zero_ms: f64,
}

/// How many have come, been called, entered, and are done.
#[derive(Debug, Default)]
pub struct Progress {
    /// Joined.
    pub joined: AtomicU64,
    /// Saw their call.
    pub called: AtomicU64,
    /// Were let in.
    pub entered: AtomicU64,
    /// Reached their outcome.
    pub done: AtomicU64,
}

impl Clock {
    /// Starts from the system's clock.
    pub fn start() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { zero: Instant::now(), zero_ms: now.as_secs_f64() * 1e3 }
    }

    /// Now, in milliseconds since 1970.
    pub fn now(&self) -> f64 {
        self.zero_ms + self.zero.elapsed().as_secs_f64() * 1e3
    }
}

/// Lives one story from arrival to outcome.
pub async fn live(scene: &Scene, plan: Plan) -> Story {
    let mut story = Story::default();
    sleep_until(plan.arrives).await;
    let mut person = Person { scene, plan, story: &mut story };
    let ended = timeout_at(scene.deadline, person.walk()).await;
    if let Ok(Ok(outcome) | Err(outcome)) = ended {
        story.outcome = outcome;
    }
    scene.progress.done.fetch_add(1, Relaxed);
    story
}

struct Person<'a> {
    scene: &'a Scene,
    plan: Plan,
    story: &'a mut Story,
}

/// `Err` ends the story early.
type Step<T> = Result<T, Outcome>;

impl Person<'_> {
    async fn walk(&mut self) -> Step<Outcome> {
        let joined = self.join().await?;
        let token = joined.waiting_token;
        self.story.joined_at = Some(self.scene.clock.now());
        self.story.place = Some(Place::of_token(&token).map_err(|error| Outcome::Broken(format!("{error:#}")))?);
        self.scene.progress.joined.fetch_add(1, Relaxed);
        if let Some(position) = joined.position {
            self.story.note_position(position);
        }
        // Who is called at once asks once all the same: the end of the claim window is in the status only.
        let first = if joined.status == "ready" { 0 } else { joined.poll_after_ms.unwrap_or(2000) };
        match self.wait_in_line(&token, Duration::from_millis(first)).await? {
            Some(outcome) => Ok(outcome),
            None if self.plan.no_show => self.let_it_pass(&token).await,
            None => self.go_in(&token).await,
        }
    }

    async fn join(&mut self) -> Step<Joined> {
        let body = json!({ "event_id": self.scene.event });
        let key = self.plan.doubled.clone();
        let ask = Ask::post("/api/v1/queue/join", &body).idempotency_key(key.as_deref());
        let answer = if key.is_some() {
            let (first, second) = self.ask_twice(Kind::Join, ask).await?;
            if place_in(&first) != place_in(&second) {
                self.story.extra_places += 1;
            }
            first
        } else {
            self.ask(Kind::Join, ask).await?
        };
        match answer.status {
            202 => answer.json().map_err(|error| Outcome::Broken(format!("join: {error:#}"))),
            _ => Err(self.broken(Kind::Join, &answer)),
        }
    }

    /// Polls until called (`None`) or until the story is over.
    async fn wait_in_line(&mut self, token: &str, first: Duration) -> Step<Option<Outcome>> {
        let mut pause = first;
        for polls in 0.. {
            if self.plan.leaves_after == Some(polls) {
                return self.leave(token).await.map(Some);
            }
            if self.plan.silent_after == Some(polls) {
                return Ok(Some(Outcome::Silent));
            }
            sleep(pause).await;
            let status = match self.status(token).await? {
                Some(status) => status,
                None => return Ok(Some(Outcome::Missed)),
            };
            if status.ready_for_entry {
                let now = self.scene.clock.now();
                self.story.note_call(now, status.claim_expires_at.map(|moment| moment.0), self.scene.claim_ms);
                self.scene.progress.called.fetch_add(1, Relaxed);
                return Ok(None);
            }
            self.story.note_wait(self.scene.clock.now(), &status);
            pause = Duration::from_millis(status.poll_after_ms.unwrap_or(2000).max(50));
        }
        Ok(None)
    }

    /// One poll; `None` when the place is lost.
    async fn status(&mut self, token: &str) -> Step<Option<Status>> {
        let path = format!("/api/v1/queue/status?token={token}");
        let answer = self.ask(Kind::Status, Ask::get(&path)).await?;
        if answer.status == 404 && answer.code().contains("TOKEN_EXPIRED") {
            return Ok(None);
        }
        if answer.status != 200 {
            return Err(self.broken(Kind::Status, &answer));
        }
        let status: Status = answer.json().map_err(|error| Outcome::Broken(format!("status: {error:#}")))?;
        match status.status.as_str() {
            "waiting" | "ready" => Ok(Some(status)),
            "expired" => Ok(None),
            other => Err(Outcome::Broken(format!("status `{other}` before entering"))),
        }
    }

    async fn leave(&mut self, token: &str) -> Step<Outcome> {
        let path = format!("/api/v1/queue/leave?token={token}");
        self.story.gone_at = Some(self.scene.clock.now());
        let answer = self.ask(Kind::Leave, Ask::delete(&path)).await?;
        if answer.status == 200 { Ok(Outcome::Left) } else { Err(self.broken(Kind::Leave, &answer)) }
    }

    /// Lets the claim window pass and makes sure that the turn is gone then.
    async fn let_it_pass(&mut self, token: &str) -> Step<Outcome> {
        let Some(end) = self.story.claim_expires_at else { return Ok(Outcome::NoShow) };
        let left = (end - self.scene.clock.now()).max(0.0) + 2000.0;
        sleep(Duration::from_secs_f64(left / 1e3)).await;
        self.story.gone_at = Some(end);
        match self.status(token).await? {
            None => Ok(Outcome::NoShow),
            Some(status) if status.ready_for_entry => Err(Outcome::Broken("ready after the claim window".to_owned())),
            Some(_) => Err(Outcome::Broken("back in line after a missed turn".to_owned())),
        }
    }

    async fn go_in(&mut self, token: &str) -> Step<Outcome> {
        let body = json!({ "waiting_token": token });
        let ask = Ask::post("/api/v1/queue/enter", &body);
        let answers = if self.plan.doubled.is_some() {
            let (first, second) = self.ask_twice(Kind::Enter, ask).await?;
            vec![first, second]
        } else {
            vec![self.ask(Kind::Enter, ask).await?]
        };
        for answer in &answers {
            if answer.status == 404 && answer.code().contains("TOKEN_EXPIRED") {
                return Ok(Outcome::Missed);
            }
            if answer.status != 200 {
                return Err(self.broken(Kind::Enter, answer));
            }
            let entered: Entered = answer.json().map_err(|error| Outcome::Broken(format!("enter: {error:#}")))?;
            self.story.gone_at = entered.session_expires_at.map(|moment| moment.0);
            self.story.passes.push(entered.reservation_token);
        }
        self.story.passes.dedup();
        self.story.entered_at = Some(self.scene.clock.now());
        self.scene.progress.entered.fetch_add(1, Relaxed);
        if self.scene.end_sessions {
            sleep(self.plan.dwell).await;
            self.end_session().await?;
        }
        Ok(Outcome::Entered)
    }

    async fn end_session(&mut self) -> Step<()> {
        let body = json!({ "pass": self.story.passes[0] });
        let now = self.scene.clock.now();
        self.story.gone_at = Some(self.story.gone_at.map_or(now, |end| end.min(now)));
        let answer = self.ask(Kind::End, Ask::post("/api/v1/sessions/end", &body)).await?;
        if answer.status == 200 { Ok(()) } else { Err(self.broken(Kind::End, &answer)) }
    }

    /// The same request twice at the same time.
    async fn ask_twice(&mut self, kind: Kind, ask: Ask<'_>) -> Step<(Answer, Answer)> {
        *self.story.requests.entry(kind).or_default() += 1;
        let other = self.scene.client.send(ask.clone());
        let retry = ask.clone();
        let (first, second) = tokio::join!(self.ask(kind, ask), other);
        let second = match second {
            Ok(answer) if !matches!(answer.status, 429 | 503) => answer,
            _ => self.ask(kind, retry).await?,
        };
        Ok((first?, second))
    }

    /// One request, sent again for as long as the server says that it cannot answer now.
    async fn ask(&mut self, kind: Kind, ask: Ask<'_>) -> Step<Answer> {
        loop {
            *self.story.requests.entry(kind).or_default() += 1;
            let (code, text, pause) = match self.scene.client.send(ask.clone()).await {
                Ok(answer) if matches!(answer.status, 429 | 503) => {
                    (answer.status, answer.code(), answer.retry_after.unwrap_or(1))
                }
                Ok(answer) => return Ok(answer),
                Err(error) => (0, format!("0 {error:#}"), 1),
            };
            self.note_fault(kind, code, text);
            sleep(Duration::from_secs(pause.min(30))).await;
        }
    }

    fn note_fault(&mut self, kind: Kind, code: u16, text: String) {
        *self.story.faults.entry((kind, text)).or_default() += 1;
        self.story.blamed += u64::from(!self.scene.tolerate.contains(&code));
    }

    fn broken(&mut self, kind: Kind, answer: &Answer) -> Outcome {
        let code = answer.code();
        self.note_fault(kind, answer.status, code.clone());
        Outcome::Broken(format!("{kind:?} answered {code}"))
    }
}

fn place_in(answer: &Answer) -> Option<Place> {
    Place::of_token(&answer.json::<Joined>().ok()?.waiting_token).ok()
}
