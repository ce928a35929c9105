//! What a program is told instead of what it asked for: the fields of the error that refuses it, and when to come back.

use super::decide::{Ended, Scene};
use crate::code::ErrorCode;
use alloc::string::String;
use serde_json::{Map, Value};

/// The message of the error.
pub const fn message(scene: Scene) -> &'static str {
    match scene {
        Scene::Line => "Your turn has not arrived yet",
        Scene::Outside => {
            "This site has a waiting room. Accept application/json by name, or open a page, to be given a place in line"
        }
        Scene::Ended(Ended::Lost) => {
            "The place, the turn or the session is over. Ask again without its token to join again"
        }
        Scene::Ended(Ended::Left) => "The place was given up",
        Scene::Closed(ErrorCode::BookingClosed) => "Booking has closed",
        Scene::Closed(_) => "The room takes nobody right now",
        Scene::NotOpen => "The waiting room is not open yet",
        Scene::Held => "No place in line can be given right now. Try again in a moment",
        Scene::Refused(ErrorCode::InvalidRequest) => {
            "The host, the path or the method of this request cannot be understood"
        }
        Scene::Refused(ErrorCode::NotFound) => "No site of this name is served here",
        Scene::Refused(ErrorCode::MethodNotAllowed) => "This method is not allowed here",
        Scene::Refused(ErrorCode::RateLimited) => "Too many requests from this address",
        Scene::Refused(ErrorCode::BadGateway) => "The site behind the waiting room cannot be reached",
        Scene::Refused(ErrorCode::GatewayTimeout) => "The site behind the waiting room does not answer in time",
        Scene::Refused(_) => "This request cannot be served",
    }
}

/// The fields beside `code` and `message`: of somebody in line, everything that a status answer says, and the waiting token, which the
/// program shows in `Anteroom-Token` from now on. `status` is such an answer.
pub fn fields(scene: Scene, status: Option<&Value>, waiting_token: Option<&str>) -> Map<String, Value> {
    let mut fields = match (scene, status) {
        (Scene::Line, Some(Value::Object(status))) => status.clone(),
        _ => Map::new(),
    };
    if let (Scene::Line, Some(token)) = (scene, waiting_token) {
        fields.insert("waiting_token".into(), token.into());
    }
    fields
}

/// Seconds for `Retry-After`: in line, the pace of the place, rounded up.
pub fn retry_after_sec(scene: Scene, status: Option<&Value>) -> Option<u64> {
    let pace = || status?.get("poll_after_ms")?.as_u64();
    match scene {
        Scene::Line => pace().map(|ms| ms.div_ceil(1000).max(1)),
        other => other.retry_after_sec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_program_in_line_is_told_its_place_and_when_to_come_back() {
        let status = json!({"status": "waiting", "position": 7, "poll_after_ms": 2001});
        let told = Value::Object(fields(Scene::Line, Some(&status), Some("t.o.k")));
        assert_eq!(told, json!({"status": "waiting", "position": 7, "poll_after_ms": 2001, "waiting_token": "t.o.k"}));
        assert_eq!(retry_after_sec(Scene::Line, Some(&status)), Some(3));
    }

    #[test]
    fn nobody_else_is_told_of_a_place() {
        let status = json!({"status": "waiting", "position": 7, "poll_after_ms": 2001});
        for scene in [Scene::Outside, Scene::Held, Scene::NotOpen, Scene::Closed(ErrorCode::RoomFull)] {
            assert!(fields(scene, Some(&status), Some("t.o.k")).is_empty(), "{scene:?}");
        }
        assert_eq!(retry_after_sec(Scene::Held, Some(&status)), Some(5));
        assert_eq!(retry_after_sec(Scene::Closed(ErrorCode::BookingClosed), None), None);
    }

    #[test]
    fn every_503_and_429_can_say_when() {
        for scene in [Scene::Held, Scene::Closed(ErrorCode::RoomFull)] {
            assert!(scene.code().status() == 503 && retry_after_sec(scene, None).is_some());
        }
    }
}
