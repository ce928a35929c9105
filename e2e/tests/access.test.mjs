// What people hear who do not see the page, and in which language.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

/** The accessibility tree as a browser gives it to a screen reader: what is not ignored, with role, name, value and properties. */
async function tree(visitor) {
  const session = await visitor.context.newCDPSession(visitor.page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  return nodes.filter(({ ignored }) => !ignored).map(({ role, name, value, properties = [] }) => ({
    role: role?.value,
    name: name?.value,
    value: value?.value,
    ...Object.fromEntries(properties.map(({ name, value }) => [name, value.value])),
  }));
}
const one = (nodes, role) => {
  const found = nodes.filter((node) => node.role === role);
  assert.equal(found.length, 1, `one ${role}: ${JSON.stringify(found)}`);
  return found[0];
};
const texts = (nodes) => nodes.filter(({ role }) => role === "StaticText").map(({ name }) => name);

describe("what is said", { concurrency: 4 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  test("a screen reader finds heading, position, progress, news and buttons, and only those of the moment", async (t) => {
    const room = await house.room();
    await room.crowd(5);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    await room.admit(2);
    await visitor.untilPosition(3);
    const waiting = await tree(visitor);
    assert.deepEqual([one(waiting, "heading").name, one(waiting, "heading").level], ["You are in line", 1]);
    const said = texts(waiting);
    assert.equal(said[said.indexOf("Your position") + 1], "3", said.join(" | "));
    const progress = one(waiting, "progressbar");
    assert.equal(progress.name, "How far you have come since you joined");
    assert.equal(Number(progress.value ?? progress.valuenow), 2);
    assert.equal(Number(progress.valuemax), 5);
    assert.equal(one(waiting, "status").live, "polite");
    assert.equal(one(waiting, "main").role, "main");
    assert.equal(waiting.filter(({ role }) => role === "button").length, 0, "the turn's button is not there yet");
    assert(said.includes("Leave the line"));
    assert.equal(await visitor.page.getAttribute("html", "lang"), "en");

    await room.admit(2);
    await visitor.staysOutside();
    await room.callNext();
    await visitor.until("ready");
    const ready = await tree(visitor);
    assert.equal(one(ready, "heading").name, "It is your turn");
    assert.equal(one(ready, "button").name, "Go in now");
    assert(!texts(ready).includes("Your position"));
    await until("it is announced", () => visitor.seen.some(({ news }) => /^It is your turn\./.test(news)));
  });

  test("news are sparing: in twenty polls and more than a minute a position is announced once", async (t) => {
    const room = await house.room();
    await room.crowd(12);
    const visitor = await Visitor.come(t, room);
    // The page's time passes only here: a slow machine must not make a minute of it.
    const { page, page: { clock } } = visitor;
    await clock.install();
    await visitor.go("/tickets");
    await visitor.until("waiting");
    await clock.pauseAt(Date.now() + 1_000);
    const time = () => page.evaluate(() => performance.now());
    const start = await time();
    let polls = 0;
    const poll = async () => {
      const asked = () => visitor.requests.filter((request) => request.includes("/queue/status")).length;
      const [before, answered] = [asked(), page.waitForResponse(/queue\/status/)];
      await until("it asks", async () => { await clock.runFor(200); return asked() > before; });
      await (await answered).finished();
      polls += 1;
    };
    // Not by polling: what the door has not heard of yet would cost the page its minute.
    const known = () => page.evaluate(async () => (await (await fetch(JSON.parse(document.getElementById("live").textContent).url)).json()).position);
    const pollUntil = async (left) => {
      await until(`the door knows that the position is ${left}`, async () => (await known()) === left);
      await poll();
      await visitor.untilPosition(left);
    };
    const from = visitor.seen.length;
    for (let left = 11; left > 1; left -= 1) {
      await room.admit(1);
      await pollUntil(left);
    }
    while (polls < 20) await poll();
    const news = () => visitor.seen.slice(from).flatMap(({ news }) => news ?? []);
    await clock.runFor(100);
    assert((await time()) - start < 60_000, "that was less than a minute");
    assert.deepEqual(news(), [], "nothing within the first minute");
    await clock.fastForward(61_000);
    await until("it is announced", async () => { await poll(); return news().length > 0; });
    await room.admit(1);
    await pollUntil(1);
    await poll();
    assert.deepEqual(news(), ["Your position is 2."]);
    assert.equal(visitor.requests.filter((request) => request.startsWith("GET") && !request.includes("/queue/status")).length, 1, "and the page never loads anew");
  });

  test("people read the page in their language, and numbers as it writes them", async (t) => {
    const room = await house.room({ page: { title: null } });
    await room.crowd(1_240);
    for (const [locale, lang, heading, way] of [
      ["ko-KR", "ko", "순서를 기다리고", "ko"],
      ["en-US", "en", "You are in line", "en"],
      ["xx", "en", "You are in line", "en"],
    ]) {
      const visitor = await Visitor.come(t, room, { locale });
      await visitor.go("/tickets");
      await visitor.until("waiting");
      assert.equal(await visitor.page.getAttribute("html", "lang"), lang, locale);
      assert.match(await visitor.page.textContent("h1 .waiting"), new RegExp(heading), locale);
      await until("the page works", () => visitor.requests.some((request) => request.includes("/queue/status")));
      const shown = await visitor.text("position");
      assert.equal(shown, new Intl.NumberFormat(way).format(await visitor.position()), locale);
      assert(await visitor.position() > 1_000);
    }
  });

  test("a language that the room does not offer falls back to its first", async (t) => {
    const room = await house.room({ page: { languages: ["ko", "en"] } });
    await room.crowd(2);
    const visitor = await Visitor.come(t, room, { locale: "de-DE" });
    await visitor.go("/tickets");
    assert.equal(await visitor.page.getAttribute("html", "lang"), "ko");
  });
});
