// A single-page app that waits in line, as browser/README.md shows it: checked against the types of the built package, not run.

import init, { Line, type ErrorCode, type LineError, type Status } from "anteroom-browser/web";

const api = "/api/v1/queue";

function isLineError(error: unknown): error is LineError {
    return error instanceof Error && error.name === "LineError";
}

function show(status: Status): string {
    switch (status.status) {
        case "waiting":
            return status.eta_sec === null ? `${status.position}` : `${status.position}, ${status.eta_sec} s`;
        case "ready":
            return `until ${status.claim_expires_at ?? "?"}`;
        case "entered":
            return "inside";
    }
}

export async function wait(token: string, boardOf: () => Promise<string>): Promise<Status | ErrorCode> {
    await init();
    using line = new Line(await boardOf(), token);
    const ahead = line.asOfMs - performance.now();
    for (;;) {
        try {
            const now = performance.now() + ahead;
            const status: Status | null = line.status(now);
            if (status === null || line.mustReport(now)) {
                await fetch(`${api}/status`, { headers: { authorization: `Bearer ${token}` } });
            }
            if (status !== null) {
                show(status);
                if (status.ready_for_entry) return status;
            }
            const pause: number = line.pollAfterMs;
            await new Promise((resolve) => setTimeout(resolve, pause));
            line.update(await boardOf());
        } catch (error) {
            if (isLineError(error) && error.code === "TOKEN_NOT_FOUND") return error.code;
            throw error;
        }
    }
}

// What must not type-check.
export function wrong(line: Line, status: Status): void {
    // @ts-expect-error a status may be null
    line.status(0).position;
    // @ts-expect-error nobody changes a status
    status.position = 1;
    // @ts-expect-error no such state
    status.status === "expired";
    // @ts-expect-error both texts are needed
    new Line("{}");
    // @ts-expect-error milliseconds, not a date
    line.status(new Date());
    // @ts-expect-error no such code
    const code: ErrorCode = "NO_SUCH_CODE";
    void code;
}
