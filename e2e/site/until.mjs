// Waiting for conditions. Nothing here waits for a time.

/** How long a condition may take before it counts as never coming, milliseconds. Passing tests never wait that long. */
export const PATIENCE = 40_000;
/** How many of the last things that came instead an error tells. */
const MOST = 8;

/** Asks `condition` until it gives something true, and gives that. A condition that throws does not hold yet. */
export async function until(what, condition, patience = PATIENCE) {
  const begun = Date.now();
  const seen = [];
  const saw = (text) => {
    if (seen.at(-1)?.text !== text) seen.push({ text, first: Date.now() - begun });
  };
  do {
    try {
      const last = await condition();
      if (last) return last;
      saw(JSON.stringify(last));
    } catch (error) { saw(error.cause ? `${error.message} (${error.cause.message})` : error.message); }
    await new Promise((done) => setTimeout(done, 40));
  } while (Date.now() < begun + patience);
  const story = seen.slice(-MOST).map(({ text, first }) => `\n  after ${first} ms: ${text}`).join("");
  throw new Error(`it never came that ${what}; what came instead:${story}`);
}
