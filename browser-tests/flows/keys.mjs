// API keys: made and shown once, used, revoked; a company's and the platform's.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { flow } from "../harness/stage.mjs";

describe("API keys", () => {
  flow("one is made and shown once, works, shows when it was used, and is revoked", async (scene) => {
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("keys"));
    await page.getByText("There is no API key yet").waitFor();
    await page.getByRole("link", { name: "New API key" }).first().click();

    visitor.expect(422);
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByText("Name must say which program").waitFor();
    await page.getByText("Choose at least one thing").waitFor();
    await examine(page, "key form with mistakes");

    await page.getByLabel("Name").fill("billing service");
    await page.getByRole("checkbox", { name: /^events:read/ }).check();
    await page.getByLabel("Expires").selectOption({ label: "in 90 days" });
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByRole("heading", { level: 1, name: "The key is made" }).waitFor();
    const key = await page.locator("#key").textContent();
    assert.match(key, /^tdg_[\w-]{43}$/);
    assert.equal(await visitor.copied(page.getByRole("button", { name: "Copy" }).first()), key);
    await examine(page, "key made");

    // Loaded again, the form is sent once more and makes no second key.
    await page.reload();
    await page.getByRole("status").getByText("no second one was made").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 1);
    assert.ok(!(await page.content()).includes(key));
    const row = page.locator("tbody tr").filter({ hasText: "billing service" });
    await row.getByText("events:read").waitFor();
    await row.getByRole("cell").nth(4).getByText("never").waitFor();

    const me = await scene.server.call("GET", "/api/v1/me", null, key);
    assert.equal(me.status, 200);
    assert.equal(me.json.companyId, scene.company);
    assert.deepEqual(me.json.scopes, ["events:read"]);
    const publish = { type: "client.created", payload: {} };
    assert.equal((await scene.server.call("POST", "/api/v1/events", publish, key)).status, 403);

    await visitor.open(scene.path("keys"));
    await row.getByText("Revoke…").click();
    await row.getByRole("button", { name: /Revoke key/ }).click();
    await page.getByRole("status").getByText("The key is revoked").waitFor();
    assert.equal((await scene.server.call("GET", "/api/v1/me", null, key)).status, 401);
  });

  flow("an operator makes a key of the platform, good until a day", async (scene) => {
    const visitor = await scene.operator();
    const { page } = visitor;
    await visitor.open("/portal/platform/keys/new");
    await page.getByLabel("Name").fill(`importer of ${scene.company}`);
    await page.getByRole("checkbox", { name: /^webhooks:read/ }).check();
    await page.getByLabel("Expires").selectOption({ label: "until a day" });
    await page.getByLabel("Last day").fill("2020-01-01");
    visitor.expect(422);
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByText("Last day must not be over yet").waitFor();
    await page.getByLabel("Last day").fill("2999-12-31");
    await page.getByRole("button", { name: "Create key" }).click();
    const key = await page.locator("#key").textContent();
    const me = await scene.server.call("GET", "/api/v1/me", null, key);
    assert.deepEqual([me.status, me.json.companyId], [200, null]);
  });
});
