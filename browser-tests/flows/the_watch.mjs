// Whether the watch over the browser watches: each fault that a page could have fails whoever
// meets it.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine, examineWidths } from "../harness/examine.mjs";
import { flow } from "../harness/stage.mjs";
import { Visitor } from "../harness/visitor.mjs";

/** Faults, put into a page before its main part, and what is said about them. */
const FAULTS = {
  "an inline style": ["<p style='color:red'>red</p>", /breach of style-src-attr by inline/],
  "an inline script": ["<script>1</script>", /breach of script-src-elem by inline/],
  "a picture of another site": ["<img alt='' src='https://example.invalid/a.png'>", /breach of img-src/],
  "a file that is not there": ["<img alt='' src='/portal/assets/none.png'>", /answered 404/],
  "a page of a hundred kilobytes": [`<!--${"x".repeat(100_000)}-->`, /bytes of HTML/],
};

describe("the watch", () => {
  for (const [name, [markup, said]] of Object.entries(FAULTS)) {
    flow(`complains about ${name}`, async (scene) => {
      const visitor = await faulty(scene, markup);
      await assert.rejects(visitor.leave(), said);
    });
  }

  flow("complains about an error of a script and about a dialog", async (scene) => {
    const visitor = await faulty(scene, "");
    const told = visitor.page.waitForEvent("pageerror");
    await visitor.page.evaluate(() => {
      alert("here");
      setTimeout(() => { throw new Error("broken"); });
    });
    await told;
    await assert.rejects(visitor.leave(), /opened a dialog: here.*error of a script: Error: broken/s);
  });

  flow("complains about an answer that was announced and did not come", async (scene) => {
    const visitor = await faulty(scene, "");
    visitor.expect(403);
    await assert.rejects(visitor.leave(), /no answer had the status 403/);
  });

  flow("finds what is not accessible, and what sticks out", async (scene) => {
    const visitor = await faulty(scene, `<input name="unlabelled"><pre>${"x".repeat(1000)}</pre>`);
    await assert.rejects(examine(visitor.page), /label: Form elements must have labels/);
    await assert.rejects(examineWidths(visitor.page), /scrolls sideways at 360 px/);
    await visitor.leave();
  });
});

/** Somebody on a page that has this markup, too. Who is not of the scene may leave complaining. */
async function faulty(scene, markup) {
  const visitor = await Visitor.arrive(scene.stage.browser, scene.server.origin);
  await visitor.context.route(/\/webhooks$/, async (route) => {
    const response = await route.fetch();
    const body = (await response.text()).replace("<main", `${markup}<main`);
    await route.fulfill({ response, body });
  });
  await visitor.open(await scene.link());
  await visitor.open(scene.path("webhooks"));
  return visitor;
}
