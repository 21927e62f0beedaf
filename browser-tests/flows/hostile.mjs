// Markup and script in everything that comes from outside: it stays text. A dialog or a breach of
// the policy is a complaint of the browser, and so fails the flow by itself.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { flow } from "../harness/stage.mjs";
import { until } from "../harness/waiting.mjs";

/** Ways out of text, attributes, comments, scripts and titles. */
const PAYLOADS = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror=alert(1)>`,
  `'><svg onload=alert(1)>`,
  `</pre></textarea></title></script><b class=injected>bold</b>`,
  `--><iframe srcdoc="<b>"></iframe>`,
  `{{7*7}}\${7*7}<%= 7 %>`,
  `javascript:alert(1)`,
  `&lt;b&gt; &amp;amp; \u202e \u0000 \u{1F600}`,
];
const ALL = PAYLOADS.join(" ");
/** What no field of one line may hold is left out there. */
const PRINTABLE = ALL.replaceAll(/[\u0000\u202e]/g, "");

describe("hostile text", () => {
  flow("in payloads, answers, header fields, descriptions and names stays text", async (scene) => {
    const webhook = await scene.webhook({
      description: PRINTABLE,
      answer: () => ({
        status: 500,
        headers: { "Content-Type": "text/html", "X-Hostile": `"><img src=x onerror=alert(1)>` },
        body: `<html><body onload="alert(1)">${ALL}</body></html>`,
      }),
    });
    await scene.server.ask("POST", "/api/v1/api-keys", {
      companyId: scene.company,
      name: PRINTABLE.slice(0, 100),
      scopes: ["events:read"],
    });
    const payload = Object.fromEntries(PAYLOADS.map((text, n) => [`${text} ${n}`, { [text]: [text] }]));
    const event = await scene.publish("client.created", payload);
    await webhook.endpoint.request(1);
    await until("its attempt", async () => (await scene.attempts(webhook)).length);

    const visitor = await scene.guest();
    const { page } = visitor;
    const shows = async (path, texts) => {
      await visitor.open(scene.path(path));
      await isClean(page);
      const shown = await page.locator("main").textContent();
      for (const text of texts) assert.ok(shown.includes(text), `${path} shows ${text}`);
    };
    await shows("webhooks", []);
    await shows(`webhooks/${webhook.id}`, [PAYLOADS[0], PAYLOADS[3]]);
    await visitor.open(scene.path(`webhooks/${webhook.id}/edit`));
    await isClean(page);
    assert.equal(await page.getByLabel("Description").inputValue(), PRINTABLE);
    await shows("keys", [PAYLOADS[0]]);
    await shows("events", []);
    await shows(`events/${event.id}`, [`<script>alert(1)</script>`, `<b class=injected>`]);
    await shows("log", []);
    await page.locator("#log-rows tr").last().getByRole("link").first().click();
    await page.getByRole("heading", { level: 1, name: /Attempt/ }).waitFor();
    await page.getByRole("tab", { name: "Response" }).click();
    const response = page.getByRole("tabpanel", { name: "Response" });
    for (const text of PAYLOADS.slice(0, 4)) await response.getByText(text).first().waitFor();
    await response.getByText("X-Hostile").or(response.getByText("x-hostile")).first().waitFor();
    await isClean(page);
    await shows("audit", []);
    await shows("", []);
  });

  flow("in queries, paths and forms stays text", async (scene) => {
    const visitor = await scene.guest();
    const { page } = visitor;
    const text = encodeURIComponent(PRINTABLE);
    const names = ["type", "event", "status", "since", "until", "webhook", "outcome", "done", "id", "q", "target", "page", "range", "before"];
    const query = names.map((name) => `${name}=${text}`).join("&");
    for (const tail of ["", "webhooks", "log", "events", "keys", "audit"]) {
      // A value that cannot be understood may be refused; what matters is how that is shown.
      const response = await page.request.get(`${scene.path(tail)}?${query}`);
      assert.ok(response.status() < 500, `${tail} answered ${response.status()}`);
      if (response.status() >= 400) visitor.expect(response.status());
      await page.goto(`${scene.path(tail)}?${query}`);
      await isClean(page);
    }
    await visitor.open(`/portal/c/${text}`, 404);
    await isClean(page);

    await visitor.open(scene.path("webhooks/new"));
    await page.getByLabel("URL").fill(`https://example.com/${PAYLOADS[1]}`);
    await page.getByLabel("Other types").fill(PRINTABLE);
    await page.getByLabel("Description").fill(PRINTABLE);
    await page.getByLabel("Own secret").fill(PAYLOADS[0]);
    visitor.expect(422);
    await page.getByRole("button", { name: "Add webhook" }).click();
    await page.getByText("Nothing was changed yet").waitFor();
    await isClean(page);
    assert.equal(await page.getByLabel("Description").inputValue(), PRINTABLE);
  });

  flow("in a test's answer stays text, also where a script puts it into the page", async (scene) => {
    const webhook = await scene.webhook({
      answer: () => ({ status: 200, headers: { "Content-Type": "text/html" }, body: ALL }),
    });
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path(`webhooks/${webhook.id}`));
    await page.getByRole("button", { name: "Send test" }).click();
    await page.getByText("<script>alert(1)</script>").first().waitFor();
    await isClean(page);
  });

  flow("in rows that a live log brings stays text", async (scene) => {
    const webhook = await scene.webhook({
      answer: () => ({ status: 500, headers: { "Content-Type": "text/html" }, body: ALL }),
    });
    const visitor = await scene.guest();
    await visitor.open(scene.path("log"));
    await visitor.page.getByText("New attempts appear by themselves").waitFor();
    const event = await scene.publish("client.created", { text: ALL });
    await visitor.page.locator("#log-rows tr").filter({ hasText: event.id }).first().waitFor();
    await isClean(visitor.page);
    assert.equal(webhook.endpoint.requests.length > 0, true);
  });
});

/** Nothing that a payload would make is in the page. */
async function isClean(page) {
  const found = await page.evaluate(() => {
    const suspects = document.querySelectorAll(".injected, iframe, img, [onload], [onerror], a[href^='javascript:' i]");
    const scripts = [...document.scripts].filter((script) => !script.src.includes("/portal/assets/"));
    return [...suspects, ...scripts].map((element) => element.outerHTML);
  });
  assert.deepEqual(found, []);
}
