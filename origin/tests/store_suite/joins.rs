//! Joining: numbers, keys, one place a person.

use super::*;

on_every_engine! {
    numbers_follow_the_order_of_the_batch,
    concurrent_joins_never_share_a_number,
    a_hundred_concurrent_joins_of_one_person_are_one_place,
    twenty_concurrent_joins_with_one_key_are_one_ticket,
    a_key_that_has_run_out_is_free,
    keys_and_identities_end_with_their_generation,
    a_place_given_up_or_used_up_may_be_taken_again,
    join_marks_follow_the_positions_as_long_as_they_are_few,
}

/// Hole 4: order within one moment.
async fn numbers_follow_the_order_of_the_batch(store: Store) {
    room(&store).await;
    let batch = [anonymous(), anonymous(), identified("a"), anonymous(), keyed("k", "f"), anonymous()];
    let joined = join_at(&store, &batch, NOW).await;
    let want: Vec<Joined> = (1..=6).map(|n| Joined::New { ticket: Ticket(n), position: n }).collect();
    assert_eq!(joined, want);
}

async fn concurrent_joins_never_share_a_number(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..40 {
        let store = store.clone();
        joins.spawn(async move { new_tickets(&join_at(&store, &vec![anonymous(); 25], NOW).await) });
    }
    let mut tickets = joins.join_all().await.concat();
    tickets.sort_unstable();
    assert_eq!(tickets, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(read(&store).await.facts.waiting, 1_000);
}

/// Hole 7.
async fn a_hundred_concurrent_joins_of_one_person_are_one_place(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        joins.spawn(async move { join_at(&store, &[identified("somebody")], NOW).await });
    }
    let joined = joins.join_all().await.concat();
    assert_eq!(new_tickets(&joined), [1]);
    assert_eq!(joined.iter().filter(|joined| **joined == Joined::Duplicate { ticket: Ticket(1) }).count(), 99);
    assert_eq!(read(&store).await.facts.waiting, 1);
}

/// Hole 3.
async fn twenty_concurrent_joins_with_one_key_are_one_ticket(store: Store) {
    room(&store).await;
    let mut joins = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        joins.spawn(async move { join_at(&store, &[keyed("caller:key", "print")], NOW).await });
    }
    let joined = joins.join_all().await.concat();
    assert_eq!(new_tickets(&joined), [1]);
    let repeat = Joined::Repeat { ticket: Ticket(1), position: 1, joined_at: NOW };
    assert_eq!(joined.iter().filter(|joined| **joined == repeat).count(), 19);
    assert_eq!(join_at(&store, &[keyed("caller:key", "another")], NOW).await, [Joined::Conflict]);
    assert_eq!(read(&store).await.facts.issued, 1);
}

/// Hole 17: a key that has run out is free, to the millisecond, by room time.
async fn a_key_that_has_run_out_is_free(store: Store) {
    room(&store).await;
    join_at(&store, &[keyed("k", "f")], NOW).await;
    let last = NOW.plus(LIMITS.idem_ttl_ms - 1);
    assert!(matches!(join_at(&store, &[keyed("k", "f")], last).await[..], [Joined::Repeat { .. }]));
    assert_eq!(new_tickets(&join_at(&store, &[keyed("k", "g")], last.plus(1)).await), [2]);

    let bind = async |fingerprint, now| store.bind_key("key {of} a/caller", fingerprint, 5_000, now).await.unwrap();
    assert_eq!(bind("a b", NOW).await, Bound::New);
    assert_eq!(bind("a b", NOW.plus(4_999)).await, Bound::Same);
    assert_eq!(bind("c", NOW.plus(4_999)).await, Bound::Conflict);
    assert_eq!(bind("c", NOW.plus(5_000)).await, Bound::New);
}

/// Hole 11, 12: what a key or an identity had in another life of the room does not count.
async fn keys_and_identities_end_with_their_generation(store: Store) {
    room(&store).await;
    let batch = [keyed("k", "f"), identified("a")];
    join_at(&store, &batch, NOW).await;
    store.reset(&event(), NOW).await.unwrap().unwrap();
    assert_eq!(new_tickets(&join_at(&store, &batch, NOW).await), [1, 2]);
    assert!(store.delete_room(&event()).await.unwrap());
    assert!(!store.delete_room(&event()).await.unwrap());
    room(&store).await;
    assert_eq!(new_tickets(&join_at(&store, &batch, NOW).await), [1, 2]);
}

async fn a_place_given_up_or_used_up_may_be_taken_again(store: Store) {
    room(&store).await;
    let batch = [identified("left"), identified("inside"), identified("missed"), identified("waits")];
    join_at(&store, &batch, NOW).await;
    leave(&store, 1).await;
    call(&store, 2).await;
    enter_at(&store, 2, NOW).await;
    let later = NOW.plus(30_000);
    tick_until(&store, later).await;
    let joined = join_at(&store, &batch, later).await;
    assert_eq!(new_tickets(&joined), [5, 6], "the one who left, the one who missed");
    assert_eq!(joined[1], Joined::Duplicate { ticket: Ticket(2) });
    assert_eq!(joined[3], Joined::Duplicate { ticket: Ticket(4) });
    let after = NOW.plus(TERMS.session_ms);
    tick_until(&store, after).await;
    assert_eq!(new_tickets(&join_at(&store, &batch[1..2], after).await), [7], "the session is over");
}

async fn join_marks_follow_the_positions_as_long_as_they_are_few(store: Store) {
    room(&store).await;
    let limits = JoinLimits { mark_every_ms: 3_600_000, ..LIMITS };
    let marks = async || read(&store).await.joins.len();
    let mut now = NOW;
    // Whoever comes after somebody has left stands elsewhere than the youngest mark says.
    for slot in 1..=EXACT_MARKS as u64 + 20 {
        now = now.plus(1);
        store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
        leave(&store, slot).await;
        if slot == 20 {
            store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
            assert_eq!(marks().await, 20, "never two within a millisecond");
            leave(&store, 21).await;
        }
    }
    assert_eq!(marks().await, EXACT_MARKS);
    now = now.plus(limits.mark_every_ms);
    store.join(&event(), &[anonymous()], limits, now).await.unwrap().unwrap();
    assert_eq!(marks().await, EXACT_MARKS + 1);
}
