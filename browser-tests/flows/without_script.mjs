// Without JavaScript: everything reads, and every form does its work.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { furnish } from "../harness/furnish.mjs";
import { isSigned } from "../harness/signature.mjs";
import { OPERATOR, flow, signIn } from "../harness/stage.mjs";

const OFF = { javaScriptEnabled: false };

describe("without JavaScript", () => {
  flow("every page reads", async (scene) => {
    const { good, bad, events } = await furnish(scene);
    const visitor = await scene.guest("admin", OFF);
    const { page } = visitor;
    const reads = async (tail, ...texts) => {
      await visitor.open(scene.path(tail));
      for (const text of texts) await page.getByText(text).first().waitFor();
    };
    await reads("", "Successful attempts", bad.url);
    await reads("webhooks", good.url, bad.url, "Billing, production");
    await reads(`webhooks/${good.id}`, good.url, "client.*", "Succeeded");
    await reads("log", events[0].id, "UTC");
    await reads("events", events[0].id);
    await reads("keys", "Nightly report", "events:read");
    await reads("audit", "made a webhook", good.id);
    await reads(`events/${events[0].id}`, "Ada Lovelace", "Not wanted", "Retrying");

    // What are tabs with a script stands one below the other.
    await visitor.open(scene.path(`log?webhook=${bad.id}`));
    await page.locator("#log-rows tr").last().getByRole("link").first().click();
    await page.getByRole("heading", { name: "Request", exact: true }).waitFor();
    await page.getByRole("heading", { name: "Response", exact: true }).waitFor();
    await page.getByText("database is locked").first().waitFor();
    // Buttons that only a script could bring to life are not shown.
    assert.equal(await page.getByRole("button", { name: /^Copy/ }).count(), 0);
  });

  flow("an operator signs in and out", async (scene) => {
    const visitor = await scene.stranger(OFF);
    const { page } = visitor;
    await visitor.open("/portal/sign-in");
    visitor.expect(422);
    await signIn(page, OPERATOR.email, "not the password");
    await page.getByRole("alert").waitFor();
    await signIn(page, OPERATOR.email, OPERATOR.password);
    await page.waitForURL("**/portal/platform");
    await page.getByLabel(/company/i).first().fill(scene.company);
    await page.getByRole("button", { name: "Open" }).click();
    await page.waitForURL(`**${scene.path()}`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out").waitFor();
  });

  flow("a webhook lives from its making to its deletion", async (scene) => {
    const endpoint = scene.receiver.endpoint();
    const visitor = await scene.guest("admin", OFF);
    const { page } = visitor;
    await visitor.open(scene.path("webhooks/new"));
    await page.getByLabel("URL").fill("nonsense");
    visitor.expect(422);
    await page.getByRole("button", { name: "Add webhook" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("URL").fill(endpoint.url);
    await page.getByLabel("Other types").fill("client.*, payment.failed");
    await page.getByRole("button", { name: "Add webhook" }).click();
    await page.getByRole("heading", { level: 1, name: "Webhook added" }).waitFor();
    const secret = await page.locator("#secret").textContent();

    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByRole("heading", { name: "What came of the test" }).waitFor();
    await page.getByText("thanks").waitFor();
    assert.ok(isSigned(await endpoint.request(1), secret));
    await page.getByRole("link", { name: "To the webhook" }).click();

    await page.getByRole("link", { name: "Edit" }).click();
    await page.getByLabel("Description").fill("a note");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The change is saved").waitFor();
    await page.getByText("Rotate secret…").click();
    await page.getByLabel("The old secret ends").selectOption({ label: "at once" });
    await page.getByRole("button", { name: "Rotate secret", exact: true }).click();
    const second = await page.locator("#secret").textContent();
    await page.getByRole("link", { name: "To the webhook" }).click();

    await page.getByText("Disable…").click();
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is disabled").waitFor();
    await scene.publish("client.created");
    await page.getByRole("button", { name: "Enable", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is enabled").waitFor();
    await page.getByLabel("From").fill("2026-01-01T00:00");
    await page.getByLabel("Only what did not arrive").check();
    await page.getByRole("button", { name: "Count them" }).click();
    await page.getByText("1 event would be sent once more").waitFor();
    await page.getByRole("button", { name: "Replay now" }).click();
    await page.getByText("Done: 1 event is being sent once more").waitFor();
    const replayed = await endpoint.request(2);
    assert.ok(isSigned(replayed, second) && !isSigned(replayed, secret));

    await page.getByRole("link", { name: "To the webhook" }).click();
    await page.getByText("Delete…").click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("The webhook is deleted").waitFor();
  });

  flow("the log and the events are filtered, an event is sent again", async (scene) => {
    const { good, events } = await furnish(scene);
    const visitor = await scene.guest("admin", OFF);
    const { page } = visitor;
    await visitor.open(scene.path("log"));
    await page.getByLabel("Event type").fill("client.updated");
    await page.getByLabel("Outcome").selectOption("succeeded");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL(/type=client\.updated/);
    assert.equal(await page.locator("#log-rows tr").count(), 1);
    await page.getByRole("link", { name: events[1].id }).click();
    const before = good.endpoint.requests.length;
    const row = page.locator("tbody tr").filter({ hasText: good.url });
    await row.getByRole("button", { name: /Deliver again/ }).click();
    await page.getByText("The event is being sent once more").waitFor();
    const again = await good.endpoint.request(before + 1);
    assert.equal(again.headers["webhook-id"], events[1].id);

    await visitor.open(scene.path("events"));
    await page.getByLabel("Event type").fill("payment.*");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL(/type=payment/);
    assert.equal(await page.locator("tbody tr").count(), 1);
  });

  flow("a key is made and revoked, and the audit log is searched", async (scene) => {
    const visitor = await scene.guest("admin", OFF);
    const { page } = visitor;
    await visitor.open(scene.path("keys/new"));
    await page.getByLabel("Name").fill("importer");
    await page.getByRole("checkbox", { name: /^events:write/ }).check();
    await page.getByRole("button", { name: "Create key" }).click();
    const key = await page.locator("#key").textContent();
    const event = { type: "client.created", payload: {} };
    assert.equal((await scene.server.call("POST", "/api/v1/events", event, key)).status, 201);
    await page.getByRole("link", { name: "To the list of keys" }).click();
    const id = await page.locator("tbody tr").first().getAttribute("id");
    await page.getByText("Revoke…").click();
    await page.getByRole("button", { name: /Revoke key/ }).click();
    await page.getByText("The key is revoked").waitFor();
    assert.equal((await scene.server.call("GET", "/api/v1/me", null, key)).status, 401);

    await visitor.open(scene.path("audit"));
    await page.getByLabel("About").fill(id);
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.waitForURL(/target=key_/);
    await page.getByText("revoked an API key").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 2);
  });

  flow("users are made and deleted, passwords changed, sessions ended", async (scene) => {
    const email = `${scene.company}@tidings.example`;
    const visitor = await scene.operator(OPERATOR, OFF);
    const { page } = visitor;
    await visitor.open("/portal/platform/users/new");
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password", { exact: true }).fill("seven pink bicycles");
    await page.getByLabel("Password, once more").fill("seven pink bicycles");
    await page.getByRole("button", { name: "Create user" }).click();
    await page.getByText("The user can sign in now").waitFor();

    const other = await scene.operator({ email, password: "seven pink bicycles" }, OFF);
    await other.open("/portal/account");
    await other.page.getByLabel("Current password").fill("seven pink bicycles");
    await other.page.getByLabel("New password").fill("eight gray bicycles");
    await other.page.getByLabel("Password, once more").fill("eight gray bicycles");
    await other.page.getByRole("button", { name: "Change password" }).click();
    await other.page.getByText("The password is changed").waitFor();
    await signIn(other.page, email, "eight gray bicycles");
    await other.page.waitForURL("**/portal/platform");
    await other.open("/portal/account");
    await other.page.getByText("Sign out everywhere…").click();
    await other.page.getByRole("button", { name: "Sign out everywhere", exact: true }).click();
    await other.page.getByText("All sessions were ended").waitFor();

    await visitor.open("/portal/platform/users");
    await page.getByRole("link", { name: email }).click();
    await page.getByText("Delete user…").click();
    await page.getByRole("button", { name: "Delete user", exact: true }).click();
    await page.getByText("The user is gone").waitFor();
  });
});
