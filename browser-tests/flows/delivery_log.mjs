// The delivery log: it updates by itself, filters stand in the URL, one attempt tells everything,
// and its curl command does what it says.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe } from "node:test";
import { promisify } from "node:util";

import { examine } from "../harness/examine.mjs";
import { isSigned } from "../harness/signature.mjs";
import { flow } from "../harness/stage.mjs";
import { until } from "../harness/waiting.mjs";

const run = promisify(execFile);

describe("delivery log", () => {
  flow("new attempts appear by themselves, and not while it is paused", async (scene) => {
    const webhook = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.getByText("Nothing has been delivered yet").waitFor();
    await page.getByText("New attempts appear by themselves").waitFor();
    const rows = page.locator("#log-rows tr");

    const first = await scene.publish("client.created");
    await rows.filter({ hasText: first.id }).waitFor();
    const second = await scene.publish("payment.failed");
    await rows.filter({ hasText: second.id }).waitFor();
    await page.getByRole("status").getByText("1 new attempt").waitFor();
    assert.match(await rows.first().textContent(), /payment\.failed/);
    await examine(page, "log after it has grown");

    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused").waitFor();
    const third = await scene.publish("client.updated");
    await webhook.endpoint.request(3);
    await until("the third attempt", async () => (await scene.attempts(webhook)).length === 3);
    assert.equal(await rows.filter({ hasText: third.id }).count(), 0);
    await page.getByRole("button", { name: "Go on" }).click();
    await rows.filter({ hasText: third.id }).waitFor();
    assert.equal(await rows.count(), 3);
  });

  flow("a live log shows only what fits its filters", async (scene) => {
    await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log?type=client.*"));
    await page.getByText("New attempts appear by themselves").waitFor();
    const other = await scene.publish("payment.failed");
    const wanted = await scene.publish("client.created");
    const rows = page.locator("#log-rows tr");
    await rows.filter({ hasText: wanted.id }).waitFor();
    assert.equal(await rows.filter({ hasText: other.id }).count(), 0);
  });

  flow("filters stand in the URL, and what cannot be understood is said at its field", async (scene) => {
    const good = await scene.webhook({ types: ["client.*"] });
    const bad = await scene.webhook({ types: ["payment.*"], answer: () => ({ status: 404, body: "who?" }) });
    const created = await scene.publish("client.created");
    const failed = await scene.publish("payment.failed");
    await good.endpoint.request(1);
    await bad.endpoint.request(1);
    await until("both attempts", async () => {
      const logs = await Promise.all([scene.attempts(good), scene.attempts(bad)]);
      return logs.every((log) => log.length > 0);
    });
    const visitor = await scene.guest();
    const { page } = visitor;
    const rows = page.locator("#log-rows tr");
    const shows = async (path, event, not) => {
      await visitor.open(scene.path(`log?${path}`));
      await rows.filter({ hasText: event.id }).first().waitFor();
      assert.equal(await rows.filter({ hasText: not.id }).count(), 0, path);
    };
    await shows("outcome=succeeded", created, failed);
    await shows("outcome=failed", failed, created);
    await shows("status=404", failed, created);
    await shows("status=2xx", created, failed);
    await shows("type=payment.*", failed, created);
    await shows(`event=${created.id}`, created, failed);
    await shows(`webhook=${bad.id}`, failed, created);
    await visitor.open(scene.path("log?until=2026-01-01T00:00"));
    await page.getByText("No attempt matches these filters").waitFor();

    // A choice applies at once, and says nothing of the filters that were left empty.
    await visitor.open(scene.path("log"));
    await page.getByLabel("Outcome").selectOption("failed");
    await page.waitForURL(`**${scene.path("log")}?outcome=failed`);
    await page.getByRole("link", { name: "Clear" }).click();
    await page.waitForURL(`**${scene.path("log")}`);

    await page.getByLabel("Status").fill("teapot");
    visitor.expect(422);
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("must be a status like 404").waitFor();
    assert.equal(await page.getByLabel("Status").getAttribute("aria-invalid"), "true");
    assert.equal(await rows.count(), 0);
    await examine(page, "log with a filter that cannot be understood");
  });

  flow("it is read page by page, and back", async (scene) => {
    const webhook = await scene.webhook();
    const count = 60;
    const events = Array.from({ length: count }, (_, n) => ({ type: "client.created", payload: { n } }));
    const batch = { companyId: scene.company, events };
    await scene.server.ask("POST", `/api/v1/events/batch?companyId=${scene.company}`, { events: batch.events });
    await webhook.endpoint.request(count);
    await until("the log", async () => (await scene.attempts(webhook)).length === count);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    const places = async () => page.locator("#log-rows tr").evaluateAll((rows) => rows.map((row) => row.id));
    const first = await places();
    await page.getByRole("link", { name: "Older" }).click();
    await page.getByRole("link", { name: "Newer" }).waitFor();
    const second = await places();
    assert.equal(new Set([...first, ...second]).size, count);
    assert.equal(first.length + second.length, count);
    await page.getByRole("link", { name: "Newer" }).click();
    await page.waitForFunction((id) => document.querySelector("#log-rows tr")?.id === id, first[0]);
    assert.deepEqual(await places(), first);
  });

  flow("one attempt tells what happened, what was sent and answered, and what comes next", async (scene) => {
    const webhook = await scene.webhook({
      answer: () => ({
        status: 503,
        headers: { "Content-Type": "application/json", "X-Trace": "abc123" },
        body: '{"error":"try later","big":123456789012345678901234567890}',
      }),
    });
    const event = await scene.publish("payment.failed", { amount: 99.5 });
    await webhook.endpoint.request(1);
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.locator("#log-rows tr").filter({ hasText: event.id }).last().getByRole("link").first().click();
    await page.getByRole("heading", { level: 1, name: /Attempt 1/ }).waitFor();
    await page.getByText("The endpoint answered 503").first().waitFor();
    await page.getByText("deliveries are retried meanwhile").waitFor();
    await page.getByText(/Next attempt/).first().waitFor();
    await examine(page, "attempt, request");

    const request = page.getByRole("tabpanel", { name: "Request" });
    const response = page.getByRole("tabpanel", { name: "Response" });
    await request.getByText("webhook-signature").first().waitFor();
    assert.ok((await request.textContent()).includes('"amount": 99.5'));
    assert.equal(await response.isVisible(), false);
    await page.getByRole("tab", { name: "Response" }).click();
    assert.equal(await request.isVisible(), false);
    await response.getByText(/x-trace/i).first().waitFor();
    // A number of 30 digits is shown as it came.
    assert.ok((await response.textContent()).includes("123456789012345678901234567890"));
    await examine(page, "attempt, response");

    await page.getByRole("tab", { name: "Response" }).press("ArrowLeft");
    assert.equal(await request.isVisible(), true);
    assert.equal(await page.getByRole("tab", { name: "Request" }).evaluate((tab) => tab === document.activeElement), true);
  });

  flow("the copied curl command sends the same request, with a signature that holds", async (scene) => {
    const webhook = await scene.webhook();
    await scene.publish("client.created", { name: "O'Brien & $(touch never) `x` \\ \"q\" é\u{1F600}\n!" });
    const sent = await webhook.endpoint.request(1);
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.locator("#log-rows tr").first().getByRole("link").first().click();
    await page.getByText("As a curl command").click();
    const command = await visitor.copied(page.getByRole("button", { name: "Copy as curl" }));
    assert.match(command, /^curl /);
    await run("sh", ["-c", command]);

    const again = await webhook.endpoint.request(2);
    assert.equal(again.body, sent.body);
    assert.ok(isSigned(again, webhook.secret));
    for (const [name, value] of Object.entries(sent.headers)) {
      if (name !== "connection") assert.equal(again.headers[name], value, name);
    }
  });

  flow("an event is delivered once more, and the time line tells of both", async (scene) => {
    const webhook = await scene.webhook({
      answer: (request, number) => (number === 1 ? { status: 422, body: "no" } : { status: 204, body: "" }),
    });
    const event = await scene.publish();
    await webhook.endpoint.request(1);
    await until("its attempt", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`log?event=${event.id}`));
    await page.locator("#log-rows tr").last().getByRole("link").first().click();
    await page.getByRole("button", { name: "Deliver again" }).click();
    await page.getByRole("status").getByText("The event is being sent once more").waitFor();
    const again = await webhook.endpoint.request(2);
    assert.equal(again.headers["webhook-id"], event.id);
    assert.equal(again.headers["x-webhook-attempt"], "1");
    await until("its second attempt", async () => (await scene.attempts(webhook)).length >= 2);
    await visitor.open(scene.path(`log?event=${event.id}`));
    await page.locator("#log-rows tr").last().getByRole("link").first().click();
    await page.locator(".timeline").getByText("delivered again").waitFor();
    await examine(page, "attempt, delivered again");
  });
});
