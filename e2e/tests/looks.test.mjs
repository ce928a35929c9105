// Every state of the page as it is served: checked with axe, weighed, and photographed.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { complaints } from "../site/axe.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

/** Bytes of a whole page, uncompressed. */
const WEIGHT = 30_000;

describe("every state of the page", { concurrency: 3 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  const soon = (sec) => new Date(Date.now() + sec * 1000).toISOString();
  const message = "Doors open at 19:00.\nPlease have your booking number ready.";
  const states = {
    waiting: {
      room: { admit_per_minute: 20, burst: 1, capacity: null, page: { message } },
      crowd: 240,
    },
    paused: { room: { mode: "hold", page: { message: "The stage is being dried. We expect to go on at 18:30." } }, crowd: 30 },
    before: { room: { schedule: { opens: soon(3_725) } }, crowd: 30 },
    ready: {
      crowd: 4,
      async until(room, visitor) {
        await visitor.staysOutside();
        await visitor.until("waiting");
        if (!room.isOpen) await room.admit(3);
        room.isOpen = true;
        await room.callNext();
        await visitor.until("ready");
        await until("the page has tried", () => visitor.requests.some((request) => request.endsWith("/gate/enter")));
      },
    },
    ended: {
      crowd: 2,
      async until(room, visitor) {
        await visitor.until("waiting");
        await visitor.page.click("summary");
        await visitor.page.click(".quiet");
        await visitor.until("ended");
      },
    },
    not_open: { room: { schedule: { joins_open: soon(754) } } },
    closed: { room: { mode: "reject" } },
  };

  for (const [state, { room: settings, crowd = 0, until: comes }] of Object.entries(states)) {
    test(`${state}: nothing that axe complains of, little to load, no error`, async (t) => {
      const room = await house.room(settings);
      if (crowd) await room.crowd(crowd);
      for (const locale of ["en-GB", "ko-KR"]) {
        const visitor = await Visitor.come(t, room, { locale });
        const response = await visitor.go("/tickets?day=2");
        const { length } = await response.body();
        assert(length <= WEIGHT, `${length} bytes`);
        if (comes) await comes(room, visitor);
        else await visitor.until(state);
        assert.deepEqual(await complaints(visitor.page), []);
        await visitor.shoot(`${state}-${locale.slice(0, 2)}`);
        const wide = await visitor.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.equal(wide, 0, "it fits a phone");
        const loads = visitor.requests.filter((request) => request.startsWith("GET") && !request.includes("/api/v1/queue/status"));
        assert.deepEqual([...new Set(loads)], [`GET ${room.url}/tickets?day=2`], "the page brings everything along");
      }
    });
  }

  test("nothing moves while numbers, messages and states change", async (t) => {
    const room = await house.room();
    await room.crowd(12);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    for (const left of [11, 10, 9, 2]) {
      await room.admit(await visitor.position() - left);
      await visitor.untilPosition(left);
    }
    await room.set({ mode: "hold" });
    await visitor.until("paused");
    await room.set({ mode: "line" });
    await visitor.until("waiting");
    await visitor.staysOutside();
    await room.admit(1);
    await room.callNext();
    await visitor.until("ready");
    assert.deepEqual(await visitor.page.evaluate(() => window.moved), []);
  });
});
