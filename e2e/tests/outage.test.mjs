// What is behind the page goes away and comes back.
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { test } from "../site/test.mjs";
import { complaints } from "../site/axe.mjs";
import { HOST, House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

after(closeBrowser);

describe("outages", { concurrency: 3 }, () => {
  test("an origin that is killed and comes back costs nobody the place", async (t) => {
    const house = await House.open();
    t.after(() => house.close());
    const room = await house.room();
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    visitor.tolerates = /Failed to load resource|net::ERR/;
    await visitor.go("/tickets?day=2");
    await visitor.until("waiting");
    const [number, position] = [await visitor.number(), await visitor.position()];
    const inside = await house.room({ capacity: null });
    const shopper = await Visitor.come(t, inside);
    await shopper.go("/tickets");
    assert.equal(await shopper.state(), "shop");

    await house.origin.kill();
    await visitor.untilText("connection", HOST === "native" ? /Connection lost/ : /a little old|Very busy|Connection lost/);
    assert.equal(await visitor.state(), "waiting");
    assert.equal(await visitor.position(), position, "the numbers are kept");
    if (HOST === "edge") {
      await shopper.go("/");
      assert.equal(await shopper.state(), "shop", "who is inside goes on shopping");
      await visitor.page.reload();
      await visitor.until("waiting");
      assert.equal(await visitor.number(), number, "a reload shows the place and no error");
    }
    await house.origin.restart();
    await visitor.untilText("connection", /^$/);
    assert.equal(await visitor.number(), number);
    assert.equal(await visitor.position(), position);
    await visitor.page.reload();
    await visitor.until("waiting");
    assert.equal(await visitor.number(), number);
    await room.admit(2);
    await room.callNext();
    await visitor.until("shop");
    visitor.neverBack();
    await shopper.go("/tickets?day=3");
    assert.equal(await shopper.state(), "shop", "who was inside still is");
  });

  test("who comes while no place can be given is told so, and is in line as soon as there is one", async (t) => {
    const house = await House.open({ redis: HOST === "native" });
    t.after(() => house.close());
    const room = await house.room();
    await room.crowd(2);
    await house.losePlaces();
    const visitor = await Visitor.come(t, room);
    const response = await visitor.go("/tickets?day=2");
    assert.equal(response.status(), 200, "no proxy puts a page of its own in the place of this one");
    await visitor.until("held");
    assert.deepEqual(await complaints(visitor.page), []);
    await visitor.shoot("held-en");
    await (HOST === "native" ? house.redis : house.origin).restart();
    // An origin that was killed may have forgotten the last half second, and so that there was somebody before the visitor.
    await until("there is a place", async () => ["waiting", "shop"].includes(await visitor.state()));
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
    assert.equal((await room.stats()).issued >= 1, true);
  });

  test("a shop that is away is said to be, in plain words", async (t) => {
    const house = await House.open();
    t.after(() => house.close());
    const room = await house.room({ capacity: null });
    const visitor = await Visitor.come(t, room);
    await visitor.go("/");
    assert.equal(await visitor.state(), "shop");
    await house.shop.close();
    const response = await visitor.go("/tickets");
    assert.equal(response.status(), 502);
    await visitor.until("refused");
    assert.deepEqual(await complaints(visitor.page), []);
    await visitor.shoot("refused-en");
  });
});
