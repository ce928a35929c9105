// Real processes of one test file: started on ports of their own, ended by their ids, gone when the tests are, however those end.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { until } from "./until.mjs";

const running = new Set();
process.on("exit", () => { for (const child of running) child.kill("SIGKILL"); });

let given = process.pid * 997;
/**
 * A free port that nobody is given by chance while its program is dead: the system hands out those from 32768 by itself, and this process
 * each of its own once. Somebody else may take it before it is used all the same: `start` tries others.
 */
export function freePort() {
  const port = 10_000 + (given++ % 22_000);
  return new Promise((found) => {
    const server = createServer().on("error", () => found(freePort()));
    server.listen(port, "127.0.0.1", () => server.close(() => found(port)));
  });
}

/** A program that serves a port. */
export class Process {
  #child = null;
  #log = "";
  #how;

  /**
   * Starts it and waits until it answers. `how(port)` says `command`, `args`, `env` and `isUp`, which gives true once it is. With `port`
   * it must be that one, otherwise any.
   */
  static async start(how, port) {
    const process = new Process();
    process.#how = how;
    for (let left = port ? 1 : 5; left > 0; left -= 1) {
      process.port = port ?? (await freePort());
      if (await process.#launch()) return process;
    }
    throw new Error(`it did not come up; its log:\n${process.log}`);
  }

  get log() { return this.#log; }
  get isRunning() { return this.#child !== null; }

  /** Kills it with SIGKILL and waits until it is gone. */
  async kill() {
    const child = this.#child;
    if (!child) return;
    const gone = new Promise((done) => child.once("close", done));
    child.kill("SIGKILL");
    await gone;
  }

  /** Starts a killed one again, on its port. */
  async restart() {
    await this.kill();
    await until("it comes back", () => this.#launch());
  }

  async #launch() {
    const { command, args = [], env = {}, cwd, isUp } = this.#how(this.port);
    // The settings of whoever runs the tests must not leak in.
    const child = spawn(command, args, { env: { PATH: process.env.PATH, ...env }, cwd, stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { this.#log += text; });
    child.on("error", (error) => { this.#log += `${command}: ${error.message}\n`; });
    child.once("close", () => { running.delete(child); if (this.#child === child) this.#child = null; });
    await until(`${command} answers`, async () => this.#child !== child || (await isUp().catch(() => false)));
    return this.#child === child;
  }
}
