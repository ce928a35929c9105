//! One run: the server, the room, the people, the verdict.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at, sleep},
};

use super::{
    fronted::Passed,
    options::Options,
    person::{Clock, Plan, Progress, Scene, live},
    report::report,
    story::Story,
    verdict::{EDGE_MS, EXACT_MS, checks},
};
use crate::{
    client::Client,
    edge,
    redis::Redis,
    server::{Admin, Server},
    wire::{Settings, Stats},
};

/// Runs the crowd and prints the report. `Ok(false)` means that a promise was broken.
pub async fn run(options: &Options) -> Result<bool> {
    let directory = tempfile::tempdir()?;
    let redis = if options.redis { Some(Redis::start(directory.path()).await?) } else { None };
    let server = match &options.server {
        Some(binary) => Some(Server::start(binary, redis.as_ref().map(Redis::url).as_deref(), directory.path()).await?),
        None => None,
    };
    let edge = match (&options.workerd, &options.edge, &server) {
        (Some(workerd), Some(bundle), Some(server)) => {
            Some(edge::start(workerd, bundle, server, directory.path()).await?)
        }
        _ => None,
    };
    let kept = against(options, server.as_ref(), edge.as_ref().map(|(_, url)| url.as_str())).await?;
    if let Some((edge, _)) = edge {
        if !kept {
            println!("\nThe edge's last words:\n{}", edge.last_words());
        }
        edge.end().await?;
    }
    if let Some(server) = server {
        if !kept {
            println!("\nThe server's last words:\n{}", server.last_words());
        }
        server.end().await?;
    }
    if let Some(redis) = redis {
        redis.end().await?;
    }
    Ok(kept)
}

async fn against(options: &Options, server: Option<&Server>, edge: Option<&str>) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let own = server.map(Server::url).or(options.url.as_deref()).context("no server")?;
    let url = edge.unwrap_or(own);
    let admin = match (server, &options.admin_token) {
        (Some(server), _) => Some(server.admin()?),
        (None, Some(token)) => Some(Admin::new(own, token)?),
        (None, None) => None,
    };
    let clock = Clock::start();
    let event = options.event.clone().unwrap_or_else(|| format!("crowd-{:x}", clock.now() as u64));
    let settings = room(options, admin.as_ref(), &event).await?;
    let before = stats(admin.as_ref(), &event).await;

    println!("{} people within {} s at {url}, room {event}, seed {seed}", options.people, options.over);
    let now = Instant::now();
    let (rate, claim) = settings.as_ref().map_or((60.0, 120.0), |s| (s.admit_per_minute, s.claim_sec));
    let scene = Arc::new(Scene {
        client: Client::new(url, options.connections)?,
        event: event.clone(),
        claim_ms: settings.as_ref().map(|s| s.claim_sec * 1e3),
        end_sessions: settings.as_ref().is_some_and(|s| s.capacity.is_some()),
        tolerate: options.tolerate.clone(),
        deadline: now + Duration::from_secs_f64(options.time_limit(rate, claim)),
        clock,
        progress: Progress::default(),
    });
    let mut people = JoinSet::new();
    for index in 0..options.people {
        let plan = plan(options, &mut rng, now, index);
        let scene = Arc::clone(&scene);
        people.spawn(async move { live(&scene, plan).await });
    }
    let (stories, inside_peak) = tokio::join!(collect(people), watch(&scene, admin.as_ref(), options.people));
    let stories = stories?;

    // The server's numbers are as old as its last tick.
    sleep(Duration::from_secs(1)).await;
    let after = stats(admin.as_ref(), &event).await;
    // Only a room that was empty before can be counted against this crowd alone.
    let fresh = before.is_some_and(|stats| stats.issued == 0);
    let grain_ms = if edge.is_some() { EDGE_MS } else { EXACT_MS };
    let mut checks = checks(&stories, settings.as_ref(), after.as_ref().filter(|_| fresh), inside_peak, grain_ms);
    let passed = if edge.is_some() { Some(Passed::count(own).await?) } else { None };
    checks.extend(passed.as_ref().map(|passed| passed.check(&stories)));
    println!("{}", report(&stories, after.as_ref(), &checks));
    if let Some(passed) = &passed {
        println!("What reached the server through the edge\n\n{}", passed.table());
    }
    println!("Took {:.1} s{}.", now.elapsed().as_secs_f64(), own_cpu(now.elapsed()));
    let broken = checks.iter().filter(|check| check.kept == Some(false)).count();
    match broken {
        0 => println!("Every promise was kept."),
        _ => println!("Promises broken: {broken}."),
    }
    Ok(broken == 0)
}

