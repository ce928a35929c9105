// Waiting for conditions. Nothing here waits for a time.

/** How long a condition may take before it counts as never coming, milliseconds. Passing tests never wait that long. */
export const PATIENCE = 40_000;

/** Asks `condition` until it gives something true, and gives that. A condition that throws does not hold yet. */
export async function until(what, condition, patience = PATIENCE) {
  const end = Date.now() + patience;
  let problem, last;
  do {
    try {
      last = await condition();
      if (last) return last;
      problem = undefined;
    } catch (error) { problem = error; }
    await new Promise((done) => setTimeout(done, 40));
  } while (Date.now() < end);
  throw new Error(`it never came that ${what}${problem ? `: ${problem.message}` : ` (last: ${JSON.stringify(last)})`}`);
}
