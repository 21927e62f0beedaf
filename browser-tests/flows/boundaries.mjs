// What a visitor may not do: a viewer changes nothing, and nobody sees another company.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine } from "../harness/examine.mjs";
import { furnish } from "../harness/furnish.mjs";
import { flow } from "../harness/stage.mjs";

describe("boundaries", () => {
  flow("a viewer reads everything and changes nothing", async (scene) => {
    const { good, events } = await furnish(scene);
    const visitor = await scene.guest("viewer");
    const { page } = visitor;
    const [event] = events;
    const pages = ["", "webhooks", `webhooks/${good.id}`, "log", "events", `events/${event.id}`, "keys"];
    for (const tail of pages) {
      await visitor.open(scene.path(tail));
      await page.getByText("You can look at everything here and change nothing").waitFor();
      const forms = page.locator("main form[method=post]");
      assert.equal(await forms.count(), 0, `${tail} has a form that changes something`);
    }
    await visitor.open(scene.path("audit"), 403);
    await examine(page, "a page for admins");

    // Also who makes the request without the button hears no.
    await visitor.open(scene.path());
    const csrf = await page.locator("input[name=csrf]").first().inputValue();
    const key = await scene.server.ask("POST", "/api/v1/api-keys", {
      companyId: scene.company,
      name: "kept",
      scopes: ["events:read"],
    });
    for (const [tail, fields] of changes({ webhook: good, event, key })) {
      const answer = await post(page, scene.path(tail), { csrf, ...fields });
      assert.equal(answer.status(), 403, tail);
    }
    const path = `/api/v1/webhooks/subscriptions/${good.id}?companyId=${scene.company}`;
    assert.equal((await scene.server.ask("GET", path)).enabled, true);
    assert.equal((await scene.server.call("GET", "/api/v1/me", null, key.key)).status, 200);
  });

  flow("another company's ids are as if they were not there, in every path, query and form", async (scene) => {
    const own = await furnish(scene);
    const stranger = `${scene.company}-other`;
    const foreign = await scene.webhook({ company: stranger });
    const event = await scene.publish("client.created", {}, stranger);
    await foreign.endpoint.request(1);
    const key = await scene.server.ask("POST", "/api/v1/api-keys", {
      companyId: stranger,
      name: "theirs",
      scopes: ["events:read"],
    });
    const operator = await scene.operator();
    await operator.open(`/portal/c/${stranger}/log`);
    const row = operator.page.locator("#log-rows tr").first();
    const place = await row.getAttribute("data-place");

    const visitor = await scene.guest();
    const { page } = visitor;
    const paths = [
      `/portal/c/${stranger}`,
      ...["webhooks", "webhooks/new", "log", "events", "keys", "audit"].map((tail) => `/portal/c/${stranger}/${tail}`),
      ...["", "/edit", "/replay"].map((tail) => scene.path(`webhooks/${foreign.id}${tail}`)),
      scene.path(`log/${place}`),
      scene.path(`events/${event.id}`),
      scene.path(`events/${event.id}/raw`),
      ...["platform", "platform/keys", "platform/users", "platform/audit"].map((tail) => `/portal/${tail}`),
    ];
    const nothing = await page.request.get(scene.path("webhooks/sub_01h455vb4pex5vsknk084sn02q"));
    assert.equal(nothing.status(), 404);
    for (const path of paths) {
      const answer = await page.request.get(path);
      assert.equal(answer.status(), 404, path);
      assert.equal(await answer.text(), await nothing.text(), path);
    }
    const query = await page.request.get(scene.path(`log?webhook=${foreign.id}`));
    assert.ok(!(await query.text()).includes(foreign.url));

    await visitor.open(scene.path("nowhere"), 404);
    await examine(page, "nothing here");

    await visitor.open(scene.path());
    const csrf = await page.locator("input[name=csrf]").first().inputValue();
    for (const [tail, fields] of changes({ webhook: foreign, event, key })) {
      const answer = await post(page, scene.path(tail), { csrf, ...fields });
      assert.equal(answer.status(), 404, tail);
      const there = await post(page, `/portal/c/${stranger}/${tail}`, { csrf, ...fields });
      assert.equal(there.status(), 404, `${stranger}: ${tail}`);
    }
    // An event of one's own, and a webhook that is not.
    const mixed = { csrf, webhook: foreign.id };
    const answer = await post(page, scene.path(`events/${own.events[0].id}/redeliver`), mixed);
    assert.equal(answer.status(), 404);
    assert.equal((await scene.server.call("GET", "/api/v1/me", null, key.key)).status, 200);
    assert.equal(foreign.endpoint.requests.length, 1);
  });

  flow("a form without the session's token changes nothing, whoever sends it", async (scene) => {
    const { good, events } = await furnish(scene);
    const key = await scene.server.ask("POST", "/api/v1/api-keys", {
      companyId: scene.company,
      name: "kept",
      scopes: ["events:read"],
    });
    const visitor = await scene.guest();
    const other = await scene.guest();
    const foreign = await other.page.locator("input[name=csrf]").first().inputValue();
    for (const [tail, fields] of changes({ webhook: good, event: events[0], key })) {
      for (const csrf of ["", "forged", foreign]) {
        const answer = await post(visitor.page, scene.path(tail), { csrf, ...fields });
        assert.equal(answer.status(), 403, `${tail} with ${csrf}`);
      }
    }
    const path = `/api/v1/webhooks/subscriptions/${good.id}?companyId=${scene.company}`;
    assert.equal((await scene.server.ask("GET", path)).enabled, true);
  });
});

/** Every form that changes something of a company: where it goes, and what it sends. */
function changes({ webhook, event, key }) {
  return [
    [`webhooks/${webhook.id}/edit`, { url: webhook.url, type: "*" }],
    [`webhooks/${webhook.id}/disable`, {}],
    [`webhooks/${webhook.id}/enable`, {}],
    [`webhooks/${webhook.id}/rotate`, { overlap_hours: "0" }],
    [`webhooks/${webhook.id}/test`, {}],
    [`webhooks/${webhook.id}/replay`, { since: "2026-01-01T00:00", only: "all" }],
    [`webhooks/${webhook.id}/delete`, {}],
    [`events/${event.id}/redeliver`, { webhook: webhook.id }],
    [`keys/${key.id}/revoke`, {}],
  ];
}

/** Sends a form with the browser's cookies, but outside of any page. */
async function post(page, path, form) {
  return page.request.post(path, { form, maxRedirects: 0 });
}
