//! A line that was lost comes back from what an origin remembers.

use super::*;

on_every_engine! {
    a_lost_line_is_brought_back_from_what_an_origin_remembers,
    a_restore_raises_the_number_of_a_line_that_lost_its_last_joins,
    a_missing_room_is_made_by_a_restore,
}

/// Invariant 8: what one origin remembers brings the line back, and no number is handed out twice.
async fn a_lost_line_is_brought_back_from_what_an_origin_remembers(store: Store) {
    room(&store).await;
    join_at(&store, &[identified("a"), anonymous(), anonymous(), anonymous(), anonymous(), anonymous()], NOW).await;
    leave(&store, 2).await;
    call(&store, 2).await;
    enter_at(&store, 1, NOW).await;
    let was = read(&store).await;
    let unheard = join_at(&store, &[anonymous(), anonymous()], NOW).await;
    let (gone, left) = was.bitmaps.clone().unwrap();
    let known = Restore {
        generation: GENERATION,
        base: 0,
        known: was.facts.issued,
        issued: was.facts.issued + 100,
        serving: was.facts.serving,
        gone,
        left,
        settled_at: was.facts.settled_at,
        waves: was.waves.clone().unwrap(),
        active: was.sessions.clone().unwrap(),
        level: 7,
        level_at: NOW,
        totals: [2, 1, 0, 1],
        users: vec![(Identity::parse("a").unwrap(), Ticket(1))],
    };
    // The store is emptied, and makes the room anew, in another generation.
    store.delete_room(&event()).await.unwrap();
    store.put_room(&event(), "{}", NOW.plus(9_000)).await.unwrap();
    assert!(store.restore(&event(), "{}", &known, NOW).await.unwrap());
    assert!(!store.restore(&event(), "{}", &known, NOW).await.unwrap(), "a second origin knows no more");

    let facts = read(&store).await.facts;
    assert_eq!((facts.generation, facts.issued, facts.serving, facts.waiting), (GENERATION, 106, 3, 3));
    assert_eq!((facts.ready, facts.active, facts.level), (1, 1, 7));
    assert!(matches!(enter_at(&store, 1, NOW).await, Enter::Again(_)), "nobody enters twice");
    assert!(matches!(enter_at(&store, 3, NOW).await, Enter::Entered(_)), "a turn that was called still stands");
    assert_eq!(join_at(&store, &[identified("a")], NOW).await, [Joined::Duplicate { ticket: Ticket(1) }]);
    let next = new_tickets(&join_at(&store, &[anonymous()], NOW).await);
    assert_eq!(next, [107], "none of {unheard:?} again");
    assert_eq!(hear(&store, new_tickets(&unheard)).await, 2, "those have their places back");
    turn_epochs(&store, 12, &[4, 5, 6, 7, 8, 107]).await;
    let facts = read(&store).await.facts;
    assert_eq!(facts.waiting, 6, "the skipped are nobody's places, whatever time passes");
    assert_eq!(call(&store, 6).await, done(6, 107));
}

async fn a_restore_raises_the_number_of_a_line_that_lost_its_last_joins(store: Store) {
    room(&store).await;
    crowd(&store, 5).await;
    let known = Restore { generation: GENERATION, known: 5, issued: 9, ..Restore::default() };
    assert!(store.restore(&event(), "{}", &known, NOW).await.unwrap());
    assert!(!store.restore(&event(), "{}", &known, NOW).await.unwrap());
    let old = Restore { generation: Generation(1), known: 5, issued: 900, gone: Bitmap::new(), ..Restore::default() };
    assert!(!store.restore(&event(), "{}", &old, NOW).await.unwrap(), "an older generation has nothing to say");
    assert_eq!(read(&store).await.facts.waiting, 5);
    assert_eq!(new_tickets(&join_at(&store, &[anonymous()], NOW).await), [10]);
}

async fn a_missing_room_is_made_by_a_restore(store: Store) {
    let known = Restore { generation: GENERATION, known: 5, issued: 5, ..Restore::default() };
    assert!(store.restore(&event(), "{\"mode\":\"hold\"}", &known, NOW).await.unwrap());
    let reading = read(&store).await;
    assert_eq!((reading.facts.waiting, reading.settings.as_deref()), (5, Some("{\"mode\":\"hold\"}")));
    assert_eq!(store.inventory().await.unwrap().rooms, [event()]);
}
