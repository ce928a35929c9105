// A turn that comes while nobody looks.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

describe("a turn that comes while the tab is in the background", { concurrency: 2 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  // A headless browser believes that each of its tabs is in front, whatever is in front of it: neither another tab, nor a minimised
  // window, nor DevTools makes it `hidden`. So the page is told what a browser with a screen would tell it.
  const hide = (page, hidden) => page.evaluate((hidden) => {
    Object.defineProperties(document, {
      hidden: { configurable: true, get: () => hidden },
      visibilityState: { configurable: true, get: () => (hidden ? "hidden" : "visible") },
    });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, hidden);

  test("takes nobody in, says so in the title, and asks on return", async (t) => {
    const room = await house.room();
    await room.crowd(2);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets?day=2");
    await visitor.until("waiting");
    const other = await visitor.tab();
    await other.bringToFront();
    await hide(visitor.page, true);
    await room.admit(1);
    await room.callNext();
    await until("the title says so", async () => /^Your turn! · /.test(await visitor.page.title()));
    await visitor.untilText("auto", /Still there\?/);
    // More polls than it would take to be sent in.
    const polls = () => visitor.requests.filter((request) => request.includes("/queue/status")).length;
    const before = polls();
    await until("it goes on asking", () => polls() > before + 1);
    assert(!visitor.requests.some((request) => request.startsWith("POST")), "nobody is taken in who does not look");
    await visitor.page.bringToFront();
    await hide(visitor.page, false);
    await visitor.untilText("auto", /Still there\?/);
    await until("the button is at hand", () => visitor.page.evaluate(() => document.activeElement?.id === "enter"));
    assert(!visitor.requests.some((request) => request.startsWith("POST")), "nor on return without being asked");
    await visitor.page.keyboard.press("Enter");
    await visitor.until("shop");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
  });

  test("is missed when nobody returns, which the page says, with a button that joins again", async (t) => {
    const room = await house.room();
    await room.crowd(2);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets?day=2");
    await visitor.until("waiting");
    const number = await visitor.number();
    await hide(visitor.page, true);
    await room.admit(1);
    await room.crowd(1);
    await room.callNext(5);
    await visitor.until("ended");
    assert.match(await visitor.page.textContent("h1"), /Your turn has passed/);
    assert(!visitor.requests.some((request) => request.startsWith("POST")));
    await visitor.page.click("button:has-text('Join the line again')");
    await visitor.until("waiting");
    assert(Number(await visitor.number()) > Number(number));
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
  });
});
