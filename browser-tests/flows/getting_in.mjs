// Getting in and out: a password, a link that is good once, the first user, the throttle.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { OPERATOR, flow, signIn } from "../harness/stage.mjs";

describe("getting in", () => {
  flow("an operator signs in, comes back to the page that was asked for, and signs out", async (scene) => {
    const visitor = await scene.stranger();
    const { page } = visitor;
    await visitor.open(`${scene.path("log")}?outcome=failed`);
    assert.match(page.url(), /\/portal\/sign-in\?next=/);
    await examine(page);

    visitor.expect(422);
    await signIn(page, OPERATOR.email, "not the password");
    await page.getByRole("alert").getByText("no user with this email").waitFor();
    assert.equal(await page.getByLabel("Email").inputValue(), OPERATOR.email);
    await examine(page, "sign-in, refused");

    await signIn(page, OPERATOR.email, OPERATOR.password);
    await page.waitForURL(`**${scene.path("log")}?outcome=failed`);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("status").getByText("You are signed out").waitFor();
    await visitor.open("/portal");
    assert.match(page.url(), /\/portal\/sign-in/);
  });

  flow("a link lets in once, and whoever it let in may load it again", async (scene) => {
    const link = await scene.link();
    const first = await scene.stranger();
    await first.open(link);
    assert.equal(new URL(first.page.url()).pathname, scene.path());
    await first.page.getByText(`${scene.company} (admin)`).waitFor();
    await first.open(link);
    assert.equal(new URL(first.page.url()).pathname, scene.path());

    const second = await scene.stranger();
    await second.open(link, 410);
    await second.page.getByRole("heading", { name: "This link has been used" }).waitFor();
    await examine(second.page, "a used link");
    await second.open(scene.path());
    assert.match(second.page.url(), /\/portal\/sign-in/);
  });

  flow("a look at the head alone leaves a link good", async (scene) => {
    const link = await scene.link("viewer");
    const preview = await fetch(link, { method: "HEAD", redirect: "manual" });
    assert.equal(preview.status, 200);
    const visitor = await scene.stranger();
    await visitor.open(link);
    await visitor.page.getByText(`${scene.company} (viewer)`).waitFor();
  });

  flow("the cookie of a session is out of reach of scripts", async (scene) => {
    const visitor = await scene.guest();
    const cookies = await visitor.context.cookies();
    const session = cookies.find(({ name }) => name === "tidings_session");
    assert.equal(session.httpOnly, true);
    assert.equal(session.sameSite, "Lax");
    assert.equal(await visitor.page.evaluate(() => document.cookie), "");
  });

  flow("signing out everywhere ends every session at once", async (scene) => {
    const user = { email: `${scene.company}@tidings.example`, password: "twelve angry letters" };
    await scene.server.createUser(user.email, user.password);
    const here = await scene.operator(user);
    const there = await scene.operator(user);
    await here.open("/portal/account");
    await examine(here.page);
    await here.page.getByText("Sign out everywhere…").click();
    await here.page.getByRole("button", { name: "Sign out everywhere", exact: true }).click();
    await here.page.getByRole("status").getByText("All sessions were ended").waitFor();
    await there.open("/portal/platform");
    assert.match(there.page.url(), /\/portal\/sign-in/);
  });

  flow("a company's admin signs out everybody who came by a link, and a viewer only oneself", async (scene) => {
    const admin = await scene.guest();
    const viewer = await scene.guest("viewer");
    await viewer.open("/portal/account");
    assert.equal(await viewer.page.getByText("Sign out everywhere").count(), 0);
    await viewer.open(scene.path("log"));
    await viewer.page.getByText("New attempts appear by themselves").waitFor();

    await admin.open("/portal/account");
    await admin.page.getByText("Sign out everywhere…").click();
    await admin.page.getByRole("button", { name: "Sign out everywhere", exact: true }).click();
    await admin.page.getByRole("status").getByText("All sessions were ended").waitFor();
    // A log that is being looked at ends, too.
    await viewer.page.getByText("New attempts no longer appear by themselves").waitFor();
    await viewer.open(scene.path());
    assert.match(viewer.page.url(), /\/portal\/sign-in/);
  });

  flow("the first user is made by the link in the log, and by nobody after", async (scene) => {
    const server = await scene.ownServer({});
    const link = setupLink(server);
    const visitor = await scene.stranger({}, server);
    const { page } = visitor;
    await visitor.open(link);
    await examine(page);

    visitor.expect(422);
    await page.getByLabel("Email").fill("first@tidings.example");
    await page.getByLabel("Password", { exact: true }).fill("long enough to be good");
    await page.getByLabel("Password, once more").fill("long enough to be bad");
    await page.getByRole("button", { name: "Create user" }).click();
    await page.getByText("The two passwords are not the same").waitFor();
    assert.equal(await page.getByLabel("Email").inputValue(), "first@tidings.example");
    await examine(page, "setup, refused");

    await page.getByLabel("Password", { exact: true }).fill("long enough to be good");
    await page.getByLabel("Password, once more").fill("long enough to be good");
    await page.getByRole("button", { name: "Create user" }).click();
    await page.waitForURL("**/portal/platform");
    await page.getByText("first@tidings.example").first().waitFor();

    const late = await scene.stranger({}, server);
    await late.open(link, 410);
  });

  flow("wrong passwords make the account wait", async (scene) => {
    const server = await scene.ownServer({ users: { [OPERATOR.email]: OPERATOR.password } });
    const visitor = await scene.stranger({}, server);
    const { page } = visitor;
    await visitor.open("/portal/sign-in");
    for (let tries = 0; tries < 10; tries += 1) {
      visitor.expect(422);
      await signIn(page, OPERATOR.email, `wrong ${tries}`);
      await page.getByRole("alert").waitFor();
    }
    visitor.expect(429);
    await signIn(page, OPERATOR.email, OPERATOR.password);
    await page.getByRole("heading", { name: "Too many tries" }).waitFor();
    await examine(page, "too many tries");
  });

  flow("a forged form changes nothing", async (scene) => {
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks/new"));
    await page.locator("main form input[name=csrf]").first().evaluate((field) => {
      field.value = "forged";
    });
    const form = page.locator("main form").first();
    visitor.expect(403);
    await form.evaluate((element) => HTMLFormElement.prototype.submit.call(element));
    await page.getByRole("heading", { name: "This form is not from here" }).waitFor();
    await examine(page, "a forged form");
  });
});

/** The one-time link for the first user, from the server's log. */
function setupLink(server) {
  const links = server.log.map((line) => line.match(/http:\/\/[^"\s]+\/portal\/setup\/[\w-]+/));
  const found = links.find(Boolean);
  assert.ok(found, server.log.join("\n"));
  return found[0];
}
