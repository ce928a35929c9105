//! Redis: a line is a handful of keys, and each method of the store is one script, so that it happens as a whole.
//!
//! All keys of a room share the hash tag `{event}`; the keys that do not belong to a room (its name in the list of rooms, the store's
//! name, bound idempotency keys) are never in a script together with one that does. So the same scripts run on a Cluster.

mod link;
mod options;
mod reply;
mod scripts;

pub use options::{BadRedisOptions, Observer, RedisOptions};

use super::{Bound, Inventory, Known, QueueStore, Reading, SESSIONS_READ, StoreError, Stored};
use anteroom_core::line::{
    Call, Called, Enter, EnterTerms, Heard, Join, JoinBatch, JoinLimits, Joined, Leave, Restore,
};
use anteroom_core::units::{EventId, Generation, Millis, Slot, Ticket};
use async_trait::async_trait;
use link::Link;
use redis::{ToRedisArgs, Value};
use reply::Reply;
use scripts::{RoomScript, Scripts};
use std::time::Instant;
use uuid::Uuid;

/// The names of the rooms.
const ROOMS: &str = "anteroom:rooms";
/// The store's own name: gone when the store was emptied.
const STORE: &str = "anteroom:store";
/// Scripts compute in Lua's numbers, which are exact up to here. Greater ones stand for "no limit".
const GREATEST: u64 = (1 << 53) - 1;

/// Lines in Redis 7 or later.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    observer: Option<Observer>,
}

impl RedisStore {
    /// A store at `options.url`. Does not connect: whether Redis is there shows in the first call, and in every one anew.
    pub fn new(options: RedisOptions) -> Result<Self, BadRedisOptions> {
        Ok(Self { link: Link::new(&options)?, scripts: Scripts::new(), observer: options.observer })
    }

    /// Runs a script with `more` keys after its own; `None` when it says that there is no such room.
    async fn call_script(
        &self,
        script: &RoomScript,
        event: Option<&EventId>,
        more: &[String],
        arguments: &Arguments,
    ) -> Stored<Option<(u64, Reply)>> {
        debug_assert!(arguments.count == script.args.len() || (script.more && arguments.count > script.args.len()));
        let mut invocation = script.script.prepare_invoke();
        if let Some(event) = event {
            for key in script.keys {
                invocation.key(room_key(event, key));
            }
        }
        invocation.key(more).arg(arguments);
        let value: Value =
            self.observed(script.name, self.link.run(async |link| invocation.invoke_async(link).await)).await?;
        let mut reply = Reply::new(script.name, value)?;
        match reply.number()? {
            0 => Ok(None),
            status => Ok(Some((status, reply))),
        }
    }

    async fn on_room(
        &self,
        script: &RoomScript,
        event: &EventId,
        arguments: &Arguments,
    ) -> Stored<Option<(u64, Reply)>> {
        self.call_script(script, Some(event), &[], arguments).await
    }

    async fn command<T: redis::FromRedisValue>(&self, name: &'static str, command: redis::Cmd) -> Stored<T> {
        self.observed(name, self.link.run(async |link| command.query_async(link).await)).await
    }

    async fn observed<T>(&self, name: &'static str, call: impl Future<Output = Stored<T>>) -> Stored<T> {
        let started = Instant::now();
        let answer = call.await;
        if let Some(observer) = &self.observer {
            observer(name, started.elapsed());
        }
        answer
    }
}

fn room_key(event: &EventId, suffix: &str) -> String {
    format!("anteroom:{{{event}}}:{suffix}")
}

/// A new name for a life of a line.
fn new_life() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Arguments of a script, encoded as they are added.
#[derive(Default)]
struct Arguments {
    packed: Vec<Vec<u8>>,
    count: usize,
}

impl Arguments {
    fn number(mut self, number: u64) -> Self {
        self.push(number.min(GREATEST).to_string());
        self
    }

    fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        self.push(text.as_ref());
        self
    }

    fn push(&mut self, bytes: impl Into<Vec<u8>>) {
        self.packed.push(bytes.into());
        self.count += 1;
    }
}

impl ToRedisArgs for Arguments {
    fn write_redis_args<W: ?Sized + redis::RedisWrite>(&self, out: &mut W) {
        for argument in &self.packed {
            out.write_arg(argument);
        }
    }

