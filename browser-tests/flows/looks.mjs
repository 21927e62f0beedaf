// How pages look to whom: the viewer's zone, colours and width, and what small scripts add.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { furnish } from "../harness/furnish.mjs";
import { flow } from "../harness/stage.mjs";

describe("looks", () => {
  flow("times are in the viewer's zone, with UTC under the pointer", async (scene) => {
    const { events } = await furnish(scene);
    const texts = [];
    for (const timezoneId of ["Asia/Tokyo", "America/New_York"]) {
      const visitor = await scene.guest("viewer", { timezoneId });
      await visitor.open(scene.path(`events/${events[0].id}`));
      const time = visitor.page.locator("main time").first();
      assert.equal(await time.getAttribute("datetime"), events[0].createdUtc);
      const utc = events[0].createdUtc.slice(0, 19).replace("T", " ");
      assert.equal(await time.getAttribute("title"), `${utc} UTC`);
      texts.push(await time.textContent());
    }
    assert.notEqual(texts[0], texts[1]);
    const visitor = await scene.guest("viewer", { javaScriptEnabled: false });
    await visitor.open(scene.path(`events/${events[0].id}`));
    assert.match(await visitor.page.locator("main time").first().textContent(), / UTC$/);
  });

  flow("colours follow the viewer's setting", async (scene) => {
    const grounds = [];
    for (const colorScheme of ["light", "dark"]) {
      const visitor = await scene.guest("admin", { colorScheme });
      const ground = await visitor.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      grounds.push(ground.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));
    }
    const [light, dark] = grounds;
    assert.ok(light > 600 && dark < 150, `${light} and ${dark} of 765`);
  });

  flow("on a phone, rows of tables become cards that name what they hold", async (scene) => {
    await furnish(scene);
    const visitor = await scene.guest("admin", { viewport: { width: 360, height: 740 } });
    for (const tail of ["webhooks", "log", "events", "keys", "audit"]) {
      await visitor.open(scene.path(tail));
      const cells = await visitor.page.locator("main table.list").first().locator("td").evaluateAll((all) =>
        all.map((cell) => ({
          label: getComputedStyle(cell, "::before").content,
          width: cell.getBoundingClientRect().width,
          text: cell.textContent.trim(),
        })),
      );
      assert.ok(cells.length > 0, tail);
      for (const { label, width, text } of cells) {
        assert.ok(width > 250, `${tail}: ${text} is ${width} px wide`);
      }
      assert.ok(cells.filter(({ label }) => label !== "none").length >= cells.length / 2, tail);
    }
  });

  flow("figures have a chart, and a table for who does not see it", async (scene) => {
    const { good } = await furnish(scene);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(`${scene.path()}?range=1h`);
    const chart = page.getByRole("img").first();
    assert.match(await chart.getAttribute("aria-label"), /\d/);
    assert.ok((await chart.locator(".ok").count()) > 0);
    await page.getByText("The numbers as a table").click();
    await page.locator(".chart-table table").waitFor();
    await visitor.open(scene.path("webhooks"));
    const row = page.locator("tbody tr").filter({ hasText: good.url });
    await row.locator("svg.spark").waitFor();
    await row.getByText("100 % succeeded").waitFor();
  });

  flow("a key leads to the search field, and none while one types", async (scene) => {
    const { good } = await furnish(scene);
    const visitor = await scene.guest();
    const { page } = visitor;
    await visitor.open(scene.path("webhooks"));
    await page.keyboard.press("/");
    await page.keyboard.type("gw/");
    assert.equal(await page.getByLabel("Search by URL").inputValue(), "gw/");
    await page.getByRole("link", { name: good.url }).waitFor();
  });
});
