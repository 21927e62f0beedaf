// Takes the pictures of docs/images: `cargo xtask browser --screenshots`. A server whose clock is
// turned by hand goes through a day of a small shop, so that the pictures are much the same each
// time; only ids differ.

import { execFileSync } from "node:child_process";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { launch } from "./harness/browser.mjs";
import { plan } from "./harness/plan.mjs";
import { Receiver } from "./harness/receiver.mjs";
import { Server } from "./harness/server.mjs";
import { signIn } from "./harness/stage.mjs";
import { TurnedClock } from "./harness/turned_clock.mjs";
import { Visitor } from "./harness/visitor.mjs";
import { until } from "./harness/waiting.mjs";

const OPERATOR = { email: "ada@example.com", password: "correct horse battery staple" };
/** When the pictures are taken; the day before it is shown. */
const NOW = new Date("2026-11-26T15:25:00Z");
/** Where the pictures' webhooks lead. */
const RECEIVER_PORT = 4000;
const STEP_MS = 10 * 60_000;
const STEPS = 24 * 6;
/** Bytes of a picture at most: a page of documentation has several. */
const PICTURE_BYTES_MAX = 150_000;

/** What the documentation shows on a phone. */
const ON_PHONE = ["overview", "webhooks", "log", "attempt"];

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 860 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 860 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 780 } },
};

test("the pictures of docs/images", { timeout: 600_000 }, async () => {
  mkdirSync(plan.images, { recursive: true });
  const clock = new TurnedClock(plan.directory);
  clock.set(new Date(NOW.getTime() - STEPS * STEP_MS));
  const receiver = await Receiver.start(RECEIVER_PORT, "localhost");
  const server = await Server.start({ clock, users: { [OPERATOR.email]: OPERATOR.password } });
  const browser = await launch({ FONTCONFIG_FILE: typeface() });
  try {
    const shop = await Shop.open(server, receiver);
    await shop.live(clock);
    for (const [look, options] of Object.entries(LOOKS)) {
      const link = await server.ask("POST", "/api/v1/portal/sessions", { companyId: "acme", role: "admin" });
      const guest = await Visitor.arrive(browser, server.origin, { ...options, timezoneId: "UTC" });
      await guest.open(link.url);
      for (const [name, path] of await shop.pages()) {
        if (look !== "phone" || ON_PHONE.includes(name)) await take(guest, name, look, path);
      }
      await guest.leave();
      if (look === "phone") continue;
      const operator = await Visitor.arrive(browser, server.origin, { ...options, timezoneId: "UTC" });
      await operator.open("/portal/sign-in");
      await signIn(operator.page, OPERATOR.email, OPERATOR.password);
      await operator.page.waitForURL("**/portal/platform");
      await take(operator, "platform", look, "/portal/platform");
      await operator.leave();
    }
  } finally {
    await browser.close();
    await server.stop();
    await receiver.close();
  }
});

/** Makes the browser take Inter for the system's typeface, and says in which file that stands. */
function typeface() {
  const file = join(plan.directory, "fonts.conf");
  const take = (family) => `<match target="pattern">
    <test name="family"><string>${family}</string></test>
    <edit name="family" mode="assign" binding="strong"><string>Inter</string></edit>
  </match>`;
  writeFileSync(file, `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  ${["system-ui", "sans-serif", "sans"].map(take).join("\n  ")}
</fontconfig>`);
  return file;
}

/** Takes one picture of what a window of that look shows. */
async function take(visitor, name, look, path) {
  await visitor.open(path);
  const file = join(plan.images, `portal-${name}-${look}.png`);
  await visitor.page.screenshot({ path: file, animations: "disabled", caret: "hide" });
  // A page has few colours; a picture of 256 of them looks the same and is a third as large.
  execFileSync("pngquant", ["--force", "--skip-if-larger", "--strip", "--speed", "1", "--output", file, "--", file]);
  const { size } = statSync(file);
  if (size > PICTURE_BYTES_MAX) throw new Error(`${file} has ${size} bytes`);
}

/** A small shop with webhooks of every kind, and other companies beside it. */
class Shop {
  #server;
  #receiver;
  #chance = chance(42);
  #webhooks = {};

