// A visit as most people make it: wait, go in, leave.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

/** Does what leads to another page, which may be one that the browser has kept, and waits until it is there. */
async function leave(page, how) {
  await page.evaluate(() => { window.isTheOldPage = true; });
  await page.evaluate(`setTimeout(${how})`);
  await until("there is another page", async () => (await page.evaluate(() => !window.isTheOldPage && document.readyState !== "loading")));
}

describe("a visit", { concurrency: 3 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  test("a visitor waits where they wanted to go, sees the number fall, is taken in, orders, and comes back to a new place", async (t) => {
    const room = await house.room();
    await room.crowd(6);
    const visitor = await Visitor.come(t, room);
    const response = await visitor.go("/tickets?day=2");
    assert.equal(response.status(), 200);
    assert.equal(response.headers()["anteroom-scene"], "line");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`, "in place, at the address that was asked for");
    await visitor.until("waiting");
    assert.equal(await visitor.position(), 6);
    const first = await visitor.number();
    await room.crowd(1);
    for (const left of [4, 2, 1]) {
      await room.admit(await visitor.position() - left);
      await visitor.untilPosition(left);
    }
    assert(!house.shop.requests.some(({ host }) => host.startsWith(room.host)), "the shop has not been asked for anything");
    await room.callNext();
    await visitor.until("shop");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`, "taken in to the address that was asked for");
    const asked = house.shop.requests.find(({ host, path }) => host.startsWith(room.host) && path === "/tickets?day=2");
    assert.equal(asked.headers["anteroom-event"], room.event);
    assert.equal(asked.headers["anteroom-ticket"], first);
    assert(!/anteroom/.test(asked.headers.cookie ?? ""), "our cookies are not for the shop");
    assert.deepEqual(visitor.neverBack(), [6, 4, 2, 1]);

    await visitor.page.click("text=Home");
    await visitor.until("shop");
    await visitor.step(-1, `${room.url}/tickets?day=2`);
    await visitor.page.click("button:has-text('Order')");
    await visitor.page.waitForSelector("text=Thank you");
    assert.equal((await visitor.context.cookies()).length, 0, "nothing is left of the visit");
    // Whoever waits behind has the place now.
    await until("the next in line is called", async () => (await room.stats()).ready === 1);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    assert(Number(await visitor.number()) > Number(first), "a new place");
  });

  test("a quiet room adds no wait and shows no page", async (t) => {
    const room = await house.room({ capacity: null });
    const visitor = await Visitor.come(t, room);
    const response = await visitor.go("/tickets?day=2");
    assert.equal(response.headers()["anteroom-scene"], undefined);
    assert.equal(await visitor.state(), "shop");
    const pages = visitor.requests.filter((request) => !request.includes("/assets/"));
    assert.deepEqual(pages, [`GET ${room.url}/tickets?day=2`], "one request and no detour");
    await visitor.page.click("text=Home");
    assert.equal(await visitor.state(), "shop");
    assert.equal((await room.stats()).issued, 1, "one place for the whole visit");
  });

  test("two tabs are one place, and both get in", async (t) => {
    const room = await house.room();
    await room.crowd(2);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    const other = await visitor.tab();
    await visitor.go("/tickets?day=3", other);
    assert.equal(await visitor.number(other), await visitor.number());
    assert.equal((await room.stats()).waiting, 2);
    await room.admit(1);
    await room.callNext();
    await visitor.until("shop");
    await visitor.until("shop", other);
    assert.equal(other.url(), `${room.url}/tickets?day=3`);
    assert.equal((await room.stats()).entered_total, 3, "one turn");
  });

  test("reloading, going back and forward, and closing the tab keep the place", async (t) => {
    const room = await house.room();
    await room.crowd(4);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/");
    const number = await visitor.number();
    const same = async (page) => {
      await visitor.until("waiting", page);
      assert.equal(await visitor.number(page), number);
      assert.equal(await visitor.position(page), 4);
    };
    await visitor.go("/tickets");
    await same();
    await visitor.page.reload();
    await same();
    await visitor.step(-1, `${room.url}/`);
    await same();
    await visitor.step(1, `${room.url}/tickets`);
    await same();
    visitor.neverBack();
    await visitor.page.close({ runBeforeUnload: true });
    // A new tab draws its bar from where it begins.
    visitor.seen.length = 0;
    visitor.page = await visitor.tab();
    await visitor.go("/tickets?day=2");
    await same();
    assert.equal((await room.stats()).left_total, 0, "closing the tab is not leaving");
    assert(!visitor.requests.some((request) => request.startsWith("POST")), "and tells nobody anything");
    assert.equal((await room.stats()).issued, 5);
    visitor.neverBack();
  });

  test("history shows the shop to nobody outside, and no turn that is over", async (t) => {
    const room = await house.room();
    await room.crowd(2);
    const visitor = await Visitor.come(t, room);
    for (const path of ["/tickets?day=1", "/tickets?day=2", "/tickets"]) {
      await visitor.go(path);
      await visitor.until("waiting");
    }
    await room.admit(1);
    await room.callNext();
    await visitor.until("shop");
    // Back at what was the waiting page when it was left: it is the shop now, not "your turn". A browser that was still loading that page
    // has put the shop in its place.
    await leave(visitor.page, () => history.back());
    await visitor.until("shop");
    assert([`${room.url}/tickets`, `${room.url}/tickets?day=2`].includes(visitor.page.url()), visitor.page.url());
    await room.crowd(1);
    await visitor.page.click("button:has-text('Order')");
    await visitor.page.waitForSelector("text=Thank you");
    await until("the next in line is called", async () => (await room.stats()).ready === 1);
    // Outside again. What history has kept of the shop must not be a way in.
    for (let step = 0; step < 2; step += 1) {
      await leave(visitor.page, () => history.back());
      assert.notEqual(await visitor.state(), "ready");
      // What history has kept of the waiting page finds out by itself, and may be at it now.
      await visitor.page.reload().catch(() => {});
      await visitor.until("waiting");
    }
  });

  test("leaving takes two steps and gives the place up", async (t) => {
    const room = await house.room();
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets?day=2");
    const number = await visitor.number();
    await room.crowd(1);
    assert.equal(await visitor.page.isVisible("text=Yes, leave the line"), false);
    await visitor.page.click("summary");
    await visitor.page.click("text=Yes, leave the line");
    await visitor.until("ended");
    assert.match(await visitor.page.textContent("h1"), /You have left the line/);
    assert.equal((await room.stats()).left_total, 1);
    assert.equal((await visitor.context.cookies()).length, 0);
    await visitor.page.click("button:has-text('Join the line again')");
    await visitor.until("waiting");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
    assert(Number(await visitor.number()) > Number(number));
    await visitor.untilPosition(4);
  });
});
