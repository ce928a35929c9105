// Every page that the crate `page/` can render, in every language and with an operator's looks, against axe; and what its script does
// with answers that no healthy server gives. The pages are files: ANTEROOM_SCENES is the folder that this has filled,
//
//   cargo run -p anteroom-page --example scenes -- FOLDER
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe } from "node:test";
import { test } from "../site/test.mjs";
import { TAGS, axe } from "../site/axe.mjs";
import { launch } from "../site/visitor.mjs";
import { until as untilTrue } from "../site/until.mjs";

const folder = process.env.ANTEROOM_SCENES;
if (!folder) throw new Error("these tests need ANTEROOM_SCENES, which cargo xtask test --only e2e sets");
const index = JSON.parse(readFileSync(`${folder}/index.json`, "utf8"));
const statuses = Object.fromEntries(
  JSON.parse(readFileSync(`${folder}/statuses.json`, "utf8")).map(({ name, status }) => [name, status]));
const ADDRESS = "http://localhost/tickets/1?x=2";

let browser;
before(async () => { browser = await launch(); });
after(() => browser?.close());

// Opens `file` at the address of a shop whose status answers what `status()` says.
async function open(file, { status, html, javaScriptEnabled = true, stays = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, javaScriptEnabled, locale: "en-GB", timezoneId: "Asia/Seoul", ...options });
  const page = await context.newPage();
  const seen = { errors: [], posts: [], loads: 0, polls: 0 };
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) seen.errors.push(message.text());
  });
  await page.route("**/*", async (route) => {
    const request = route.request();
    const { pathname } = new URL(request.url());
    if (pathname.startsWith("/api/")) {
      seen.polls += 1;
      const answer = status?.(seen.polls) ?? "abort";
      if (answer === "abort") return route.abort();
      const { code = 200, headers = {}, body = answer } = answer;
      return route.fulfill({ status: code, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
    }
    if (request.method() === "POST") {
      seen.posts.push(`${pathname} ${request.postData()}`);
      return route.fulfill({ contentType: "text/html", body: "<title>in</title>in" });
    }
    if (request.isNavigationRequest()) seen.loads += 1;
    const shown = html?.(seen.loads, request) ?? file;
    route.fulfill({ status: index[shown].status, headers: index[shown].headers, body: readFileSync(`${folder}/${shown}`) });
  });
  await page.addInitScript(() => {
    window.shift = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shift += entry.value; })
      .observe({ type: "layout-shift", buffered: true });
  });
  // A page that goes in cannot be looked at any more: what it last said is left for the next one.
  await page.addInitScript(() => {
    const submit = HTMLFormElement.prototype.submit;
    HTMLFormElement.prototype.submit = function () {
      sessionStorage.said = JSON.stringify({ state: document.querySelector("#page").dataset.state, news: document.querySelector("#news").textContent, title: document.title });
      submit.call(this);
    };
  });
  // A page that goes in while the next one is being loaded would break that off.
  if (stays) await page.addInitScript(() => { HTMLFormElement.prototype.submit = () => {}; });
  await page.goto(ADDRESS);
  return { page, seen, context, text: (id) => page.textContent(`#${id}`), until: (run, arg) => page.waitForFunction(run, arg, { timeout: 15000 }) };
}
// Polls are half a second apart: six of them are more than it takes to be sent in.
const more = (seen, polls) => { const before = seen.polls; return untilTrue("it asks again", () => seen.polls >= before + polls); };
const fresh = (name, more = {}) => ({ ...statuses[name], as_of: new Date().toISOString(), poll_after_ms: 500, ...more });
const soon = (sec) => new Date(Date.now() + sec * 1000).toISOString();

