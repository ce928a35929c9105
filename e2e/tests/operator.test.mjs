// What an operator does to a room, as visitors see it.
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { House } from "../site/house.mjs";
import { Visitor, closeBrowser } from "../site/visitor.mjs";
import { until } from "../site/until.mjs";

// Late enough for a visitor to come before it, on a busy machine too. The edge hears of a new room seconds later than the origin.
const soon = () => new Date(Date.now() + 30_000).toISOString();

describe("the operator's hand", { concurrency: 4 }, () => {
  let house;
  before(async () => { house = await House.open(); });
  after(async () => { await closeBrowser(); await house.close(); });

  test("a paused line says so, its message changes on open pages, and it goes on from there", async (t) => {
    const room = await house.room();
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    assert.equal(await visitor.page.isVisible("#message"), false);
    await room.set({ mode: "hold", page: { message: "The stage is being dried." } });
    await visitor.until("paused");
    assert.equal(await visitor.page.textContent("h1 .paused"), "The line is paused");
    await visitor.untilText("message-text", /^The stage is being dried\.$/);
    await room.set({ page: { message: "We go on at 18:30." } });
    await visitor.untilText("message-text", /^We go on at 18:30\.$/);
    assert(visitor.seen.some(({ news }) => news === "We go on at 18:30."), "and it is announced");
    await room.set({ page: { message: null }, mode: "line" });
    await visitor.until("waiting");
    await until("the message is gone", async () => !(await visitor.page.isVisible("#message")));
    assert.equal(await visitor.position(), 3);
    visitor.neverBack();
  });

  test("before the opening a visitor has a place and a countdown, and is called when it opens", async (t) => {
    const room = await house.room({ capacity: null, claim_sec: 60, schedule: { opens: soon() } });
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets?day=2");
    await visitor.until("before");
    const left = await visitor.text("opens");
    assert.match(left, /^0:\d\d$/);
    await until("it counts down", async () => (await visitor.text("opens")) < left);
    assert(!house.shop.requests.some(({ host }) => host.startsWith(room.host)));
    await visitor.until("shop");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
  });

  test("who comes before anybody can join sees when that is, and is in line then", async (t) => {
    const room = await house.room({ claim_sec: 60, schedule: { joins_open: soon() } });
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets?day=2");
    await visitor.until("not_open");
    assert.match(await visitor.text("opens"), /^0:\d\d$/);
    assert.equal((await room.stats()).issued, 0);
    await visitor.until("shop");
    assert.equal(visitor.page.url(), `${room.url}/tickets?day=2`);
  });

  test("a closed room says so and gives nobody a place", async (t) => {
    const room = await house.room({ mode: "reject" });
    const visitor = await Visitor.come(t, room);
    const response = await visitor.go("/tickets");
    assert.equal(response.status(), 200);
    await visitor.until("closed");
    assert.equal((await room.stats()).issued, 0);
  });

  test("title, message, colours and logo are the operator's", async (t) => {
    const room = await house.room({
      gate: { bypass_paths: ["/assets/*"] },
      page: {
        title: "Café Zugabe – das große Konzert",
        message: "Doors open at 19:00.\nBring your booking number.",
        theme: { accent: "#7a1f5c", background: "#fff8e0", logo: "/assets/logo.svg", radius: "6px", font: "serif" },
      },
    });
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    const { page } = visitor;
    assert.equal(await page.title(), "Position 3 · Café Zugabe – das große Konzert");
    assert.equal(await page.textContent("header p"), "Café Zugabe – das große Konzert");
    assert.equal(await visitor.text("message-text"), "Doors open at 19:00.\nBring your booking number.");
    const logo = await page.evaluate(() => { const { complete, naturalWidth } = document.querySelector("header img"); return { complete, naturalWidth }; });
    assert(logo.complete && logo.naturalWidth > 0, "the logo is there");
    const style = await page.evaluate(() => { const { backgroundColor, fontFamily } = getComputedStyle(document.body); return { backgroundColor, fontFamily }; });
    assert.equal(style.backgroundColor, "rgb(255, 248, 224)");
    assert.match(style.fontFamily, /serif/);
    await visitor.shoot("waiting-own-look-en");
    await room.admit(2);
    await visitor.staysOutside();
    await room.callNext();
    await visitor.until("ready");
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("#enter")).backgroundColor), "rgb(122, 31, 92)");
  });

  test("a whole template of the operator's own works like the built-in page", async (t) => {
    const template = `<!doctype html>
<html lang="{{ lang }}"><head>{% include "head.html" %}<style nonce="{{ nonce }}">h1 { text-transform: uppercase }</style></head>
<body><main id="page" data-scene="{{ scene }}" data-state="{{ state }}">
{% if in_line %}
<h1>{{ heading }}</h1><p>You are <b id="position">{{ position }}</b>. <span id="eta">{{ eta }}</span></p><p id="connection">{{ connection }}</p>
<p id="news" role="status"></p>
<form id="go" method="post" action="/gate/enter" {% if not is.ready %}hidden{% endif %}>{% include "fields.html" %}<button id="enter">{{ t.page.enter }}</button></form>
{% else %}{% include "notice.html" %}{% endif %}
</main>{% include "script.html" %}</body></html>`;
    const room = await house.room({ page: { template } });
    await room.crowd(3);
    const visitor = await Visitor.come(t, room);
    await visitor.go("/tickets");
    await visitor.until("waiting");
    assert.equal(await visitor.page.evaluate(() => getComputedStyle(document.querySelector("h1")).textTransform), "uppercase");
    assert.equal(await visitor.position(), 3);
    await room.admit(2);
    await visitor.untilPosition(1);
    await room.callNext();
    await visitor.until("shop");
  });

  test("a script that gets into a title, a message or a template does not run", async (t) => {
    const evil = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>";
    const room = await house.room({
      page: { title: evil, message: `</script>${evil}`, template: `{% include "layout.html" %}<footer>${evil}</footer>` },
    });
    await room.crowd(2);
    const visitor = await Visitor.come(t, room);
    visitor.tolerates = /Content Security Policy|Failed to load resource/;
    const response = await visitor.go(`/tickets?"><script>window.hacked=3</script>`);
    await visitor.until("waiting");
    // The page's own script has run by the time it has asked once.
    await until("the page works", () => visitor.requests.some((request) => request.includes("/queue/status")));
    assert.equal(await visitor.page.evaluate(() => window.hacked), undefined);
    assert.equal(await visitor.page.textContent("header p"), evil, "it is text");
    assert.equal(await visitor.page.locator("main script, main img").count(), 0);
    const policy = response.headers()["content-security-policy"];
    const again = await visitor.page.reload();
    assert.match(policy, /script-src 'nonce-/);
    assert.notEqual(again.headers()["content-security-policy"], policy, "a nonce is good for one page");
    assert(visitor.errors.some((text) => /Content Security Policy/.test(text)), "the template's was stopped");
  });
});
