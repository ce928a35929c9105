//! Who is heard from, who is not, and what that costs the others.

use super::*;

on_every_engine! {
    a_hundred_ghosts_at_the_head_cost_nobody_anything,
    who_polls_is_never_dropped_and_who_returns_in_time_has_the_place_back,
    a_newcomer_is_not_silent_before_four_epochs,
    one_epoch_turns_once,
}

/// Hole 2.
async fn a_hundred_ghosts_at_the_head_cost_nobody_anything(store: Store) {
    room(&store).await;
    crowd(&store, 110).await;
    let alive: Vec<u64> = (101..=110).collect();
    turn_epochs(&store, 5, &alive).await;
    assert_eq!(read(&store).await.facts.waiting, 10);
    assert_eq!(call(&store, 3).await, done(3, 103));
    assert!(matches!(enter_at(&store, 101, NOW).await, Enter::Entered(_)));
}

/// Hole 8, invariant 5.
async fn who_polls_is_never_dropped_and_who_returns_in_time_has_the_place_back(store: Store) {
    room(&store).await;
    crowd(&store, 3).await;
    turn_epochs(&store, 20, &[1, 3]).await;
    assert_eq!(read(&store).await.facts.waiting, 2);
    assert_eq!(hear(&store, [2]).await, 1);
    assert_eq!(hear(&store, [2]).await, 0);
    assert_eq!(call(&store, 2).await, done(2, 2), "in the old order");
    assert_eq!(store.sweep(&event(), NOW).await.unwrap(), Some(0));
}

async fn a_newcomer_is_not_silent_before_four_epochs(store: Store) {
    room(&store).await;
    crowd(&store, 1).await;
    turn_epochs(&store, 7, &[1]).await;
    crowd(&store, 1).await;
    turn_epochs(&store, 4, &[1]).await;
    assert_eq!(read(&store).await.facts.waiting, 2);
    turn_epochs(&store, 1, &[1]).await;
    assert_eq!(read(&store).await.facts.waiting, 1);
}

async fn one_epoch_turns_once(store: Store) {
    room(&store).await;
    let mut turns = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        turns.spawn(async move { store.turn_epoch(&event(), 0, NOW).await.unwrap().unwrap() });
    }
    assert_eq!(turns.join_all().await.iter().flatten().count(), 1);
    assert_eq!(read(&store).await.facts.epoch, 1);
}
