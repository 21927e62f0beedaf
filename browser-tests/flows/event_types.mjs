// The catalog of event types: read by companies and operators, offered where a webhook is made and
// tested.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { flow } from "../harness/stage.mjs";

describe("event types", () => {
  flow("the catalog is read, and its samples are what tests send", async (scene) => {
    const name = `shipment.${scene.company}`;
    const entry = {
      description: "A parcel has <b>left</b> the warehouse.",
      samplePayload: { parcel: "<script>alert(1)</script>", weight: "12.50" },
      schema: { type: "object", required: ["parcel"], properties: { parcel: { type: "string" } } },
    };
    await scene.server.ask("PUT", `/api/v1/event-types/${name}`, entry);
    const webhook = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await page.getByRole("link", { name: "Event types" }).click();
    await examine(page);
    await page.getByRole("link", { name }).click();
    await page.getByText("A parcel has <b>left</b> the warehouse.").waitFor();
    await page.getByText("<script>alert(1)</script>").waitFor();
    await page.getByText('"required"').waitFor();
    await examine(page);

    await visitor.open(scene.path("webhooks/new"));
    await page.getByRole("checkbox", { name }).waitFor();
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByLabel("Event type").fill(name);
    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByText("thanks").waitFor();
    const sent = JSON.parse((await webhook.endpoint.request(1)).body);
    assert.equal(sent.type, name);
    assert.equal(sent.payload.weight, "12.50");

    await scene.server.ask("PUT", `/api/v1/event-types/${name}`, { ...entry, deprecated: true });
    await visitor.open(scene.path("types"));
    await page.getByRole("row").filter({ hasText: name }).getByText("Deprecated").waitFor();
    await page.getByRole("link", { name }).click();
    await page.getByText("should not be used any more").waitFor();
    await visitor.open(scene.path("webhooks/new"));
    assert.equal(await page.getByRole("checkbox", { name }).count(), 0);

    const operator = await scene.operator();
    await operator.open(`/portal/platform/types/${name}`);
    await operator.page.getByRole("heading", { level: 1, name }).waitFor();
    await scene.server.ask("DELETE", `/api/v1/event-types/${name}`);
    await operator.open(`/portal/platform/types/${name}`, 404);
  });
});