    fn num_of_args(&self) -> usize {
        self.count
    }
}

fn arguments(now: Millis) -> Arguments {
    Arguments::default().number(now.0)
}

#[async_trait]
impl QueueStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn clock(&self) -> Stored<Millis> {
        let (seconds, micros): (u64, u64) = self.command("clock", redis::cmd("TIME")).await?;
        Ok(Millis(seconds * 1000 + micros / 1000))
    }

    async fn inventory(&self) -> Stored<Inventory> {
        // The name is asked for last: when the store is emptied in between, old rooms with a new name are brought back, but no
        // rooms with the old name would be taken for deleted.
        let mut members = redis::cmd("SMEMBERS");
        members.arg(ROOMS);
        let rooms: Vec<String> = self.command("inventory", members).await?;
        let fresh = new_life();
        let mut name = redis::cmd("SET");
        name.arg(STORE).arg(&fresh).arg("NX").arg("GET");
        let known: Option<String> = self.command("inventory", name).await?;
        let mut rooms: Vec<EventId> = rooms.iter().filter_map(|room| EventId::parse(room).ok()).collect();
        rooms.sort_unstable();
        Ok(Inventory { store_id: known.unwrap_or(fresh), rooms })
    }

    async fn put_room(&self, event: &EventId, settings: &str, now: Millis) -> Stored<u64> {
        let arguments = arguments(now).text(settings).text(new_life());
        let answer = self.on_room(&self.scripts.put_room, event, &arguments).await?;
        let Some((_, mut reply)) = answer else { return Err(nonsense("put_room", 0)) };
        let version = reply.number()?;
        self.list_room(event).await?;
        Ok(version)
    }

    async fn delete_room(&self, event: &EventId) -> Stored<bool> {
        // Off the list first, and in `put_room` onto the list last: whatever interleaves, a room that exists is listed.
        let mut unlist = redis::cmd("SREM");
        unlist.arg(ROOMS).arg(event.as_str());
        let _: u64 = self.command("unlist_room", unlist).await?;
        Ok(self.on_room(&self.scripts.delete_room, event, &Arguments::default()).await?.is_some())
    }

    async fn reset(&self, event: &EventId, now: Millis) -> Stored<Option<Generation>> {
        let arguments = arguments(now).text(new_life());
        let answer = self.on_room(&self.scripts.reset_line, event, &arguments).await?;
        let Some((_, mut reply)) = answer else { return Ok(None) };
        Ok(Some(Generation(reply.number()?)))
    }

    async fn read(&self, event: &EventId, known: Known, now: Millis) -> Stored<Option<Reading>> {
        let arguments = arguments(now)
            .number(known.generation.0)
            .number(known.version)
            .number(known.bits)
            .number(known.settings)
            .number(known.mark_at.0)
            .number(if known.sessions { SESSIONS_READ as u64 } else { 0 });
        let answer = self.on_room(&self.scripts.read_line, event, &arguments).await?;
        let Some((_, reply)) = answer else { return Ok(None) };
        reply.reading().map(Some)
    }

    async fn join(
        &self,
        event: &EventId,
        batch: &[Join],
        limits: JoinLimits,
        now: Millis,
    ) -> Stored<Option<JoinBatch>> {
        let mut arguments =
            arguments(now).number(limits.places_per_user).number(limits.idem_ttl_ms).number(limits.mark_every_ms);
        let mut keys = Vec::new();
        let closed = limits.places_per_user == 0;
        for run in batch.chunk_by(|a, b| is_anonymous(a) && is_anonymous(b)) {
            let Join { identity, idem } = &run[0];
            if closed && is_anonymous(&run[0]) {
                continue;
            }
            if let Some(idem) = idem {
                keys.push(room_key(event, &format!("idem:{}", idem.key)));
            }
            arguments = match (identity, idem) {
                (None, None) => arguments.text("a").number(run.len() as u64),
                (Some(identity), None) => arguments.text("i").text(identity.as_str()),
                (None, Some(idem)) => arguments.text("k").text(&idem.fingerprint),
                (Some(identity), Some(idem)) => arguments.text("b").text(identity.as_str()).text(&idem.fingerprint),
            };
        }
        let answer = self.call_script(&self.scripts.join_line, Some(event), &keys, &arguments).await?;
        let Some((_, mut reply)) = answer else { return Ok(None) };
        let mut answer = JoinBatch {
            generation: Generation(reply.number()?),
            now: reply.millis()?,
            serving: reply.number()?,
            waiting: reply.number()?,
            joined: Vec::with_capacity(batch.len()),
        };
        let (mut ticket, mut position) = (reply.number()?, reply.number()?);
        for join in batch {
            let outcome = match is_anonymous(join) {
                true if closed => 4,
                true => 0,
                false => reply.number()?,
            };
            answer.joined.push(match outcome {
                0 => {
                    ticket += 1;
                    position += 1;
                    Joined::New { ticket: Ticket(ticket), position }
                }
                1 => Joined::Repeat {
                    ticket: Ticket(reply.number()?),
                    position: reply.number()?,
                    joined_at: reply.millis()?,
                },
                2 => Joined::Duplicate { ticket: Ticket(reply.number()?) },
                3 => Joined::Conflict,
                4 => Joined::Closed,
                other => return Err(reply.broken(format_args!("the outcome {other}"))),
            });
        }
        Ok(Some(answer))
    }

    async fn hear(&self, event: &EventId, heard: &Heard, now: Millis) -> Stored<Option<u64>> {
        let arguments = arguments(now).number(heard.generation.0).number(heard.base).text(heard.bits.to_bytes());
        let answer = self.on_room(&self.scripts.merge_heartbeats, event, &arguments).await?;
        let Some((_, mut reply)) = answer else { return Ok(None) };
        reply.number().map(Some)
    }

    async fn turn_epoch(&self, event: &EventId, epoch: u64, now: Millis) -> Stored<Option<Option<u64>>> {
        let answer = self.on_room(&self.scripts.sweep_silent, event, &arguments(now).number(epoch)).await?;
        match answer {
            None => Ok(None),
            Some((2, _)) => Ok(Some(None)),
            Some((_, mut reply)) => Ok(Some(Some(reply.number()?))),
        }
    }

    async fn sweep(&self, event: &EventId, now: Millis) -> Stored<Option<u64>> {
        let answer = self.on_room(&self.scripts.sweep_silent, event, &arguments(now).text("")).await?;
        let Some((_, mut reply)) = answer else { return Ok(None) };
        reply.number().map(Some)
    }

    async fn call(&self, event: &EventId, call: &Call) -> Stored<Option<Called>> {
        let arguments = Arguments::default()
            .number(call.version)
            .number(call.now.0)
            .number(call.lapse_to.0)
            .number(call.count)
            .number(call.limit.0)
            .number(call.until.0)
            .number(call.level)
            .number(call.cost)
            .number(call.level_at.0)
            .number(call.refund)
            .number(call.wave_at.0)
            .number(call.rate)
            .number(call.marks_from.0);
        let answer = self.on_room(&self.scripts.call_next, event, &arguments).await?;
        let Some((status, mut reply)) = answer else { return Ok(None) };
        Ok(Some(match status {
            1 => Called::Done { called: reply.number()?, serving: Slot(reply.number()?) },
            2 => Called::Stale { version: reply.number()? },
            other => return Err(nonsense("call_next", other)),
        }))
    }

    async fn enter(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        terms: EnterTerms,
        now: Millis,
    ) -> Stored<Option<Enter>> {
        let arguments =
            arguments(now).number(generation.0).number(slot.0).number(terms.session_ms).number(terms.pass_ttl_ms);
        let answer = self.on_room(&self.scripts.enter_line, event, &arguments).await?;
        let Some((status, mut reply)) = answer else { return Ok(None) };
        Ok(Some(match status {
            1 => Enter::Entered(reply.session()?),
            2 => Enter::Again(reply.session()?),
            3 => Enter::NotReady,
            4 => Enter::Missed,
            5 => Enter::PassedOver,
            6 => Enter::Left,
            7 => Enter::Over,
            8 => Enter::Unknown,
            other => return Err(nonsense("enter_line", other)),
        }))
    }

    async fn leave(&self, event: &EventId, generation: Generation, slot: Slot, now: Millis) -> Stored<Option<Leave>> {
        let arguments = arguments(now).number(generation.0).number(slot.0);
        let answer = self.on_room(&self.scripts.leave_line, event, &arguments).await?;
        let Some((status, _)) = answer else { return Ok(None) };
        Ok(Some(match status {
            1 => Leave::Left,
            2 => Leave::Already,
            3 => Leave::Unknown,
            other => return Err(nonsense("leave_line", other)),
        }))
    }

    async fn extend_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        until: Millis,
        now: Millis,
    ) -> Stored<Option<Option<Millis>>> {
        let arguments = arguments(now).number(generation.0).number(slot.0).number(until.0);
        match self.on_room(&self.scripts.extend_session, event, &arguments).await? {
            None => Ok(None),
            Some((1, mut reply)) => Ok(Some(Some(reply.millis()?))),
            Some(_) => Ok(Some(None)),
        }
    }

    async fn end_session(
        &self,
        event: &EventId,
        generation: Generation,
        slot: Slot,
        now: Millis,
    ) -> Stored<Option<bool>> {
        let arguments = arguments(now).number(generation.0).number(slot.0);
        let answer = self.on_room(&self.scripts.end_session, event, &arguments).await?;
        Ok(answer.map(|(status, _)| status == 1))
    }

    async fn trim(&self, event: &EventId, base: u64) -> Stored<Option<bool>> {
        let answer = self.on_room(&self.scripts.trim_line, event, &Arguments::default().number(base)).await?;
        Ok(answer.map(|(status, _)| status == 1))
    }

    async fn restore(&self, event: &EventId, settings: &str, known: &Restore, now: Millis) -> Stored<bool> {
        let mut arguments = arguments(now)
            .text(new_life())
            .text(settings)
            .number(known.generation.0)
            .number(known.base)
            .number(known.known)
            .number(known.issued)
            .number(known.serving)
            .number(known.level)
            .number(known.level_at.0)
            .number(known.settled_at.0);
        for total in known.totals {
            arguments = arguments.number(total);
        }
        arguments = arguments
            .text(known.gone.to_bytes())
            .text(known.left.to_bytes())
            .number(known.waves.len() as u64)
            .number(known.active.len() as u64);
        for wave in &known.waves {
            arguments = arguments
                .number(wave.from.0)
                .number(wave.last.0)
                .number(wave.called_at.0)
                .number(wave.until.0)
                .number(wave.called)
                .number(wave.claimed);
        }
        for (slot, session) in &known.active {
            arguments = arguments
                .number(*slot)
                .number(session.entered_at.0)
                .number(session.ends_at.0)
                .number(session.pass_at.0);
        }
        for (identity, ticket) in &known.users {
            arguments = arguments.text(identity.as_str()).number(ticket.0);
        }
        let answer = self.on_room(&self.scripts.restore_line, event, &arguments).await?;
        self.list_room(event).await?;
        Ok(answer.is_some_and(|(status, _)| status == 1))
    }

    async fn bind_key(&self, key: &str, fingerprint: &str, ttl_ms: u64, now: Millis) -> Stored<Bound> {
        let key = [format!("anteroom:bound:{key}")];
        let arguments = arguments(now).text(fingerprint).number(ttl_ms);
        match self.call_script(&self.scripts.bind_key, None, &key, &arguments).await? {
            Some((1, _)) => Ok(Bound::New),
            Some((2, _)) => Ok(Bound::Same),
            Some((3, _)) => Ok(Bound::Conflict),
            other => Err(nonsense("bind_key", other.map_or(0, |(status, _)| status))),
        }
    }
}

impl RedisStore {
    async fn list_room(&self, event: &EventId) -> Stored<()> {
        let mut list = redis::cmd("SADD");
        list.arg(ROOMS).arg(event.as_str());
        let _: u64 = self.command("list_room", list).await?;
        Ok(())
    }
}

const fn is_anonymous(join: &Join) -> bool {
    join.identity.is_none() && join.idem.is_none()
}

fn nonsense(script: &str, status: u64) -> StoreError {
    StoreError::Broken(format!("{script} replied the status {status}"))
}
