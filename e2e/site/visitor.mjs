// Somebody with a browser: a real Chromium, and what the person sees in it.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { HOST } from "./house.mjs";
import { PATIENCE, until } from "./until.mjs";

const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-component-update", "--disable-sync", "--disable-quic", "--host-resolver-rules=MAP *.test 127.0.0.1"],
  // What is left by it must be met by pages as people have it.
  ignoreDefaultArgs: ["--disable-back-forward-cache"],
};
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };
const SHOTS = process.env.ANTEROOM_E2E_SHOTS && join(process.env.ANTEROOM_E2E_SHOTS, HOST);
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

/** Starts the browser. */
export const launch = () => chromium.launch(LAUNCH);

let browser;
/** Ends the browser of this test file. */
export async function closeBrowser() { await (await browser)?.close(); browser = undefined; }

/** A visitor of a room. */
export class Visitor {
  /** What went wrong in any of the visitor's pages: exceptions, console errors, violations of the policy. Checked when the visitor goes. */
  errors = [];
  /** Every position, progress and announcement that was ever on a page, in order: `{ position?, progress?, news? }`. */
  seen = [];
  /** All requests: `METHOD url`. */
  requests = [];
  /** Errors to be expected; others fail the test. */
  tolerates = /Failed to load resource/;

  /**
   * A visitor for the length of the test `t`. `options` are those of a browser context; with `cookies: false` the browser is set to
   * block them, as in its settings under privacy.
   */
  static async come(t, room, { cookies = true, ...options } = {}) {
    const visitor = new Visitor();
    visitor.room = room;
    const all = { viewport: PHONE, locale: "en-GB", timezoneId: "Europe/Berlin", ...options };
    if (cookies) {
      browser ??= launch();
      visitor.context = await (await browser).newContext(all);
    } else {
      const profile = mkdtempSync(join(tmpdir(), "anteroom-e2e-profile-"));
      t.after(() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 }));
      mkdirSync(join(profile, "Default"));
      writeFileSync(join(profile, "Default/Preferences"), JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }));
      visitor.context = await chromium.launchPersistentContext(profile, { ...LAUNCH, ...all });
    }
    await visitor.#watch();
    t.after(async () => {
      await visitor.context.close();
      assert.deepEqual(visitor.errors.filter((text) => !visitor.tolerates.test(text)), [], "nothing goes wrong in a page");
    });
    visitor.page = await visitor.tab();
    return visitor;
  }

  /** Another tab. */
  async tab() {
    const page = await this.context.newPage();
    page.setDefaultTimeout(PATIENCE);
    return page;
  }

  /** Goes to an address of the room's site; gives the response. */
  go(path, page = this.page) { return page.goto(this.room.url + path, { waitUntil: "domcontentloaded" }); }

  /**
   * Back (-1) or forward (1) through the tab's history, to an address. A page that the browser has kept is not loaded anew, so there is
   * no load to wait for.
   */
  async step(by, url, page = this.page) {
    await page.evaluate((by) => { setTimeout(() => history.go(by)); }, by);
    await until(`history leads to ${url}`, () => page.url() === url);
  }

  /** What the page is about: `waiting`, `paused`, `ready`, `ended` …; `shop` where it is the shop's. */
  async state(page = this.page) {
    const at = page.locator("#page, main[data-shop]").first();
    return (await at.getAttribute("data-state")) ?? "shop";
  }

  async text(id, page = this.page) { return page.locator(`#${id}`).textContent(); }

  /** The number shown. */
  async position(page = this.page) { return digits(await this.text("position", page)); }

  /** The person's number, which tells one place from another. */
  async number(page = this.page) { return page.locator("dl dd").nth(1).textContent(); }

  /** Waits for a state. */
  until(state, page = this.page) {
    return until(`the page is ${state}`, async () => { const is = await quick(() => this.state(page)); return is === state || (assert.equal(is, state), false); });
  }

  /** Waits for a position. */
  untilPosition(position, page = this.page) {
    return until(`the position is ${position}`, async () => { const is = await quick(() => this.position(page)); return is === position || (assert.equal(is, position), false); });
  }

  /** Waits for a text in the element with this id. */
  untilText(id, pattern, page = this.page) {
    return until(`${id} says ${pattern}`, async () => { const is = await quick(() => this.text(id, page)); return pattern.test(is) || (assert.match(is, pattern), false); });
  }

  /** Keeps the visitor before the door: what would take the turn leads nowhere. */
  staysOutside() { return this.page.route("**/gate/enter", (route) => route.fulfill({ status: 204 })); }

  /** That no number ever went up, and no progress back. */
  neverBack() {
    const positions = this.seen.map(({ position }) => position).filter((position) => position !== undefined);
    const progress = this.seen.map(({ progress }) => progress).filter((progress) => progress !== undefined);
    assert.deepEqual(positions, positions.toSorted((a, b) => b - a), "the position never goes up");
    assert.deepEqual(progress, progress.toSorted((a, b) => a - b), "the progress never goes back");
    return positions;
  }

  /** Takes pictures of the page as it is: on a phone and on a desktop, light and dark. */
  async shoot(name, page = this.page) {
    if (!SHOTS) return;
    for (const [size, viewport] of [["phone", PHONE], ["desktop", DESKTOP]]) {
      await page.setViewportSize(viewport);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(SHOTS, `${name}-${size}-${colorScheme}.png`) });
      }
    }
    await page.setViewportSize(PHONE);
    await page.emulateMedia({ colorScheme: "light" });
  }

  async #watch() {
    const { context, errors, seen, requests } = this;
    context.on("weberror", (error) => errors.push(error.error().message));
    context.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
    context.on("request", (request) => requests.push(`${request.method()} ${request.url()}`));
    await context.exposeBinding("tellTest", (_, fact) => seen.push(fact));
    await context.addInitScript(() => {
      if (window !== top) return;
      const told = {};
      const tell = (name, value) => { if (value !== undefined && told[name] !== value) { told[name] = value; window.tellTest({ [name]: value }); } };
      const look = () => {
        const at = (id) => document.getElementById(id);
        if (at("page")?.dataset.state === "waiting") tell("position", Number(at("position")?.textContent.replace(/\D/g, "")));
        const bar = at("progress");
        if (bar) tell("progress", bar.value / bar.max);
        for (const live of document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]")) if (live.textContent) tell("news", live.textContent);
      };
      // What was changed back before it was painted was never seen.
      new MutationObserver(() => requestAnimationFrame(look)).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      window.moved = [];
      new PerformanceObserver((list) => {
        const name = ({ node, previousRect, currentRect }) => `${node?.outerHTML ?? node?.textContent} from ${JSON.stringify(previousRect)} to ${JSON.stringify(currentRect)}`;
        for (const { value, sources } of list.getEntries()) window.moved.push(`${value}: ${sources.map(name).join(", ")}`);
      }).observe({ type: "layout-shift", buffered: true });
    });
  }
}

const digits = (text) => Number(text.replace(/\D/g, ""));
/** A look at a page that may just be changing: it must not wait for elements. */
const quick = (look) => Promise.race([look(), new Promise((_, late) => setTimeout(late, 2_000, new Error("the page has no such part")))]);
