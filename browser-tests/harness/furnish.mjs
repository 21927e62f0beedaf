// A company that has a bit of everything, so that every page has something to show.

import { until } from "./waiting.mjs";

/**
 * Makes webhooks that succeed, fail and are disabled, a key, an event type, and events that were
 * delivered to them. Everything has settled when it returns.
 */
export async function furnish(scene) {
  const { server, company } = scene;
  // The oldest, so that what is listed first is one that can be edited here.
  const off = await scene.webhook({ types: ["invoice.paid"], enabled: false, managedBy: "zapier" });
  const good = await scene.webhook({
    types: ["client.*", "payment.failed"],
    description: "Billing, production",
    maxPerSecond: 50,
  });
  const bad = await scene.webhook({
    types: ["*"],
    answer: () => ({
      status: 500,
      headers: { "Content-Type": "application/json" },
      body: '{"error":"database is locked"}',
    }),
  });
  await server.ask("POST", "/api/v1/api-keys", {
    companyId: company,
    name: "Nightly report",
    scopes: ["events:read"],
  });
  await server.ask("PUT", "/api/v1/event-types/client.created", {
    description: "Somebody became a client.",
    samplePayload: { clientId: 1, country: "GB" },
    schema: { type: "object", properties: { clientId: { type: "integer" } } },
  });
  const events = [];
  for (const [type, payload] of EVENTS) events.push(await scene.publish(type, payload));
  await good.endpoint.request(EVENTS.filter(([type]) => type !== "invoice.paid").length);
  await bad.endpoint.request(EVENTS.length);
  await until("the log of what was delivered", async () => (await scene.attempts(bad)).length >= EVENTS.length);
  return { good, bad, off, events };
}

const EVENTS = [
  ["client.created", { clientId: 4711, name: "Ada Lovelace", country: "GB" }],
  ["client.updated", { clientId: 4711, changed: ["country"] }],
  ["payment.failed", { invoice: "2026-0042", amount: 99.5, reason: "card expired" }],
  ["invoice.paid", { invoice: "2026-0041", amount: 12 }],
];
