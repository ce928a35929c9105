//! What TypeScript is told beside the class itself.

/// The types that mirror the wire: `StatusReply` of core and the error codes of the contract.
pub const TYPES: &str = r#"
/** What a board says to the holder of a token: the body of `GET /api/v1/queue/status`. */
export interface Status {
    /** `entered` never comes from a board, which does not know who has entered. */
    readonly status: "waiting" | "ready" | "entered";
    /** 1 is the head of the line; 0 once called. Exact up to 256, within one in a hundred beyond. */
    readonly position: number;
    /** Seconds until the turn; null when nobody can know. */
    readonly eta_sec: number | null;
    /** One wait in ten is shorter. */
    readonly eta_low_sec: number | null;
    /** One wait in ten is longer. */
    readonly eta_high_sec: number | null;
    /** Chance, from 0 to 1, that the estimate is right to a quarter. */
    readonly eta_confidence: number | null;
    /** Seconds since the join. */
    readonly waiting_time: number;
    /** Whether to enter now. */
    readonly ready_for_entry: boolean;
    /** When the turn is missed, RFC 3339; null while there is none. */
    readonly claim_expires_at: string | null;
    /** When to fetch the next board, milliseconds from now. */
    readonly poll_after_ms: number;
    /** People in line. */
    readonly total_waiting: number;
    /** The room's mode: in `hold` nobody is called for now. */
    readonly mode: "line" | "passthrough" | "hold" | "reject";
    /** Before this nobody is called, RFC 3339; null once it is past. */
    readonly opens_at: string | null;
    /** What the operator has to say to those who wait. */
    readonly message: string | null;
    /** Room time of the board, RFC 3339. */
    readonly as_of: string;
    /** Whether the board is older than it should be. */
    readonly stale: boolean;
}

/** Codes of errors: those of the API. */
export type ErrorCode =
    | "INVALID_REQUEST"
    | "MISSING_EVENT_ID"
    | "MISSING_TOKEN"
    | "INVALID_IDEMPOTENCY_KEY"
    | "IDEMPOTENCY_REQUIRED"
    | "UNAUTHENTICATED"
    | "FORBIDDEN"
    | "NOT_READY"
    | "NOT_FOUND"
    | "EVENT_NOT_FOUND"
    | "TOKEN_NOT_FOUND"
    | "TOKEN_EXPIRED"
    | "METHOD_NOT_ALLOWED"
    | "DUPLICATE_REQUEST"
    | "IDEMPOTENCY_CONFLICT"
    | "BOOKING_CLOSED"
    | "JOIN_NOT_OPEN"
    | "RESERVATION_CONFLICT"
    | "SOLD_OUT"
    | "RESERVATION_EXPIRED"
    | "PASS_SPENT"
    | "PAYLOAD_TOO_LARGE"
    | "RATE_LIMITED"
    | "INTERNAL_ERROR"
    | "BAD_GATEWAY"
    | "ROOM_FULL"
    | "UNAVAILABLE"
    | "GATEWAY_TIMEOUT";

/** What {@link Line} throws. */
export interface LineError extends Error {
    readonly name: "LineError";
    readonly code: ErrorCode;
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use anteroom_core::code::ErrorCode;
    use anteroom_core::status::StatusReply;

    #[test]
    fn the_status_of_typescript_has_the_fields_of_a_status_reply() {
        let reply = StatusReply {
            status: "waiting",
            position: 1,
            eta_sec: None,
            eta_low_sec: None,
            eta_high_sec: None,
            eta_confidence: None,
            waiting_time: 0,
            ready_for_entry: false,
            claim_expires_at: None,
            poll_after_ms: 2_000,
            total_waiting: 1,
            mode: "line",
            opens_at: None,
            message: None,
            as_of: "1970-01-01T00:00:00Z",
            stale: false,
        };
        let interface = TYPES.split("export interface Status {").nth(1).unwrap().split('}').next().unwrap();
        let fields = interface.lines().filter_map(|line| line.trim().strip_prefix("readonly ")?.split(':').next());
        let written = serde_json::to_value(&reply).unwrap();
        let names: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        let mut fields: Vec<&str> = fields.collect();
        fields.sort_unstable();
        assert_eq!(fields, names);
    }

    #[test]
    fn the_error_codes_of_typescript_are_those_of_the_contract() {
        let union = TYPES.split("export type ErrorCode =").nth(1).unwrap().split(';').next().unwrap();
        let listed: Vec<&str> = union.split('"').skip(1).step_by(2).collect();
        let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(listed, codes);
    }
}
