// The platform's own pages: the overview of all companies, switching to one, users, the audit log,
// one's own account.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { furnish } from "../harness/furnish.mjs";
import { OPERATOR, flow, signIn } from "../harness/stage.mjs";

describe("overview and platform", () => {
  flow("a company's overview shows what happened and what fails, over three ranges", async (scene) => {
    const { bad } = await furnish(scene);
    const visitor = await scene.guest();
    const { page } = visitor;
    for (const range of ["1 hour", "24 hours", "7 days"]) {
      await page.getByRole("link", { name: range, exact: true }).click();
      await page.getByRole("link", { name: range, exact: true }).and(page.locator("[aria-current]")).waitFor();
      await page.getByText("Successful attempts").first().waitFor();
      await page.getByText("p95").first().waitFor();
      await page.getByRole("img").first().waitFor();
    }
    await page.getByRole("link", { name: bad.url }).first().waitFor();
    await examine(page);
  });

  flow("an operator finds a company, goes there, and does there what its admin may", async (scene) => {
    const { good } = await furnish(scene);
    const visitor = await scene.operator();
    const { page } = visitor;
    await page.getByRole("link", { name: scene.company, exact: true }).first().waitFor();
    const field = page.getByRole("combobox", { name: "Company" });
    await field.pressSequentially(scene.company.slice(0, -1));
    await page.locator(`datalist option[value="${scene.company}"]`).waitFor({ state: "attached" });
    await field.fill(`${scene.company}!`);
    visitor.expect(422);
    await page.getByRole("button", { name: "Open company" }).click();
    await page.locator("#company-error").waitFor();
    await examine(page, "platform with a company that cannot be");
    await field.fill(scene.company);
    await page.getByRole("button", { name: "Open company" }).click();
    await page.waitForURL(`**${scene.path()}`);
    await page.getByRole("link", { name: "Webhooks" }).click();
    await page.getByRole("link", { name: good.url }).click();
    await page.getByText("Disable…").click();
    await page.getByRole("button", { name: "Disable", exact: true }).click();
    await page.getByRole("status").getByText("The webhook is disabled").waitFor();
    await visitor.open(scene.path("audit"));
    const line = page.locator("tbody tr").first();
    await line.getByText(OPERATOR.email).waitFor();
    await line.getByText("127.0.0.1", { exact: true }).waitFor();
    await line.getByText(/enabled/).first().waitFor();
    await examine(page);
    await page.getByRole("link", { name: "Platform" }).click();
    await page.waitForURL("**/portal/platform");
  });

  flow("who changed what stands in the audit log, by key, by guest and by command", async (scene) => {
    const webhook = await scene.webhook();
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}/edit`));
    await page.getByLabel("Description").fill("a new note");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("status").getByText("The change is saved").waitFor();
    await visitor.open(scene.path("audit"));
    const rows = page.locator("tbody tr");
    await rows.filter({ hasText: "a new note" }).first().waitFor();
    await rows.filter({ hasText: webhook.id }).nth(1).waitFor();
    const count = await rows.count();
    await visitor.open(scene.path(`audit?target=${webhook.id}`));
    await rows.first().waitFor();
    assert.ok((await rows.count()) < count, "a filter by target leaves the others out");
  });

  flow("a user is made, given another password, and deleted", async (scene) => {
    const email = `${scene.company}@tidings.example`;
    const visitor = await scene.operator();
    const { page } = visitor;
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByRole("link", { name: "New user" }).click();
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password", { exact: true }).fill("too short");
    await page.getByLabel("Password, once more").fill("too short");
    visitor.expect(422);
    await page.getByRole("button", { name: "Create user" }).click();
    await page.getByText("at least 12 characters").first().waitFor();
    await examine(page, "user form with mistakes");
    await page.getByLabel("Password", { exact: true }).fill("three red bicycles");
    await page.getByLabel("Password, once more").fill("three red bicycles");
    await page.getByRole("button", { name: "Create user" }).click();
    await page.getByRole("status").getByText("The user can sign in now").waitFor();

    const other = await scene.operator({ email, password: "three red bicycles" });
    await page.getByRole("link", { name: email }).click();
    await page.getByLabel("New password").fill("four green bicycles");
    await page.getByLabel("Password, once more").fill("four green bicycles");
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByRole("status").getByText("The password is set").waitFor();
    await other.open("/portal/platform");
    assert.match(other.page.url(), /\/portal\/sign-in/);
    await signIn(other.page, email, "four green bicycles");
    await other.page.waitForURL("**/portal/platform");

    await visitor.open("/portal/platform/users");
    await page.getByRole("link", { name: email }).click();
    await examine(page);
    await page.getByText("Delete user…").click();
    await page.getByRole("button", { name: "Delete user", exact: true }).click();
    await page.getByRole("status").getByText("The user is gone").waitFor();
    await other.open("/portal/platform");
    assert.match(other.page.url(), /\/portal\/sign-in/);
  });

  flow("one's own password is changed, and asks for the old one", async (scene) => {
    const user = { email: `${scene.company}@tidings.example`, password: "five blue bicycles" };
    await scene.server.createUser(user.email, user.password);
    const visitor = await scene.operator(user);
    const { page } = visitor;
    await page.getByRole("link", { name: user.email }).click();
    await page.getByLabel("Current password").fill("not it at all");
    await page.getByLabel("New password").fill("six yellow bicycles");
    await page.getByLabel("Password, once more").fill("six yellow bicycles");
    visitor.expect(422);
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("This is not your current password").waitFor();
    await examine(page, "account with a mistake");
    await page.getByLabel("Current password").fill(user.password);
    await page.getByLabel("New password").fill("six yellow bicycles");
    await page.getByLabel("Password, once more").fill("six yellow bicycles");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByRole("status").getByText("The password is changed").waitFor();
    await signIn(page, user.email, "six yellow bicycles");
    await page.waitForURL("**/portal/platform");
  });

  flow("nobody deletes themselves", async (scene) => {
    const visitor = await scene.operator();
    const { page } = visitor;
    await visitor.open("/portal/platform/users");
    await page.getByRole("link", { name: OPERATOR.email }).last().click();
    await page.getByText("You cannot delete yourself").waitFor();
    assert.equal(await page.getByText("Delete user…").count(), 0);
  });
});
