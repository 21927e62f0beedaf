// The real program as a process, and its API.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { env } from "node:process";
import { createInterface } from "node:readline";

import { plan, takeDatabase } from "./plan.mjs";
import { inTime } from "./waiting.mjs";

/** A platform key that the server accepts from its start. */
const KEY = `tdg_${"A".repeat(43)}`;
/** The encryption key of all these servers: 32 zero bytes. */
const ENCRYPTION_KEY = `${"A".repeat(43)}=`;

/** Processes that must not outlive this one. */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A server on a database of its own. */
export class Server {
  /**
   * Starts one. `users` (email to password) are made before it starts; what `args` gives for the
   * server's port is added to `serve`; it goes by `clock` where there is one.
   */
  static async start({ args = () => [], users = {}, clock } = {}) {
    const server = new Server();
    server.clock = clock;
    server.database = takeDatabase();
    server.port = await freePort();
    server.origin = `http://127.0.0.1:${server.port}`;
    server.directory = join(plan.directory, `server-${server.port}`);
    mkdirSync(server.directory, { recursive: true });
    for (const [email, password] of Object.entries(users)) {
      await server.createUser(email, password);
    }
    await server.#serve(args(server.port));
    return server;
  }

  /** Runs `tidings users create` on the server's database. */
  async createUser(email, password) {
    const args = ["users", "create", "--email", email, "--password-stdin"];
    return this.command(args, `${password}\n`);
  }

  /** Runs a command of the program on the server's database and returns what it printed. */
  async command(args, input = "") {
    const child = this.#spawn([...args, "--database", this.database], "pipe");
    child.stdin.end(input);
    const [output, complaint] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const code = child.exitCode ?? (await once(child, "exit"))[0];
    if (code !== 0) throw new Error(`tidings ${args.join(" ")} failed: ${complaint}`);
    return output;
  }

  /** The platform's key with which the API is asked. */
  key = KEY;

  /** Sends a request to the API; gives status, headers and JSON. */
  async call(method, path, body, key = this.key) {
    const answer = await fetch(this.origin + path, {
      method,
      headers: { "X-Api-Key": key, ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, json: text ? JSON.parse(text) : null };
  }

  /** Sends a request that must succeed, and gives the JSON of its answer. */
  async ask(method, path, body) {
    const answer = await this.call(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.json)}`);
    }
    return answer.json;
  }

  /** Everything it logged, line by line. */
  log = [];

  /** Stops it politely; it must end well. */
  async stop() {
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    const [code] = await inTime("the server's end", ended);
    writeFileSync(join(this.directory, "server.log"), this.log.join("\n"));
    if (code !== 0) throw new Error(`the server ended with ${code}; its log is in ${this.directory}`);
  }

  async #serve(args) {
    const settings = ["--environment", "development", "--log-format", "json"];
    const place = ["--database", this.database, "--listen", `127.0.0.1:${this.port}`];
    this.child = this.#spawn(["serve", ...settings, ...place, ...args], "ignore");
    this.child.stdout.resume();
    const lines = createInterface(this.child.stderr);
    const ready = new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        this.log.push(line);
        if (line.includes('"message":"ready"')) resolve();
      });
      lines.on("close", () => reject(new Error(`the server ended: ${this.log.join("\n")}`)));
    });
    await inTime("the server's start", ready);
  }

  #spawn(args, stdin) {
    const own = Object.entries(env).filter(([name]) => !name.startsWith("TIDINGS_"));
    const child = spawn(plan.program, args, {
      cwd: this.directory,
      env: {
        ...Object.fromEntries(own),
        TIDINGS_ENCRYPTION_KEY: ENCRYPTION_KEY,
        TIDINGS_BOOTSTRAP_KEY: KEY,
        ...this.clock?.environment,
      },
      stdio: [stdin, "pipe", "pipe"],
    });
    running.add(child);
    child.on("exit", () => running.delete(child));
    return child;
  }
}

/** A port of this machine on which nobody listens. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function text(stream) {
  let text = "";
  for await (const piece of stream.setEncoding("utf8")) text += piece;
  return text;
}
