// A room as its operator holds it, and the people before and behind the visitor.
import { until } from "./until.mjs";

/** See the module's comment. */
export class Room {
  /**
   * Nobody but the operator moves this line: there is room for one, the first of the crowd has it, and everybody else comes in when
   * `capacity` is raised. Pages ask about every two seconds, less than a third of the time that a turn lasts. A turn lasts long enough
   * for a machine that is busy, and no longer, because a page that is told to come later must not be late for it.
   */
  static USUAL = { admit_per_minute: 60_000, burst: 1_000, capacity: 1, min_wait: [], session_sec: 3_600, claim_sec: 8, page: { title: "Night of Lanterns" } };

  /** People who wait and are no visitors, in order. */
  waiting = [];

  /** Opens a room and waits until the door knows it. */
  static async open(house, event, host, settings) {
    const room = new Room();
    Object.assign(room, { house, event, host, url: `http://${host}:${house.door.port}` });
    await room.set({ ...Room.USUAL, ...settings, page: { ...Room.USUAL.page, ...settings.page }, gate: { hosts: [host], ...settings.gate } });
    await until(`${host} is known at the door`, async () => [403, 503].includes((await house.ask(room, "/")).status));
    house.shop.forget(room.host);
    return room;
  }

  /** Changes settings. */
  async set(settings) {
    this.settings = await this.#admin("PUT", "", settings);
    return this.settings;
  }

  /** The live numbers. */
  stats() { return this.#admin("GET", "/stats"); }

  /** Puts so many people into the line, and lets the first of a line without anybody inside go in. */
  async crowd(count) {
    const isOpen = this.settings.mode === "line" && this.settings.schedule.opens === null && this.settings.capacity !== null;
    if (isOpen && (await this.stats()).issued === 0) {
      this.waiting.push((await this.#post("/queue/join", { event_id: this.event })).waiting_token);
      await this.#enter();
      count -= 1;
    }
    for (let begun = 0; begun < count; begun += 50) {
      const some = Array.from({ length: Math.min(50, count - begun) }, () => this.#post("/queue/join", { event_id: this.event }));
      this.waiting.push(...(await Promise.all(some)).map(({ waiting_token: token }) => token));
    }
    // Joins that are made at once get numbers in any order.
    const number = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).tkt;
    this.waiting.sort((a, b) => number(a) - number(b));
  }

  /** Makes place for so many, of whom all are of the crowd and go in. */
  async admit(count) {
    await this.set({ capacity: this.settings.capacity + count });
    for (let each = 0; each < count; each += 1) await this.#enter();
  }

  /** Makes place for one more: the next in line is called, and has so many seconds to come. */
  async callNext(claim_sec = 120) { await this.set({ capacity: this.settings.capacity + 1, claim_sec }); }

  async #enter() {
    const token = this.waiting.shift();
    await until("somebody of the crowd goes in", () => this.#post("/queue/enter", { waiting_token: token }));
  }

  async #post(path, body) {
    const answer = await fetch(`${this.house.api}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.parse(text).error.code}`);
    return JSON.parse(text);
  }

  async #admin(method, path, body) {
    const answer = await fetch(`${this.house.api}/admin/rooms/${this.event}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.house.admin}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${this.event}${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }
}