  static async open(server, receiver) {
    const shop = new Shop();
    shop.#server = server;
    shop.#receiver = receiver;
    const key = { name: "product backend", scopes: ["admin"] };
    server.key = (await server.ask("POST", "/api/v1/api-keys", key)).key;
    await shop.#add("billing", "/billing/webhooks", ["invoice.*", "payment.*"], {
      description: "Books payments, production",
    }, () => (shop.#chance() < 0.08 ? shop.#sick() : { status: 204, body: "" }));
    await shop.#add("crm", "/crm/events", ["client.*"], { description: "Keeps the CRM in step", maxPerSecond: 50 });
    await shop.#add("warehouse", "/warehouse/hook", ["order.*"], { description: "Packing and shipping" });
    await shop.#add("zapier", "/zapier/catch/7391", ["client.created"], { managedBy: "zapier" });
    await shop.#add("old", "/shop-v1/callback", ["*"], { enabled: false, description: "The shop before the move" });
    await shop.#add("legacy", "/legacy/hook", ["order.created"], { description: "To be replaced in spring" }, () => ({
      status: 500,
      headers: { "Content-Type": "text/html" },
      body: "<h1>Internal Server Error</h1>",
    }));
    for (const [company, path] of [["globex", "/globex"], ["initech", "/initech"], ["umbrella", "/umbrella"]]) {
      await shop.#add(company, path, ["*"], { companyId: company });
    }
    await server.ask("POST", "/api/v1/api-keys", { companyId: "acme", name: "shop backend", scopes: ["events:write"] });
    await server.ask("POST", "/api/v1/api-keys", { companyId: "acme", name: "nightly report", scopes: ["events:read"] });
    return shop;
  }

  /** Goes through a day, ten minutes at a time, up to now. */
  async live(clock) {
    for (let step = 1; step <= STEPS; step += 1) {
      const time = new Date(NOW.getTime() - (STEPS - step) * STEP_MS);
      clock.set(time);
      const busy = 3 + Math.round(6 * Math.max(0, Math.sin(((time.getUTCHours() - 6) / 14) * Math.PI)));
      const events = Array.from({ length: busy }, () => this.#event());
      await this.#publish("acme", events);
      for (const [company, share] of [["globex", 0.6], ["initech", 0.3], ["umbrella", 0.1]]) {
        const some = events.filter(() => this.#chance() < share);
        if (some.length > 0) await this.#publish(company, some);
      }
    }
  }

  /** What there is to see, by the picture's name. */
  async pages() {
    const acme = "/portal/c/acme";
    const log = await this.#attempts("legacy");
    const booked = await this.#attempts("billing");
    const failed = booked.find(({ outcome, eventType }) => outcome === "failed" && eventType === "payment.failed");
    const place = await this.#place(failed ?? log[0]);
    return [
      ["overview", acme],
      ["webhooks", `${acme}/webhooks`],
      ["webhook", `${acme}/webhooks/${this.#webhooks.billing.id}`],
      ["log", `${acme}/log`],
      ["attempt", place],
      ["event", `${acme}/events/${(failed ?? log[0]).eventId}`],
    ];
  }

  async #add(name, path, eventTypes, more = {}, answer = () => ({ status: 200, body: '{"ok":true}' })) {
    const endpoint = this.#receiver.endpoint(answer, path);
    const wish = { companyId: "acme", url: endpoint.url, eventTypes, ...more };
    const made = await this.#server.ask("POST", "/api/v1/webhooks/subscriptions", wish);
    this.#webhooks[name] = { ...made, endpoint };
  }

  /** Publishes some, and waits until what is well has them. */
  async #publish(companyId, events) {
    const healthy = Object.values(this.#webhooks).filter(
      (webhook) => webhook.companyId === companyId && webhook.enabled && !webhook.url.includes("legacy"),
    );
    const before = healthy.map(({ endpoint }) => endpoint.requests.length);
    await this.#server.ask("POST", `/api/v1/events/batch?companyId=${companyId}`, { events });
    for (const [number, { endpoint, eventTypes }] of healthy.entries()) {
      const wanted = events.filter(({ type }) => eventTypes.some((pattern) => fits(pattern, type)));
      if (wanted.length > 0) await endpoint.request(before[number] + wanted.length);
    }
  }

  #event() {
    const draw = this.#chance();
    const number = 1000 + Math.floor(this.#chance() * 9000);
    const amount = Math.round(this.#chance() * 20_000) / 100;
    if (draw < 0.3) return { type: "order.created", payload: { orderId: number, items: 1 + (number % 4), total: amount, currency: "EUR" } };
    if (draw < 0.45) return { type: "order.shipped", payload: { orderId: number, carrier: "DHL", parcels: 1 } };
    if (draw < 0.65) return { type: "client.created", payload: { clientId: number, country: "DE", newsletter: number % 2 === 0 } };
    if (draw < 0.75) return { type: "client.updated", payload: { clientId: number, changed: ["address"] } };
    if (draw < 0.9) return { type: "invoice.paid", payload: { invoice: `2026-${number}`, amount, currency: "EUR" } };
    return {
      type: "payment.failed",
      payload: { invoice: `2026-${number}`, amount, currency: "EUR", reason: "card_expired", attempt: 1, client: { clientId: number, country: "DE" } },
    };
  }

  #sick() {
    return {
      status: 503,
      headers: { "Content-Type": "application/json", "Retry-After": "20" },
      body: '{"error":"upstream unavailable","service":"ledger","retryable":true}',
    };
  }

  async #attempts(name) {
    const path = `/api/v1/webhooks/subscriptions/${this.#webhooks[name].id}/attempts?companyId=acme&limit=1000`;
    return until(`attempts of ${name}`, async () => {
      const attempts = await this.#server.ask("GET", path);
      return attempts.length > 0 && attempts;
    });
  }

  /** Where the portal shows an attempt: the log tells it of its event. */
  async #place(attempt) {
    const link = await this.#server.ask("POST", "/api/v1/portal/sessions", { companyId: "acme", role: "viewer" });
    const entered = await fetch(link.url, { redirect: "manual" });
    const cookie = entered.headers.get("set-cookie").split(";")[0];
    const query = `event=${attempt.eventId}&webhook=${attempt.subscriptionId}&outcome=failed`;
    const page = await fetch(`${this.#server.origin}/portal/c/acme/log?${query}`, { headers: { cookie } });
    return (await page.text()).match(/href="(\/portal\/c\/acme\/log\/[^"?]+)"/)[1];
  }
}

/** Whether a type fits a pattern: `*`, `client.*` or itself. */
function fits(pattern, type) {
  return pattern === "*" || pattern === type || (pattern.endsWith(".*") && type.startsWith(pattern.slice(0, -1)));
}

/** Numbers from 0 to 1 that are the same each time: Park and Miller's generator. */
function chance(seed) {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
