//! The error codes of the wire contract and the HTTP status of each: one table for every host.

use core::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal;)*) => {
        /// The `code` of an error response. Stable: clients match on the text, metrics use it as a label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }

            /// The HTTP status that carries it.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or a field is of the wrong type, too long or of an unknown value; the message names the field.
    InvalidRequest = "INVALID_REQUEST", 400;
    /// No `event_id` where one is needed.
    MissingEventId = "MISSING_EVENT_ID", 400;
    /// No waiting token or pass where one is needed.
    MissingToken = "MISSING_TOKEN", 400;
    /// The `Idempotency-Key` is not a UUID.
    InvalidIdempotencyKey = "INVALID_IDEMPOTENCY_KEY", 400;
    /// No `Idempotency-Key` where one is required.
    IdempotencyRequired = "IDEMPOTENCY_REQUIRED", 400;
    /// A bearer token is required, and is missing, malformed, expired or wrongly signed.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// Authenticated, but not for this.
    Forbidden = "FORBIDDEN", 403;
    /// Enter before the turn.
    NotReady = "NOT_READY", 403;
    /// No such path, or nothing that this caller may know of.
    NotFound = "NOT_FOUND", 404;
    /// No such room.
    EventNotFound = "EVENT_NOT_FOUND", 404;
    /// The waiting token is forged, malformed, of another generation, or left the line.
    TokenNotFound = "TOKEN_NOT_FOUND", 404;
    /// Silent too long and passed over, turn missed, or waited past the room's limit.
    TokenExpired = "TOKEN_EXPIRED", 404;
    /// The path exists, the method does not; `Allow` lists those that do.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// A join for an identity that already holds all the places it may.
    DuplicateRequest = "DUPLICATE_REQUEST", 409;
    /// The same idempotency key came with another request.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", 409;
    /// After the schedule closed.
    BookingClosed = "BOOKING_CLOSED", 409;
    /// Before joins open.
    JoinNotOpen = "JOIN_NOT_OPEN", 409;
    /// The seat is taken.
    ReservationConflict = "RESERVATION_CONFLICT", 409;
    /// None left.
    SoldOut = "SOLD_OUT", 409;
    /// The hold ran out.
    ReservationExpired = "RESERVATION_EXPIRED", 409;
    /// The reservation token was used before.
    PassSpent = "PASS_SPENT", 409;
    /// The body is longer than the limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// Too many requests from this client.
    RateLimited = "RATE_LIMITED", 429;
    /// A bug; the cause is in the log under the trace id, never in the body.
    InternalError = "INTERNAL_ERROR", 500;
    /// The site behind the gate cannot be reached, or answers what is no HTTP.
    BadGateway = "BAD_GATEWAY", 502;
    /// The room turns everybody away.
    RoomFull = "ROOM_FULL", 503;
    /// The store cannot be reached; nothing was changed.
    Unavailable = "UNAVAILABLE", 503;
    /// The site behind the gate does not answer in time.
    GatewayTimeout = "GATEWAY_TIMEOUT", 504;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_those_of_the_contract() {
        let contract = "INVALID_REQUEST 400, MISSING_EVENT_ID 400, MISSING_TOKEN 400, INVALID_IDEMPOTENCY_KEY 400, \
            IDEMPOTENCY_REQUIRED 400, UNAUTHENTICATED 401, FORBIDDEN 403, NOT_READY 403, NOT_FOUND 404, \
            EVENT_NOT_FOUND 404, TOKEN_NOT_FOUND 404, TOKEN_EXPIRED 404, METHOD_NOT_ALLOWED 405, DUPLICATE_REQUEST 409, \
            IDEMPOTENCY_CONFLICT 409, BOOKING_CLOSED 409, JOIN_NOT_OPEN 409, RESERVATION_CONFLICT 409, SOLD_OUT 409, \
            RESERVATION_EXPIRED 409, PASS_SPENT 409, PAYLOAD_TOO_LARGE 413, RATE_LIMITED 429, INTERNAL_ERROR 500, \
            BAD_GATEWAY 502, ROOM_FULL 503, UNAVAILABLE 503, GATEWAY_TIMEOUT 504";
        let mut listed = contract.split(", ");
        for code in ErrorCode::ALL {
            assert_eq!(listed.next(), Some(std::format!("{code} {}", code.status()).as_str()));
        }
        assert_eq!(listed.next(), None);
    }
}
