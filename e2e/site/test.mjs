// A test that says its own name when it hangs. Playwright has no limit for a look into a page that is on its way to another one, and
// the runner's own limit ends the whole file.
import { test as plain } from "node:test";

/** How long a test may take, milliseconds. Passing tests never take that long. */
const LIMIT = 240_000;

/** `test` of Node.js, with a limit. */
export const test = (name, run) => plain(name, { timeout: LIMIT }, run);
