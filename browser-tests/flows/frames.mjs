// The portal inside another site's page: where that site may show it, and where it may not.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { Embedder } from "../harness/embedder.mjs";
import { flow } from "../harness/stage.mjs";

describe("in a frame", () => {
  flow("a product shows the portal without a second login, and forms work there", async (scene) => {
    const { embedder } = scene.stage;
    // Another site than the product's, and one whose cookies browsers treat as those of https:
    // so this is how a session is kept in the frame of a stranger.
    const server = await scene.ownServer({
      args: (port) => [
        ...["--public-url", `https://localhost:${port}`],
        ...["--portal-frame-origin", embedder.origin],
      ],
    });
    const link = (await scene.link("admin", scene.company, server)).replace("https:", "http:");
    assert.match(link, /^http:\/\/localhost:/);
    const visitor = await scene.stranger({}, embedder);
    await visitor.open(embedder.around(link));
    const frame = visitor.page.frameLocator("iframe");
    await frame.getByText(`${scene.company} (admin)`).waitFor();

    const cookies = await visitor.context.cookies(link);
    const session = cookies.find(({ name }) => name === "__Host-tidings_session");
    assert.equal(session.sameSite, "None");
    assert.ok(session.httpOnly && session.secure && session.partitionKey, JSON.stringify(session));

    await frame.getByRole("link", { name: "API keys" }).click();
    await frame.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
    visitor.tolerate(/^Blocked autofocusing/, "a frame of another site must not take the focus");
    await frame.getByRole("button", { name: "Sign out" }).click();
    await frame.getByRole("status").getByText("You are signed out").waitFor();
  });

  flow("a site that was not named sees nothing", async (scene) => {
    const other = await Embedder.start();
    // What the browser refuses it also complains about, so nobody watches this context.
    const context = await scene.stage.browser.newContext();
    try {
      const page = await context.newPage();
      const refused = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
      await page.goto(other.around(await scene.link()));
      await refused;
      assert.equal(await page.frameLocator("iframe").locator("main").count(), 0);
    } finally {
      await context.close();
      await other.close();
    }
  });
});
