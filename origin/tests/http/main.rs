//! The contract over HTTP: the real router behind a real socket, asked by a real client, on the embedded store and on a real Redis.

//!
//! Holes that other waiting rooms fell into, and the test that each is for us. `core` is the line's own suite, `store` the one that
//! every store passes, `faults` the suite beside this one.
//!
//! | hole | test |
//! |---|---|
//! | the position shown never goes down | `queue::leaving_moves_everybody_behind_one_up`, `admission::people_are_called_in_the_order_they_joined` |
//! | abandoned places at the head stop the line | `admission::a_hundred_ghosts_at_the_head_cost_the_living_nothing` |
//! | only the front person's own poll admits anybody | `admission::calls_never_exceed_the_rate_bucket`: nobody polls in it |
//! | enters at once with one token give several passes | `idempotency::thirty_two_enters_at_once_give_one_reservation_token`, `faults::two_origins::tokens_positions_turns_and_keys_are_the_same_at_both` |
//! | requests at once with one key give several results | `idempotency::twenty_joins_at_once_with_one_key_are_one_place` |
//! | order within one second is random | `admission::people_are_called_in_the_order_they_joined` |
//! | the estimate learns from named people only | core, `eta`; nobody is named in it |
//! | the limiter rounds its refill down to nothing | `limit::hole_6_steady_traffic_gets_its_rate_however_often_it_asks` in the library |
//! | the first `X-Forwarded-For` hop is believed | `operations::clients_beyond_the_rate_are_told_when_to_come_back` |
//! | one person takes five places | `identity::a_hundred_joins_at_once_of_one_person_are_one_place` |
//! | a token from before numbering, replayed, takes any number of places | a token has its number; `forgery::a_waiting_token_that_we_did_not_make_is_nobodys_place` |
//! | waiting data ends although the person polls | `admission::who_polls_is_never_dropped_and_who_comes_back_in_time_has_the_place` |
//! | `sendBeacon` can only POST | `queue::a_place_is_left_in_every_way_a_page_can_ask` |
//! | nothing behind the queue can check the admission | `passes::a_pass_is_checked_with_the_published_keys_alone` |
//! | an idempotency record hands one person's answer to another | `idempotency::a_record_answers_only_the_caller_who_made_it` |
//! | admitted to one sale, admitted to all | `forgery::a_token_of_one_room_is_not_good_in_another` |
//! | an old low number survives a reset | `queue::an_old_number_does_not_survive_a_reset`, `idempotency::a_record_does_not_bring_a_number_back_after_a_reset`, `faults::restart::a_reset_is_not_undone_by_a_kill` |
//! | a lock left by a crash stops the line | there are none; `faults::two_origins::one_is_killed_and_the_other_goes_on_within_rate_capacity_and_order` |
//! | one idle event stops the events behind it | `admission::an_idle_a_held_and_a_deleted_room_hold_up_no_other` |
//! | people popped from the line before they are granted | store; a call moves the cursor and opens the turn in one step |
//! | moving many people blocks Redis | store, which times its scripts |
//! | a number burnt or given twice when two systems count | `faults::restart`, `faults::emptied` |
//! | one interface, two stores, two rules | store, `differential`, and this suite, which runs on both |
//! | a verifier whose failures are truthy, fields joined without separators | `forgery`, `passes::verifying_says_whose_and_how_long_and_of_anything_else_only_no` |
//! | key rotation throws everybody out | `forgery::a_change_of_secret_throws_nobody_out` |

#![allow(clippy::unwrap_used, reason = "all of it is test, not only what is marked as such")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod admin;
mod admission;
mod bad_input;
mod cors;
mod edge;
mod forgery;
mod idempotency;
mod identity;
mod operations;
mod passes;
mod queue;
