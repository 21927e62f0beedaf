// The stage of all flows: one server, one receiver and one browser for everybody; a company and
// visitors of its own for each flow.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { launch } from "./browser.mjs";
import { Embedder } from "./embedder.mjs";
import { plan } from "./plan.mjs";
import { Receiver } from "./receiver.mjs";
import { Server } from "./server.mjs";
import { Visitor } from "./visitor.mjs";

/** The operator that is there from the start. */
export const OPERATOR = { email: "ada@tidings.example", password: "correct horse battery staple" };

/** How long one flow may take, in milliseconds, on a machine that is busy. */
const FLOW_MS_MAX = 180_000;

let opening;

/** The stage, opened when it is first asked for. */
export function theStage() {
  opening ??= Stage.open();
  return opening;
}

/** Closes the stage if it was opened. */
export async function closeStage() {
  // Why it could not be opened every flow has told.
  const stage = await opening?.catch(() => null);
  await stage?.close();
}

/** Declares a test: `body` is given a scene, whose visitors must have had nothing to complain about. */
export function flow(name, body) {
  test(name, { timeout: FLOW_MS_MAX }, async () => {
    const scene = new Scene(await theStage());
    try {
      await body(scene);
    } catch (error) {
      await scene.keepEvidence(name);
      await scene.leave().catch(() => {});
      throw error;
    }
    await scene.leave();
  });
}

class Stage {
  companies = 0;

  static async open() {
    const stage = new Stage();
    try {
      stage.embedder = await Embedder.start();
      stage.receiver = await Receiver.start();
      stage.server = await Server.start({
        args: () => ["--portal-frame-origin", stage.embedder.origin],
        users: { [OPERATOR.email]: OPERATOR.password },
      });
      stage.browser = await launch();
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  /** Closes what has been opened. */
  async close() {
    await this.browser?.close();
    await this.server?.stop();
    await this.receiver?.close();
    await this.embedder?.close();
  }
}

/** What one flow works with. */
class Scene {
  #visitors = [];
  #servers = [];

  constructor(stage) {
    this.stage = stage;
    this.server = stage.server;
    this.receiver = stage.receiver;
    stage.companies += 1;
    /** A company that nobody else uses. */
    this.company = `acme-${stage.companies}`;
  }

  /** A path of the company: `path("webhooks")`. */
  path(tail = "") {
    return `/portal/c/${this.company}${tail && `/${tail}`}`;
  }

  /** Somebody who is not signed in. */
  async stranger(options = {}, server = this.server) {
    const visitor = await Visitor.arrive(this.stage.browser, server.origin, options);
    this.#visitors.push(visitor);
    return visitor;
  }

  /** A link by which somebody of the company gets in. */
  async link(role = "admin", company = this.company, server = this.server) {
    const session = { companyId: company, role };
    return (await server.ask("POST", "/api/v1/portal/sessions", session)).url;
  }

  /** Somebody of the company, on its overview. */
  async guest(role = "admin", options = {}) {
    const visitor = await this.stranger(options);
    await visitor.open(await this.link(role));
    return visitor;
  }

  /** An operator, on the platform's page. */
  async operator({ email, password } = OPERATOR, options = {}, server = this.server) {
    const visitor = await this.stranger(options, server);
    await visitor.open("/portal/sign-in");
    await signIn(visitor.page, email, password);
    await visitor.page.waitForURL("**/portal/platform");
    return visitor;
  }

  /** A server of this flow's own. */
  async ownServer(options) {
    const server = await Server.start(options);
    this.#servers.push(server);
    return server;
  }

  /** From now on everything of this flow happens on a server of its own. */
  async moveTo(options) {
    this.server = await this.ownServer(options);
  }

  /** A webhook made by the API: what it answered, and the endpoint behind it. */
  async webhook({ types = ["*"], answer, company = this.company, ...more } = {}) {
    const endpoint = this.receiver.endpoint(answer);
    const wish = { companyId: company, url: endpoint.url, eventTypes: types, ...more };
    const made = await this.server.ask("POST", "/api/v1/webhooks/subscriptions", wish);
    return { ...made, endpoint };
  }

  /** Publishes an event of the company; gives its envelope. */
  async publish(type = "payment.failed", payload = { amount: 99 }, company = this.company) {
    return this.server.ask("POST", "/api/v1/events", { companyId: company, type, payload });
  }

  /** The attempts of a webhook that the API tells of, newest first. */
  async attempts(webhook) {
    const query = `?companyId=${webhook.companyId}`;
    return this.server.ask("GET", `/api/v1/webhooks/subscriptions/${webhook.id}/attempts${query}`);
  }

  /** Everybody leaves; fails where a browser complained. */
  async leave() {
    const visitors = this.#visitors.splice(0);
    const left = await Promise.allSettled(visitors.map((visitor) => visitor.leave()));
    for (const server of this.#servers.splice(0)) await server.stop();
    const failed = left.find(({ status }) => status === "rejected");
    if (failed) throw failed.reason;
  }

  /** Keeps what everybody saw when the flow failed. */
  async keepEvidence(name) {
    const directory = join(plan.directory, "failed", name.replaceAll(/[^a-z0-9]+/gi, "-"));
    mkdirSync(directory, { recursive: true });
    for (const [number, { page }] of this.#visitors.entries()) {
      const file = join(directory, `visitor-${number + 1}`);
      // Evidence is worth having, but its lack must not hide why the flow failed.
      await page.screenshot({ path: `${file}.png`, fullPage: true }).catch(() => {});
      await page.content().then((html) => writeFileSync(`${file}.html`, html), () => {});
    }
  }
}

/** Fills in the form for signing in and sends it. */
export async function signIn(page, email, password) {
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
