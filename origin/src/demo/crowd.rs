//! Simulated people, so that somebody who tries the demo alone has a line to wait in.
//!
//! They use the functions behind the JSON API, do as they are told, and are as unreliable as people are: some leave,
//! some fall silent, some do not come when called.

use crate::api::{App, Caller, passes, queue};
use crate::error::ApiError;
use anteroom_core::units::EventId;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// People come this much faster than they are called, to make up for those who give up.
const SURPLUS: f64 = 1.1;
/// Seconds in which a line that is too short or too long is brought back.
const CORRECTION_SEC: f64 = 20.0;
/// Most people who come in a second.
const FASTEST: f64 = 100.0;

/// See the module's comment.
pub struct Crowd {
    app: Arc<App>,
    event: EventId,
    size: NonZeroU32,
}

/// What somebody has in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mind {
    /// To wait, go in and look around.
    Patient,
    /// To leave after so many polls.
    Leaves(u32),
    /// To close the tab after so many polls.
    FallsSilent(u32),
    /// To be elsewhere when called.
    MissesTurn,
}

impl Mind {
    fn random() -> Self {
        match fastrand::u32(0..100) {
            0..6 => Self::Leaves(fastrand::u32(1..6)),
            6..11 => Self::FallsSilent(fastrand::u32(1..6)),
            11..14 => Self::MissesTurn,
            _ => Self::Patient,
        }
    }
}

impl Crowd {
    /// A crowd that keeps about `size` people in line.
    pub fn new(app: Arc<App>, event: EventId, size: NonZeroU32) -> Self {
        Self { app, event, size }
    }

    /// As many at once as the line should be long, then one after another. Ends when dropped, and everybody with it.
    pub async fn keep_coming(self) {
        let crowd = Arc::new(self);
        let mut people = JoinSet::new();
        for _ in 0..crowd.size.get() {
            people.spawn(crowd.clone().visit());
        }
        loop {
            sleep(crowd.pause()).await;
            people.spawn(crowd.clone().visit());
            while people.try_join_next().is_some() {}
        }
    }

    /// How long until the next one comes: random, around what keeps the line as long as it should be.
    fn pause(&self) -> Duration {
        let Some(room) = self.app.rooms.get(self.event.as_str()) else { return Duration::from_secs(1) };
        let view = room.view();
        let short = f64::from(self.size.get()) - view.facts.waiting as f64;
        let called = f64::from(view.settings.admit_per_minute) / 60.0;
        let per_sec = (called * SURPLUS + short / CORRECTION_SEC).clamp(0.05, FASTEST);
        Duration::from_secs_f64((-fastrand::f64().max(1e-9).ln() / per_sec).min(20.0))
    }

    /// One person, from coming to going.
    async fn visit(self: Arc<Self>) {
        if let Err(error) = self.try_visit(Mind::random()).await {
            tracing::debug!(code = %error.code(), "a simulated person was turned away");
        }
    }

    async fn try_visit(&self, mind: Mind) -> Result<(), ApiError> {
        let app = &*self.app;
        let place = queue::place(app, &Caller::Anonymous, self.event.clone(), None, None).await?;
        let (mut pause, mut polls) = (place.poll_after_ms, 0);
        loop {
            sleep(Duration::from_millis(pause)).await;
            match mind {
                Mind::Leaves(after) if polls >= after => return queue::give_up(app, &place.token).await,
                Mind::FallsSilent(after) if polls >= after => return Ok(()),
                _ => {}
            }
            polls += 1;
            let heard = queue::hear(app, &place.token).await?;
            let reply = heard.reply()?;
            if reply.ready_for_entry {
                break;
            }
            pause = reply.poll_after_ms;
        }
        if mind == Mind::MissesTurn {
            return Ok(());
        }
        sleep(Duration::from_millis(fastrand::u64(500..8_000))).await;
        let admission = queue::admit(app, &Caller::Anonymous, Some(&place.token), None).await?;
        sleep(Duration::from_secs(fastrand::u64(10..60))).await;
        passes::end(app, &admission.pass).await
    }
}
