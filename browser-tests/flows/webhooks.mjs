// Webhooks: made, edited, tested, rotated, disabled, enabled, deleted, and their missed events
// replayed.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { isSigned } from "../harness/signature.mjs";
import { flow } from "../harness/stage.mjs";
import { until } from "../harness/waiting.mjs";

describe("webhooks", () => {
  flow("one is made: mistakes are said at their fields, types are picked, the secret is shown once", async (scene) => {
    await scene.publish("client.created");
    await scene.publish("payment.failed");
    const endpoint = scene.receiver.endpoint();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks"));
    await page.getByText("No webhooks yet").waitFor();
    await page.getByRole("link", { name: "Add webhook" }).first().click();
    await page.getByRole("heading", { level: 1, name: "Add webhook" }).waitFor();

    await page.getByLabel("URL").fill("ftp://example.com/");
    await page.getByLabel("Other types").fill("client..created");
    await page.getByLabel("Deliveries per second").fill("0");
    visitor.expect(422);
    await page.getByRole("button", { name: "Add webhook" }).click();
    await page.getByRole("alert").getByText("Nothing was changed yet").waitFor();
    for (const label of ["URL", "Other types", "Deliveries per second"]) {
      const field = page.getByLabel(label);
      assert.equal(await field.getAttribute("aria-invalid"), "true", label);
      const said = (await field.getAttribute("aria-describedby")).split(" ");
      const errors = said.map((id) => page.locator(`#${id}.error`));
      const shown = await Promise.all(errors.map((error) => error.isVisible()));
      assert.ok(shown.includes(true), label);
    }
    assert.equal(await page.getByLabel("URL").inputValue(), "ftp://example.com/");
    await examine(page, "webhook form with mistakes");

    await page.getByLabel("Other types").fill("");
    await page.getByLabel("Deliveries per second").fill("");
    await page.getByLabel("Description").fill("Billing, production");
    await page.getByRole("checkbox", { name: "payment.failed" }).check();
    await page.getByRole("checkbox", { name: "client.*" }).check();
    await page.getByLabel("URL").fill("");
    await page.getByLabel("URL").pressSequentially(endpoint.url);
    await page.getByText("Events can be sent there").waitFor();
    await page.getByRole("button", { name: "Add webhook" }).click();

    await page.getByRole("heading", { level: 1, name: "Webhook added" }).waitFor();
    const secret = await page.locator(".secret").first().textContent();
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assert.equal(await visitor.copied(page.getByRole("button", { name: "Copy" }).first()), secret);
    await examine(page, "webhook created");

    await page.getByRole("link", { name: "To the webhook" }).click();
    await page.getByText("Billing, production").first().waitFor();
    assert.ok(!(await page.content()).includes(secret));

    const event = await scene.publish("payment.failed");
    const request = await endpoint.request(1);
    assert.equal(request.headers["webhook-id"], event.id);
    assert.ok(isSigned(request, secret));
    await visitor.open(scene.path("webhooks"));
    await page.getByRole("link", { name: endpoint.url }).waitFor();
    await examine(page);
  });

  flow("a form that is sent twice makes one webhook", async (scene) => {
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks/new"));
    await page.getByLabel("URL").fill(scene.receiver.endpoint().url);
    await page.getByLabel("Everything (*)").check();
    const fields = await page.locator("main form").evaluate((form) => Object.fromEntries(new FormData(form)));
    const send = () => page.request.post(scene.path("webhooks/new"), { form: fields, maxRedirects: 0 });
    const answers = await Promise.all([send(), send(), send()]);
    for (const answer of answers) assert.ok(answer.status() < 400, `${answer.status()}`);
    const path = `/api/v1/webhooks/subscriptions?companyId=${scene.company}`;
    assert.equal((await scene.server.ask("GET", path)).length, 1);
  });

  flow("a URL is checked while it is typed", async (scene) => {
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks/new"));
    await page.getByLabel("URL").pressSequentially("https://user@example.com/");
    await page.getByText("URL: ").or(page.getByText("URL must")).first().waitFor();
    await page.getByLabel("URL").fill("");
    await page.getByLabel("URL").pressSequentially(scene.receiver.endpoint().url);
    await page.getByText("Events can be sent there").waitFor();
  });

  flow("one is edited, and a change of somebody else's meanwhile is not overwritten", async (scene) => {
    const webhook = await scene.webhook({ types: ["client.*"] });
    const moved = scene.receiver.endpoint();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByRole("link", { name: "Edit" }).click();
    await page.getByRole("heading", { level: 1, name: "Edit webhook" }).waitFor();
    await examine(page);

    const path = `/api/v1/webhooks/subscriptions/${webhook.id}?companyId=${scene.company}`;
    await scene.server.ask("PATCH", path, { description: "changed by a program" });
    await page.getByLabel("URL").fill(moved.url);
    visitor.expect(409);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Somebody changed this webhook").waitFor();
    await page.getByText("changed by a program").first().waitFor();
    assert.equal(await page.getByLabel("URL").inputValue(), moved.url);
    await examine(page, "webhook form with a conflict");

    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("status").getByText("The change is saved").waitFor();
    const event = await scene.publish("client.created");
    assert.equal((await moved.request(1)).headers["webhook-id"], event.id);
  });

  flow("one that another product manages is changed there", async (scene) => {
    const webhook = await scene.webhook({ managedBy: "zapier" });
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("managed by Zapier").first().waitFor();
    assert.equal(await page.getByRole("link", { name: "Edit" }).count(), 0);
    assert.equal(await page.getByText("Rotate secret").count(), 0);
    await examine(page, "a managed webhook");
    await visitor.open(scene.path(`webhooks/${webhook.id}/edit`), 403);
    await page.getByText("changed there").waitFor();
    await examine(page, "edit of a managed webhook");
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("Disable…").click();
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await page.getByText("Somebody disabled it").waitFor();
  });

  flow("a test is sent and its answer is seen at once", async (scene) => {
    const webhook = await scene.webhook({
      answer: (request, number) => {
        if (number === 1) return { status: 202, body: "taken, thank you" };
        return { status: 500, body: "out of order" };
      },
    });
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByText("taken, thank you").waitFor();
    const request = await webhook.endpoint.request(1);
    assert.equal(JSON.parse(request.body).metadata.test, true);
    assert.ok(isSigned(request, webhook.secret));

    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByText("out of order").waitFor();
    await page.getByText("The receiver broke while it handled the event").waitFor();
    await examine(page, "webhook with the answer of a test");
  });

  flow("its secret is rotated: both sign while they overlap", async (scene) => {
    const webhook = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("Rotate secret…").click();
    await page.getByLabel("The old secret ends").selectOption({ label: "in 24 hours" });
    await page.getByRole("button", { name: "Rotate secret", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Secret rotated" }).waitFor();
    const secret = await page.locator(".secret").first().textContent();
    assert.notEqual(secret, webhook.secret);
    await page.getByText("Deliveries are signed with the old secret, too, until").waitFor();
    await examine(page, "secret rotated");

    await scene.publish();
    const request = await webhook.endpoint.request(1);
    assert.ok(isSigned(request, secret) && isSigned(request, webhook.secret));
  });

  flow("it is disabled, enabled, and what it missed is replayed", async (scene) => {
    const webhook = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("Disable…").click();
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is disabled").waitFor();
    await examine(page, "disabled webhook");
    const missed = [];
    for (const amount of [1, 2, 3]) missed.push(await scene.publish("payment.failed", { amount }));

    await page.getByRole("button", { name: "Enable", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is enabled").waitFor();
    await page.getByLabel("From").fill("2026-01-01T00:00");
    await page.getByLabel("Only what did not arrive").check();
    await page.getByRole("button", { name: "Count them" }).click();
    await page.getByText("3 events would be sent once more").waitFor();
    assert.equal(webhook.endpoint.requests.length, 0);
    await examine(page, "replay, counted");

    await page.getByRole("button", { name: "Replay now" }).click();
    await page.getByRole("status").getByText("Done: 3 events are being sent once more").waitFor();
    await examine(page, "replay, done");
    await webhook.endpoint.request(3);
    const came = webhook.endpoint.requests.map(({ headers }) => headers["webhook-id"]);
    assert.deepEqual(came.sort(), missed.map(({ id }) => id).sort());
  });

  flow("one is deleted after asking, and its attempts stay in the log", async (scene) => {
    const webhook = await scene.webhook();
    const event = await scene.publish();
    await webhook.endpoint.request(1);
    await until("its attempt in the log", async () => (await scene.attempts(webhook)).length);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByText("Delete…").click();
    await page.getByText("its secret are gone for good").waitFor();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is deleted").waitFor();
    await visitor.open(scene.path(`webhooks/${webhook.id}`), 404);
    await visitor.open(scene.path("log"));
    await page.getByRole("link", { name: event.id }).waitFor();
  });

  flow("they are found by what their URL holds", async (scene) => {
    const first = await scene.webhook();
    const second = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks"));
    await page.getByLabel("Search by URL").fill(new URL(first.url).pathname);
    await page.getByLabel("Search by URL").press("Enter");
    await page.waitForURL(/\?/);
    await page.getByRole("link", { name: first.url }).waitFor();
    assert.equal(await page.getByRole("link", { name: second.url }).count(), 0);
    await page.getByLabel("Search by URL").fill("nowhere");
    await page.getByLabel("Search by URL").press("Enter");
    await page.getByText("No webhook's URL holds this text").waitFor();
    await examine(page, "webhooks, none found");
  });
});
