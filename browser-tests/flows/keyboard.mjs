// The main flow with nothing but a keyboard: every step is reached by Tab, and one sees where one
// is.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { OPERATOR, flow } from "../harness/stage.mjs";

/** How often Tab is pressed at most until something is reached. */
const STEPS_MAX = 80;

describe("keyboard", () => {
  flow("is enough to get in by the skip link, make a webhook, and read its log", async (scene) => {
    const endpoint = scene.receiver.endpoint();
    const visitor = await scene.guest();
    const { page } = visitor;

    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");

    await page.keyboard.press("g");
    await page.keyboard.press("w");
    await page.waitForURL(`**${scene.path("webhooks")}`);
    await tabTo(page, "Add webhook");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Add webhook" }).waitFor();
    await tabTo(page, "URL");
    await page.keyboard.type(endpoint.url);
    await tabTo(page, "Everything (*)");
    await page.keyboard.press("Space");
    await tabTo(page, "Add webhook");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Webhook added" }).waitFor();
    await tabTo(page, "To the webhook");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Send test" }).waitFor();

    // What is folded away opens and closes by keyboard, too.
    await tabTo(page, "Disable…");
    await page.keyboard.press("Enter");
    await tabTo(page, "Disable");
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("The webhook is disabled").waitFor();
    await tabTo(page, "Enable");
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("The webhook is enabled").waitFor();

    const event = await scene.publish("client.created");
    await endpoint.request(1);
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await page.waitForURL(`**${scene.path("log")}`);
    await page.locator("#log-rows tr").filter({ hasText: event.id }).waitFor();
    const path = await page.locator("#log-rows a").first().getAttribute("href");
    await tabUntil(page, "the attempt", () => page.evaluate((href) => document.activeElement.getAttribute("href") === href, path));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: /Attempt 1/ }).waitFor();
    await tabTo(page, "Request");
    await page.keyboard.press("ArrowRight");
    assert.equal(await focused(page), "Response");
    assert.equal(await page.getByRole("tabpanel", { name: "Response" }).isVisible(), true);
  });

  flow("signs an operator in", async (scene) => {
    const visitor = await scene.stranger();
    const { page } = visitor;
    await visitor.open("/portal/sign-in");
    await page.keyboard.type(OPERATOR.email);
    await page.keyboard.press("Tab");
    await page.keyboard.type(OPERATOR.password);
    await page.keyboard.press("Enter");
    await page.waitForURL("**/portal/platform");
  });
});

/** Presses Tab until the element with this name has the focus, which must be seen. */
async function tabTo(page, name) {
  await tabUntil(page, name, async () => (await focused(page)) === name);
}

async function tabUntil(page, what, isThere) {
  const passed = [];
  for (let step = 0; step < STEPS_MAX; step += 1) {
    await page.keyboard.press("Tab");
    await assertFocusIsSeen(page);
    if (await isThere()) return;
    passed.push(await focused(page));
  }
  throw new Error(`Tab does not lead to ${what}, but to ${passed.join(", ")}`);
}

/** What the element with the focus is called: its label or its text. */
async function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const name = element.labels?.[0]?.textContent ?? element.getAttribute("aria-label") ?? element.textContent;
    return name.trim().replaceAll(/\s+/g, " ");
  });
}

async function assertFocusIsSeen(page) {
  const seen = await page.evaluate(() => {
    const element = document.activeElement;
    // Past the last element, and on a button inside a field for dates, the focus is the browser's.
    if (element === document.body || !element.matches(":focus")) return true;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const { width, height } = element.getBoundingClientRect();
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0;
  });
  assert.ok(seen, `no focus is seen on ${await focused(page)}`);
}