/// Sets the room up, or reads how it is set up.
async fn room(options: &Options, admin: Option<&Admin>, event: &str) -> Result<Option<Settings>> {
    match admin {
        Some(admin) if options.keep_settings => admin.room(event).await.map(Some),
        Some(admin) => admin.put_room(event, &options.room()).await.map(Some),
        None => {
            eprintln!(
                "Without --admin-token the room's settings are not known: rate, capacity and order go unchecked."
            );
            Ok(None)
        }
    }
}

async fn stats(admin: Option<&Admin>, event: &str) -> Option<Stats> {
    match admin?.stats(event).await {
        Ok(stats) => Some(stats),
        Err(error) => {
            eprintln!("The room's numbers: {error:#}");
            None
        }
    }
}

fn plan(options: &Options, rng: &mut Rng, start: Instant, index: usize) -> Plan {
    let share = (index as f64 + rng.f64()) / options.people as f64;
    let mut dice = rng.f64() * 100.0;
    let mut falls = |percent: f64| {
        let hit = (0.0..percent).contains(&dice);
        dice -= percent;
        hit
    };
    let (leaves, goes_silent, no_show) = (falls(options.leavers), falls(options.silent), falls(options.no_show));
    Plan {
        arrives: start + Duration::from_secs_f64(options.arrival(share)),
        leaves_after: leaves.then(|| rng.u64(0..4)),
        silent_after: goes_silent.then(|| rng.u64(0..3)),
        no_show,
        doubled: (rng.f64() * 100.0 < options.doubled).then(|| uuid(rng)),
        dwell: Duration::from_secs_f64(options.dwell * (0.5 + rng.f64())),
    }
}

/// A random UUID, version 4.
fn uuid(rng: &mut Rng) -> String {
    let hex = format!("{:032x}", rng.u128(..));
    let variant = ['8', '9', 'a', 'b'][rng.usize(0..4)];
    format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

async fn collect(mut people: JoinSet<Story>) -> Result<Vec<Story>> {
    let mut stories = Vec::with_capacity(people.len());
    while let Some(story) = people.join_next().await {
        stories.push(story?);
    }
    Ok(stories)
}

/// Prints how it goes, and asks the server once a second how many it counts inside or ready; answers the most it said.
async fn watch(scene: &Scene, admin: Option<&Admin>, people: usize) -> Option<u64> {
    let mut peak = None;
    let mut ticks = interval_at(Instant::now() + Duration::from_secs(1), Duration::from_secs(1));
    for second in 1_u64.. {
        ticks.tick().await;
        let Progress { joined, called, entered, done } = &scene.progress;
        let done = done.load(Relaxed);
        if done >= people as u64 {
            break;
        }
        if second % 10 == 0 {
            let [joined, called, entered] = [joined, called, entered].map(|n| n.load(Relaxed));
            eprintln!("{second:>4} s: {joined} joined, {called} called, {entered} entered, {done} done");
        }
        if let Some(admin) = admin
            && let Ok(stats) = admin.stats(&scene.event).await
        {
            peak = peak.max(Some(stats.active + stats.ready));
        }
    }
    peak
}

/// What the crowd itself cost, where the system tells.
fn own_cpu(elapsed: Duration) -> String {
    // The crowd runs on one thread: the first figure is its time on a processor in nanoseconds.
    let spent = std::fs::read_to_string("/proc/self/schedstat").ok();
    let spent = spent.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map(|ns| format!(", the crowd used {:.0} % of a core", ns / 1e7 / elapsed.as_secs_f64())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_version_4_uuids() {
        let key = uuid(&mut Rng::with_seed(7));
        assert_eq!(key.len(), 36);
        assert_eq!(key.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(key.as_bytes()[14], b'4');
    }
}
