// Endpoints in trouble: silent, gone, failing for good, answering too much. The portal says what
// that means and what to do.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { flow } from "../harness/stage.mjs";
import { until } from "../harness/waiting.mjs";

describe("endpoints in trouble", () => {
  flow("one that stays silent: a test says that no full answer came in time", async (scene) => {
    await scene.moveTo({ args: () => ["--attempt-timeout", "1s"] });
    const webhook = await scene.webhook({ answer: () => new Promise(() => {}) });
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByText("There was no full answer in the time allowed").waitFor();
    await page.getByText("Answer with a 2xx at once").waitFor();
    await examine(page, "a test without an answer");

    const event = await scene.publish();
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    await visitor.open(scene.path("log?status=none"));
    await page.locator("#log-rows tr").filter({ hasText: event.id }).first().getByText("no answer").waitFor();
  });

  flow("one that is not there: the attempt tells of the connection, and has no response", async (scene) => {
    const webhook = await scene.webhook();
    const path = `/api/v1/webhooks/subscriptions/${webhook.id}?companyId=${scene.company}`;
    await scene.server.ask("PATCH", path, { url: "http://127.0.0.1:1/nobody" });
    await scene.publish();
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.locator("#log-rows tr").first().getByRole("link").first().click();
    await page.getByText("No connection came about").first().waitFor();
    await page.getByRole("tab", { name: "Response" }).click();
    await page.getByText("There was no response").waitFor();
    await examine(page, "an attempt without a response");
  });

  flow("one that is gone is disabled, and the page says why and what to do", async (scene) => {
    const webhook = await scene.webhook({ answer: () => ({ status: 410, body: "moved out" }) });
    await scene.publish();
    const path = `/api/v1/webhooks/subscriptions/${webhook.id}?companyId=${scene.company}`;
    await until("its end", async () => !(await scene.server.ask("GET", path)).enabled);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("The endpoint answered 410 Gone").first().waitFor();
    await page.getByRole("button", { name: "Enable", exact: true }).waitFor();
    await visitor.open(scene.path("audit"));
    await page.locator("tbody tr").filter({ hasText: "the server" }).first().waitFor();

    // What is sent to nobody cannot be sent again, and that is said where the button is.
    await visitor.open(scene.path("log"));
    await page.locator("#log-rows tr").first().getByRole("link").first().click();
    assert.equal(await page.getByRole("button", { name: "Deliver again" }).isDisabled(), true);
    await page.getByText("The webhook is disabled. Enable it first").waitFor();
  });

  flow("one that does nothing but fail is left alone, and the page says until when", async (scene) => {
    const retries = Array.from({ length: 10 }, () => "1s").join(",");
    await scene.moveTo({ args: () => ["--retry-schedule", retries] });
    const webhook = await scene.webhook({ answer: () => ({ status: 500, body: "no" }) });
    for (let n = 0; n < 20; n += 1) await scene.publish("client.created", { n });
    const path = `/api/v1/webhooks/subscriptions/${webhook.id}?companyId=${scene.company}`;
    await until("its breaker", async () => (await scene.server.ask("GET", path)).breaker !== "closed");
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("It kept failing").first().waitFor();
    await page.getByText("Failing since").waitFor();
    await examine(page, "a webhook that is left alone");
    await visitor.open(scene.path());
    const parked = page.getByRole("region", { name: "Left alone for now" });
    await parked.getByRole("link", { name: webhook.url }).waitFor();
    await examine(page, "an overview with an endpoint that is left alone");
  });

  flow("one that answers at length: what is kept is shown, and that it is not all", async (scene) => {
    const line = "<p>One more line of an error page that nobody asked for.</p>\n";
    const webhook = await scene.webhook({ answer: () => ({ status: 500, body: line.repeat(5_000) }) });
    await scene.publish();
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.locator("#log-rows tr").first().getByRole("link").first().click();
    await page.getByRole("tab", { name: "Response" }).click();
    await page.getByText("The log keeps the first 4,000 characters").waitFor();
    const shown = await page.locator("#received-raw").textContent();
    assert.equal(shown.length, 4000);
    await examine(page, "an attempt with a long answer");
  });
});
