// Browsers without cookies, and without scripts.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";

describe("a browser that lacks something", { concurrency: 3 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  test("with cookies blocked a visitor waits, sees the number fall, and is let in to the first page", async (t) => {
    const room = await house.room();
    await room.crowd(4);
    const visitor = await Visitor.come(t, room, { cookies: false });
    await visitor.go("/tickets?day=2");
    assert.equal(await visitor.page.evaluate(() => { document.cookie = "a=1"; return document.cookie; }), "", "cookies are blocked");
    await visitor.until("waiting");
    const number = await visitor.number();
    assert.equal(await visitor.position(), 4);
    await room.admit(2);
    await visitor.untilPosition(2);
    assert.equal(await visitor.number(), number);
    await room.admit(1);
    await room.callNext();
    await visitor.until("ready");
    // Such a browser forgets that it was sent in, so it is asked instead of being sent in again and again.
    await visitor.page.click("button:has-text('Go in now')");
    await visitor.until("shop");
    assert.match(visitor.page.url(), /\/tickets\?day=2/);
    assert.equal(house.shop.requests.find(({ host, path }) => host.startsWith(room.host) && path.startsWith("/tickets")).path, "/tickets?day=2");
    assert.deepEqual(visitor.neverBack().slice(0, 2), [4, 2]);
    assert.equal((await visitor.context.cookies()).length, 0);
    assert.equal((await room.stats()).issued, 5, "one place");
  });

  test("with cookies blocked a reload keeps the place", async (t) => {
    const room = await house.room();
    await room.crowd(3);
    const visitor = await Visitor.come(t, room, { cookies: false });
    await visitor.go("/tickets");
    await visitor.until("waiting");
    const number = await visitor.number();
    for (let times = 0; times < 2; times += 1) {
      await visitor.page.reload();
      await visitor.until("waiting");
      assert.equal(await visitor.number(), number);
    }
    assert.equal((await room.stats()).issued, 4);
  });

  test("at a site without https, whose secure cookies no browser keeps, a reload keeps the place, and the turn leads in", async (t) => {
    const room = await house.room({}, "test");
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    const number = await visitor.number();
    await visitor.page.reload();
    await visitor.until("waiting");
    assert.equal(await visitor.number(), number);
    assert.equal((await room.stats()).issued, 4);
    assert.equal((await visitor.context.cookies()).length, 0);
    await room.admit(2);
    await room.callNext();
    await visitor.until("ready");
    await visitor.page.click("button:has-text('Go in now')");
    await visitor.until("shop");
  });

  test("without JavaScript the page refreshes itself, the number falls, and a button leads in", async (t) => {
    const room = await house.room();
    await room.crowd(4);
    const visitor = await Visitor.come(t, room, { javaScriptEnabled: false });
    await visitor.go("/tickets?day=2");
    await visitor.until("waiting");
    assert.equal(await visitor.position(), 4);
    await room.admit(2);
    await visitor.untilPosition(2);
    await room.admit(1);
    await room.callNext();
    await visitor.until("ready");
    await visitor.page.click("button:has-text('Go in now')");
    await visitor.until("shop");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
  });
});
