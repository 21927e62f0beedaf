// Events: browsed, found by their id, read, and traced to every webhook.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { flow } from "../harness/stage.mjs";
import { until } from "../harness/waiting.mjs";

describe("events", () => {
  flow("they are browsed by type and time, newest first", async (scene) => {
    const created = await scene.publish("client.created");
    const failed = await scene.publish("payment.failed");
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("events"));
    const rows = page.locator("main table tbody tr");
    await rows.first().getByText(failed.id).waitFor();
    await rows.nth(1).getByText(created.id).waitFor();
    await examine(page);

    await page.getByLabel("Event type").fill("client.*");
    await page.getByRole("button", { name: /Apply|Browse/ }).click();
    await page.waitForURL(/type=client/);
    assert.equal(await rows.count(), 1);
    await rows.first().getByText(created.id).waitFor();
    await visitor.open(scene.path("events?before=2026-01-01T00:00"));
    await page.getByText("No event matches").waitFor();
  });

  flow("one is found by its id, and another company's is not", async (scene) => {
    const event = await scene.publish("client.created", { clientId: 4711 });
    const foreign = await scene.publish("client.created", {}, `${scene.company}-other`);
    const visitor = await scene.guest();
    const { page } = visitor;
    const find = async (id) => {
      await visitor.open(scene.path("events"));
      const field = page.getByRole("searchbox", { name: "Find an event by its id" });
      await field.fill(id);
      await field.press("Enter");
    };
    await find(event.id);
    await page.waitForURL(`**${scene.path(`events/${event.id}`)}`);
    visitor.expect(404);
    await find(foreign.id);
    await page.getByText("There is no event with this id").waitFor();
    visitor.expect(422);
    await find("evt_nonsense");
    await page.getByText("Event id must be an id like evt_").waitFor();
    await examine(page, "events, none with this id");
    await visitor.open(scene.path(`events/${foreign.id}`), 404);
  });

  flow("one shows its envelope as it was published, and what became of it where", async (scene) => {
    const taken = await scene.webhook({ types: ["client.*"] });
    const refused = await scene.webhook({ types: ["*"], answer: () => ({ status: 500, body: "no" }) });
    const other = await scene.webhook({ types: ["payment.*"] });
    const off = await scene.webhook({ types: ["*"], enabled: false });
    const event = await scene.publish("client.created", { clientId: 4711, name: "Ada" });
    await taken.endpoint.request(1);
    await refused.endpoint.request(1);
    await until("both attempts", async () => {
      const logs = await Promise.all([scene.attempts(taken), scene.attempts(refused)]);
      return logs.every((log) => log.length > 0);
    });
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`events/${event.id}`));
    const envelope = await page.locator("pre.code").first().textContent();
    assert.deepEqual(JSON.parse(envelope), event);
    assert.ok((await page.locator(".j-key").count()) > 5);
    const row = (webhook) => page.locator("main table tbody tr").filter({ hasText: webhook.url });
    await row(taken).getByText("Succeeded", { exact: true }).waitFor();
    await row(refused).getByText("Retrying", { exact: true }).waitFor();
    await row(refused).getByText("500").first().waitFor();
    await row(other).getByText("Not wanted", { exact: true }).waitFor();
    await row(off).getByText("Disabled", { exact: true }).waitFor();
    await examine(page);

    await row(taken).getByRole("button", { name: /Deliver again/ }).click();
    await page.getByRole("status").getByText("The event is being sent once more").waitFor();
    assert.equal((await taken.endpoint.request(2)).headers["webhook-id"], event.id);
    await row(refused).getByRole("link", { name: /Show attempts/ }).click();
    await page.waitForURL(/\/log\?/);
    await page.locator("#log-rows tr").filter({ hasText: event.id }).first().waitFor();
  });

  flow("a large and deep one stays a small page, and is downloaded whole", async (scene) => {
    let deep = "x";
    for (let level = 0; level < 90; level += 1) deep = { a: deep };
    const payload = { deep, digits: "123456789012345678901234567890", text: "<b>&'\"".repeat(20_000) };
    const event = await scene.publish("client.created", payload);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`events/${event.id}`));
    await page.getByText("This is only its beginning").first().waitFor();
    await examine(page, "a large event");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: /Download/ }).first().click();
    const stream = await (await download).createReadStream();
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    assert.deepEqual(JSON.parse(Buffer.concat(pieces).toString("utf8")), event);
  });
});
