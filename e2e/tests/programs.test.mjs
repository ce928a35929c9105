// What scripts of the shop's own pages get.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";

describe("the shop's own scripts", { concurrency: 2 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  test("a fetch after the session has ended gets JSON with 403 NOT_READY, and joins nothing", async (t) => {
    const room = await house.room({ capacity: null });
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    assert.equal(await visitor.state(), "shop");
    const fetches = () => visitor.page.evaluate(async () => {
      const answer = await fetch("/api/seats");
      return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.json() };
    });
    const inside = await fetches();
    assert.deepEqual([inside.status, inside.body], [200, { free: ["7-12"] }]);
    const other = await visitor.tab();
    await visitor.go("/tickets", other);
    await other.click("button:has-text('Order')");
    await other.waitForSelector("text=Thank you");
    const issued = (await room.stats()).issued;
    const outside = await fetches();
    assert.equal(outside.status, 403);
    assert.match(outside.type, /^application\/json/);
    assert.equal(outside.body.error.code, "NOT_READY");
    assert.equal((await visitor.context.cookies()).length, 0);
    assert.equal((await room.stats()).issued, issued);
  });

  test("a web socket works for who is inside, and is refused outside", async (t) => {
    const room = await house.room({ capacity: null });
    const visitor = await Visitor.come(t, room);
    const says = () => visitor.page.evaluate((url) => new Promise((done) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send("is row 7 free?");
      socket.onmessage = ({ data }) => { done(data); socket.close(); };
      socket.onerror = () => done("refused");
    }), `${room.url.replace("http", "ws")}/live`);
    await visitor.go("/tickets");
    assert.equal(await visitor.state(), "shop");
    assert.equal(await says(), "is row 7 free?");
    await visitor.page.click("button:has-text('Order')");
    await visitor.page.waitForSelector("text=Thank you");
    visitor.tolerates = /WebSocket connection to .* failed/;
    assert.equal(await says(), "refused");
    const asked = house.shop.requests.filter(({ method, host }) => method === "UPGRADE" && host.startsWith(room.host));
    assert.equal(asked.length, 1, "the shop has not heard of the second");
  });
});
