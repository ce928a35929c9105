//! From a token and a board to a status answer. What a board cannot know is left to the origin.

use crate::boards::Board;
use anteroom_core::code::ErrorCode;
use anteroom_core::status::{self, FromBoard};
use anteroom_core::token::{TokenKeys, WaitingClaims};
use anteroom_core::units::{Millis, Slot};

/// What a status request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This body.
    Answer(String),
    /// This error.
    Refuse(ErrorCode),
    /// What the origin says: the board cannot tell.
    Ask,
}

/// The claims of a token that we signed; for any other text, the error of the contract.
pub fn verify(keys: &TokenKeys, token: &str) -> Result<WaitingClaims, ErrorCode> {
    keys.verify(token).map_err(|_| ErrorCode::TokenNotFound)
}

/// The slot of a holder.
pub fn slot(claims: &WaitingClaims) -> Slot {
    Slot(claims.ticket.0)
}

/// The answer that `board` gives to the holder of `claims`, `stale` being whether it is older than it should be. See
/// [`status::from_board`].
pub fn answer(board: &Board, stale: bool, claims: &WaitingClaims, now: Millis) -> Verdict {
    match status::from_board(board.public(), board.as_of(), stale, claims, now) {
        FromBoard::Reply(reply) => {
            Verdict::Answer(serde_json::to_string(&reply).expect("texts and numbers always serialise"))
        }
        FromBoard::Refuse(code) => Verdict::Refuse(code),
        FromBoard::Ask => Verdict::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::tests::{GENERATION, NOW, board, line};
    use anteroom_core::line::Standing;
    use anteroom_core::units::{EventId, Generation, Ticket};
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn keys() -> TokenKeys {
        TokenKeys::new(&[SECRET]).unwrap()
    }

    fn claims(ticket: u64) -> WaitingClaims {
        WaitingClaims {
            event: EventId::parse("sale").unwrap(),
            generation: GENERATION,
            ticket: Ticket(ticket),
            identity: None,
            issued_at: NOW.secs() - 40,
        }
    }

    fn asked(ticket: u64, now: Millis) -> Verdict {
        answer(&board(&line()), false, &claims(ticket), now)
    }

    fn body(verdict: Verdict) -> Value {
        match verdict {
            Verdict::Answer(body) => serde_json::from_str(&body).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everybody_in_line_gets_the_position_that_counting_gives() {
        let line = line();
        let board = board(&line);
        for ticket in 1..=line.facts().issued {
            let live = line.live_up_to(Slot(ticket));
            if line.standing(Slot(ticket)) == Standing::Waiting {
                let body = body(answer(&board, false, &claims(ticket), NOW));
                assert_eq!((&body["status"], &body["position"]), (&json!("waiting"), &json!(live)), "{ticket}");
            }
        }
    }

    #[test]
    fn a_waiting_answer_has_every_field_of_the_contract() {
        let body = body(asked(200, NOW));
        assert_eq!(body["total_waiting"], 180);
        assert_eq!((&body["waiting_time"], &body["ready_for_entry"]), (&json!(40), &json!(false)));
        assert_eq!((&body["as_of"], &body["stale"]), (&json!("2026-11-21T00:00:00Z"), &json!(false)));
        assert_eq!((&body["position"], &body["claim_expires_at"]), (&json!(178), &Value::Null));
        // Ten a second are called, and the bucket is empty.
        assert_eq!(body["eta_sec"], 18);
        assert!(body["eta_low_sec"].as_u64() <= Some(18) && body["eta_high_sec"].as_u64() >= Some(18));
        assert!(body["eta_confidence"].is_f64() && body["poll_after_ms"].as_u64() >= Some(500));
    }

    #[test]
    fn a_called_holder_is_ready_until_the_claim_window_closes_and_then_the_origin_is_asked() {
        let body = body(asked(10, NOW));
        assert_eq!((&body["status"], &body["position"], &body["eta_sec"]), (&json!("ready"), &json!(0), &json!(0)));
        assert_eq!(
            (&body["ready_for_entry"], &body["claim_expires_at"]),
            (&json!(true), &json!("2026-11-21T00:02:00Z"))
        );
        assert!(matches!(asked(10, NOW.plus(119_999)), Verdict::Answer(_)));
        assert_eq!(asked(10, NOW.plus(120_000)), Verdict::Ask);
    }

    #[test]
    fn a_clock_behind_that_of_the_room_is_the_rooms() {
        assert_eq!(asked(10, NOW.minus(60_000)), asked(10, NOW));
        assert_eq!(body(asked(200, NOW.minus(60_000)))["waiting_time"], 40);
    }

    #[test]
    fn a_ticket_issued_after_the_board_waits_at_the_end() {
        let body = body(asked(203, NOW));
        assert_eq!((&body["status"], &body["position"]), (&json!("waiting"), &json!(181)));
    }

    #[test]
    fn tokens_of_another_event_or_an_older_generation_have_no_place_here() {
        let board = board(&line());
        let other = WaitingClaims { event: EventId::parse("other").unwrap(), ..claims(200) };
        assert_eq!(answer(&board, false, &other, NOW), Verdict::Refuse(ErrorCode::TokenNotFound));
        let older = WaitingClaims { generation: Generation(GENERATION.0 - 1), ..claims(200) };
        assert_eq!(answer(&board, false, &older, NOW), Verdict::Refuse(ErrorCode::TokenNotFound));
        let newer = WaitingClaims { generation: Generation(GENERATION.0 + 1), ..claims(200) };
        assert_eq!(answer(&board, false, &newer, NOW), Verdict::Ask, "reset since, and the board is of before");
    }

    #[test]
    fn an_answer_from_a_stale_board_says_so() {
        assert_eq!(body(answer(&board(&line()), true, &claims(200), NOW))["stale"], true);
    }

    #[test]
    fn a_forged_token_is_not_found_and_a_signed_one_is_read() {
        let token = keys().sign(&claims(7));
        assert_eq!(verify(&keys(), &token), Ok(claims(7)));
        let others = TokenKeys::new(&["another secret of thirty-two bytes"]).unwrap();
        for bad in [others.sign(&claims(7)), String::new(), token[..token.len() - 1].into(), token.replace('.', "")] {
            assert_eq!(verify(&keys(), &bad), Err(ErrorCode::TokenNotFound), "{bad}");
        }
    }
}