// Most of each is waiting for the next poll.
describe("the page", { concurrency: 4 }, () => {
  const FILES = Object.keys(index);
  for (const [width, height, colorScheme, files, checks] of [
    [390, 844, "light", FILES, true],
    [1280, 800, "dark", FILES.filter((file) => file.endsWith(".en.html")), true],
    [320, 640, "light", FILES, false],
  ]) {
    test(`every scene fits ${width} pixels${checks ? ` and axe finds nothing in it, ${colorScheme}` : ""}`, async () => {
      const found = [];
      let [file] = files;
      const { page, seen, context } = await open(file, { viewport: { width, height }, colorScheme, stays: true, html: () => file });
      for (file of files) {
        await page.evaluate(() => sessionStorage.clear());
        await page.goto(ADDRESS);
        if (checks) {
          await page.evaluate(axe);
          const { violations } = await page.evaluate((runOnly) => axe.run({ resultTypes: ["violations"], runOnly }), TAGS);
          for (const { id, nodes } of violations) found.push(`${file}: ${id} ${nodes.map((node) => node.html + node.failureSummary).join(" ")}`);
        }
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${file}: ${wide} pixels too wide`);
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll(".number, dd, .eta, h1 span")].filter((at) => at.scrollWidth > at.clientWidth && getComputedStyle(at).visibility === "visible").map((at) => at.id || at.textContent));
        if (cut.length > 0) found.push(`${file}: cut off: ${cut}`);
      }
      await context.close();
      assert.deepEqual([...found, ...seen.errors], []);
    });
  }

  for (const tag of ["en", "ko"]) {
    test(`nothing moves while numbers change, and they never go back, ${tag}`, async () => {
      const positions = [1200, 1111, 1300, 999, 87, 9, 1];
      let step = 0;
      const { page, seen, until } = await open(`waiting.${tag}.html`, {
        status: () => fresh("waiting", { position: positions[step], eta_sec: 800 - 100 * step, eta_low_sec: 20, eta_high_sec: 890 - 110 * step }),
      });
      let last = Infinity, progress = -1;
      for (; step < positions.length; step += 1) {
        const best = Math.min(1234, ...positions.slice(0, step + 1));
        // The second answer from now is asked for after the first has been drawn.
        await more(seen, 2);
        await until((best) => document.querySelector("#position").textContent === new Intl.NumberFormat("en").format(best), best);
        const bar = await page.evaluate(() => { const bar = document.querySelector("#progress"); return bar.value / bar.max; });
        assert(best <= last && bar >= progress, `${best} ${bar}`);
        [last, progress] = [best, bar];
      }
      step = positions.length - 1;
      // Every state into every other, with and without a message.
      for (const state of ["paused", "before", "waiting"]) {
        await page.route("**/api/**", (route) => route.fulfill({ json: fresh(state, { opens_at: state === "before" ? soon(500) : null, message: null }) }));
        await until((state) => document.querySelector("#page").dataset.state === state, state);
      }
      assert.equal(await page.evaluate(() => window.shift), 0);
      assert.deepEqual(seen.errors, []);
      await page.reload();
      assert.equal(await page.textContent("#position"), "1");
    });
  }

  test("a lost connection keeps the numbers, says so, and comes back by itself", async () => {
    let answer = "abort";
    const { seen, text, until, page } = await open("waiting.en.html", { status: () => (typeof answer === "function" ? answer() : answer) });
    await until(() => /Connection lost/.test(document.querySelector("#connection").textContent));
    assert.equal(await text("position"), "1,234");
    answer = { code: 503, headers: { "retry-after": "1" }, body: { error: { code: "UNAVAILABLE" } } };
    await until(() => /busy/.test(document.querySelector("#connection").textContent));
    answer = { code: 502, headers: { "content-type": "text/html" }, body: "bad gateway" };
    await more(seen, 1);
    answer = () => fresh("waiting", { position: 77 });
    await until(() => document.querySelector("#position").textContent === "77");
    assert.equal(await text("connection"), "");
    assert.match(await text("news"), /Connected again/);
    assert.equal(seen.loads, 1);
    assert.deepEqual(seen.errors, []);
  });

  test("whoever is looking is taken in, once", async () => {
    const { seen, text, until, page } = await open("waiting.en.html", { status: () => fresh("ready", { claim_expires_at: soon(60) }) });
    await until(() => document.title === "in");
    const said = JSON.parse(await page.evaluate(() => sessionStorage.said));
    assert.equal(said.state, "ready");
    assert.match(said.news, /your turn.*let in/i);
    assert.match(said.title, /Your turn!/);
    assert.deepEqual(seen.posts, ["/gate/enter event=lanterns&to=%2Ftickets%2F1%3Fx%3D2"]);
    // Back at the page, as when the browser keeps no pass: no second time without being asked.
    await page.goto(ADDRESS);
    await until(() => document.querySelector("#page")?.dataset.state === "ready");
    await more(seen, 6);
    assert.match(await text("auto"), /Press the button/);
    assert.equal(seen.posts.length, 1);
  });

  test("whoever is looking elsewhere is asked on return", async () => {
    const claim_expires_at = soon(60);
    let is = "waiting";
    const { seen, text, until, page } = await open("waiting.en.html", { status: () => fresh(is, is === "ready" ? { claim_expires_at } : {}) });
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { get: () => window.away, configurable: true });
      window.away = true;
    });
    is = "ready";
    await until(() => /Your turn!/.test(document.title));
    await more(seen, 6);
    assert.equal(seen.posts.length, 0);
    await page.evaluate(() => { window.away = false; document.dispatchEvent(new Event("visibilitychange")); });
    await more(seen, 6);
    assert.equal(seen.posts.length, 0);
    assert.match(await text("auto"), /Press the button/);
    assert.match(await text("left"), /^0:\d\d$/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "enter");
    await page.keyboard.press("Enter");
    await until(() => document.title === "in");
    assert.equal(seen.posts.length, 1);
  });

  test("a place that is over, or used elsewhere, loads the server's page", async () => {
    for (const answer of [{ code: 404, body: { error: { code: "TOKEN_EXPIRED" } } }, fresh("entered")]) {
      const { until, seen } = await open("waiting.en.html", { status: () => answer, html: (loads) => (loads > 1 ? "ended-missed.en.html" : "waiting.en.html") });
      await until(() => document.querySelector("#page").dataset.state === "ended");
      assert.equal(seen.loads, 2);
    }
  });

  test("the operator's message comes and goes, and is announced", async () => {
    let message = "<b>Doors at 8</b>";
    const { until, text } = await open("waiting.en.html", { status: () => fresh("waiting", { message }) });
    await until(() => !document.querySelector("#message").hidden);
    assert.equal(await text("message-text"), "<b>Doors at 8</b>");
    assert.equal(await text("news"), message);
    message = null;
    await until(() => document.querySelector("#message").hidden);
  });

  test("leaving takes two steps and a form; closing the page sends nothing", async () => {
    const { page, seen, until } = await open("waiting.en.html", { status: () => fresh("waiting") });
    assert.equal(await page.isVisible("text=Yes, leave the line"), false);
    await page.click("summary");
    await page.click("text=Yes, leave the line");
    await until(() => document.title === "in");
    assert.match(seen.posts[0], /^\/gate\/leave event=lanterns/);
    const other = await open("waiting.en.html", { status: () => fresh("waiting") });
    await other.page.close({ runBeforeUnload: true });
    assert.deepEqual(other.seen.posts, []);
  });

  test("without a place the page asks by itself and loads only what is new", async () => {
    let asked = 0, there = false;
    const html = (loads, request) => {
      if (!request.isNavigationRequest()) asked += 1;
      return there ? "waiting.en.html" : "held.en.html";
    };
    const { until, seen } = await open("held.en.html", { html, status: () => fresh("waiting") });
    await untilTrue("it asks", () => asked > 0);
    assert.equal(seen.loads, 1);
    there = true;
    await until(() => document.querySelector("#page").dataset.state === "waiting");
    assert.equal(seen.loads, 2);
  });

  test("without a script the page refreshes by itself and can be left", async () => {
    const { page } = await open("waiting.en.html", { javaScriptEnabled: false });
    assert.equal(await page.getAttribute("noscript meta", "content").catch(() => null) ?? await page.getAttribute("meta[http-equiv=refresh]", "content"), "2;url=/tickets/1?x=2");
    assert.equal(await page.textContent("#position"), "1,234");
    assert.equal(await page.textContent("#range"), "Most likely 10–17 minutes");
  });

  test("server and script say the same on the same page", async () => {
    // All at once: a page without a script loads itself anew every other second.
    const read = ({ page }) => untilTrue("the page can be read", () => page.evaluate(() => {
      const texts = ["position", "total", "behind", "eta", "range", "before"].map((id) => [id, document.getElementById(id)?.textContent]);
      return document.readyState !== "loading" && Object.fromEntries([["title", document.title], ...texts]);
    }));
    for (const file of Object.keys(index).filter((file) => /^(waiting|front|far|stale|paused|before)\./.test(file))) {
      const quiet = await open(file, { javaScriptEnabled: false });
      const spoken = await open(file);
      const said = await read(spoken);
      assert.deepEqual(said, await read(quiet), file);
      assert(said.title.length > 0 && said.position, file);
      await quiet.context.close();
      await spoken.context.close();
    }
  });
});
