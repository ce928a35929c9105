// A waiting room in front of a shop, of real processes. Which program stands at the door is the only thing that differs:
//
//   native   the origin's own gate
//   edge     the worker on workerd, in front of an origin and the shop
//
// ANTEROOM_E2E_HOST says which; ANTEROOM_SERVER is the program of the origin; the edge needs ANTEROOM_WORKERD and
// ANTEROOM_EDGE_BUNDLE as well. `cargo xtask test --only e2e` sets them all.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Process } from "./process.mjs";
import { Room } from "./room.mjs";
import { openShop } from "./shop.mjs";
import { until } from "./until.mjs";

/** `native` or `edge`. */
export const HOST = process.env.ANTEROOM_E2E_HOST ?? "native";
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const given = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`these tests need ${name}, which cargo xtask test --only e2e sets`);
  return resolve(ROOT, value);
};
const secret = () => randomBytes(24).toString("hex");

/** A house. Made with `House.open`. */
export class House {
  #folder = mkdtempSync(join(tmpdir(), "anteroom-e2e-"));
  #rooms = 0;

  /** Opens a house whose line survives its origin. With `redis` the line is kept there, so that it can be taken away. */
  static async open({ redis = false } = {}) {
    const house = new House();
    try {
      return await house.#open(redis);
    } catch (error) {
      await house.close();
      throw error;
    }
  }

  async #open(redis) {
    const house = this;
    house.shop = await openShop();
    const [signing, edge] = [secret(), secret()];
    house.admin = secret();
    if (redis) house.redis = await startRedis();
    house.origin = await Process.start((port) => ({
      command: given("ANTEROOM_SERVER"),
      args: ["serve"],
      env: {
        ANTEROOM_LISTEN: `127.0.0.1:${port}`,
        ANTEROOM_SECRET: signing,
        ANTEROOM_ADMIN_TOKEN: house.admin,
        ANTEROOM_EDGE_TOKEN: edge,
        // All visitors of a test come from one address.
        ANTEROOM_RATE_PER_SEC: "0",
        ...(redis ? { ANTEROOM_REDIS_URL: `redis://127.0.0.1:${house.redis.port}` } : { ANTEROOM_STATE_DIR: house.#folder }),
        ...(HOST === "native" ? { ANTEROOM_UPSTREAM: house.shop.url } : {}),
      },
      isUp: async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok,
    }));
    house.door = HOST === "native" ? house.origin : await startEdge(house, signing, edge);
    return house;
  }

  /** The address of the origin's API. */
  get api() { return `http://127.0.0.1:${this.origin.port}/api/v1`; }

  /**
   * A room of its own at a host of its own, with these settings over those of `Room.USUAL`. Browsers take http for safe at hosts of
   * `localhost`, and at no others.
   */
  async room(settings = {}, domain = "localhost") {
    this.#rooms += 1;
    return Room.open(this, `sale-${this.#rooms}`, `sale-${this.#rooms}.${domain}`, settings);
  }

  /** Takes away what gives out places: at the origin's own gate its store, at the edge the origin. */
  async losePlaces() { await (HOST === "native" ? this.redis : this.origin).kill(); }

  /** What a request without a browser is answered: `{ status, headers, text }`. */
  ask(room, path, headers = {}) {
    return new Promise((done, failed) => {
      const options = { host: "127.0.0.1", port: this.door.port, path, headers: { host: `${room.host}:${this.door.port}`, ...headers }, agent: false };
      request(options, (response) => {
        let text = "";
        response.on("data", (bytes) => { text += bytes; });
        response.on("end", () => done({ status: response.statusCode, headers: response.headers, text }));
      }).on("error", failed).end();
    });
  }

  async close() {
    for (const process of new Set([this.door, this.origin, this.redis])) await process?.kill();
    await this.shop?.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function startEdge(house, signing, edge) {
  return Process.start((port) => ({
    command: join(ROOT, "deploy/workerd/run"),
    env: {
      ANTEROOM_WORKERD: given("ANTEROOM_WORKERD"),
      ANTEROOM_EDGE_BUNDLE: given("ANTEROOM_EDGE_BUNDLE"),
      ANTEROOM_LISTEN: `127.0.0.1:${port}`,
      ORIGIN: `http://127.0.0.1:${house.origin.port}`,
      UPSTREAM: house.shop.url,
      ANTEROOM_SECRET: signing,
      ANTEROOM_EDGE_TOKEN: edge,
    },
    isUp: async () => (await fetch(`http://127.0.0.1:${port}/.well-known/is-anybody-there`)).status > 0,
  }));
}

function startRedis() {
  return Process.start((port) => ({
    command: "redis-server",
    args: ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    cwd: tmpdir(),
    isUp: async () => until("Redis is ready", async () => true).then(() => connects(port)),
  }));
}

async function connects(port) {
  const { connect } = await import("node:net");
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => { socket.destroy(); done(true); }).on("error", () => done(false));
  });
}
