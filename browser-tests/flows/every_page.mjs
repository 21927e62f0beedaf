// Every page that links lead to, for everybody who may see it: what axe-core finds in light and
// dark, and whether anything sticks out between 360 px and 4k.

import assert from "node:assert/strict";
import { describe } from "node:test";

import { examine, examineWidths } from "../harness/examine.mjs";
import { furnish } from "../harness/furnish.mjs";
import { flow } from "../harness/stage.mjs";

/** Kinds of pages at most; more would mean that one kind is taken for many. */
const KINDS_MAX = 60;

describe("every page", () => {
  for (const role of ["admin", "viewer"]) {
    flow(`of a company's ${role} is accessible at every width`, async (scene) => {
      await furnish(scene);
      const visitor = await scene.guest(role);
      const kinds = await walk(visitor, scene.path());
      const expected = ["webhooks", "webhooks/{id}", "log", "log/{id}", "events", "events/{id}"];
      expected.push("types", "types/{name}", "keys");
      assertSeen(kinds, expected.map((tail) => `/portal/c/{company}/${tail}`));
      const forAdmins = ["keys/new", "webhooks/new", "webhooks/{id}/edit", "audit"];
      const seen = forAdmins.filter((tail) => kinds.has(`/portal/c/{company}/${tail}`));
      assert.deepEqual(seen, role === "admin" ? forAdmins : []);
    });
  }

  flow("of the platform is accessible at every width", async (scene) => {
    await furnish(scene);
    const visitor = await scene.operator();
    // A company's pages are its admin's, too, and have been looked at.
    const kinds = await walk(visitor, "/portal/platform", (path) => !path.startsWith("/portal/c/"));
    assertSeen(kinds, ["/portal/platform", "/portal/platform/users", "/portal/platform/audit"]);
    assertSeen(kinds, ["/portal/platform/keys", "/portal/account"]);
  });

  flow("of a company that has nothing yet says what to do", async (scene) => {
    const visitor = await scene.guest();
    const kinds = await walk(visitor, scene.path());
    assertSeen(kinds, ["/portal/c/{company}/webhooks", "/portal/c/{company}/events"]);
  });
});

/** Follows links, as far as `leadsOn` says, and examines one page of each kind; gives the kinds. */
async function walk(visitor, start, leadsOn = () => true) {
  const kinds = new Set([kind(start)]);
  const ahead = [start];
  while (ahead.length > 0) {
    const path = ahead.shift();
    await visitor.open(path);
    await examine(visitor.page, path);
    await examineWidths(visitor.page, path);
    for (const link of await links(visitor.page)) {
      if (!leadsOn(link) || kinds.has(kind(link))) continue;
      kinds.add(kind(link));
      assert.ok(kinds.size <= KINDS_MAX, [...kinds].join("\n"));
      ahead.push(link);
    }
  }
  return kinds;
}

/** Where the page's links lead within the portal, downloads left out. */
async function links(page) {
  const all = await page.evaluate(() =>
    [...document.querySelectorAll("a[href]:not([download])")].map((link) => {
      const { origin, pathname, search } = new URL(link.href);
      return origin === location.origin ? pathname + search : "";
    }),
  );
  return all.filter((path) => path.startsWith("/portal/") && !path.endsWith("/raw"));
}

/** What kind of page a path is: ids and the values of a query make no difference. */
function kind(path) {
  const { pathname, searchParams } = new URL(path, "http://here");
  const named = pathname
    .replace(/^\/portal\/c\/[^/]+/, "/portal/c/{company}")
    .replace(/\/types\/[^/]+$/, "/types/{name}")
    .replaceAll(/\/((sub|evt|att|key|usr)_[0-9a-z]+|[0-9]+[0-9-]*)(?=\/|$)/g, "/{id}");
  const names = [...new Set(searchParams.keys())].sort();
  return names.length > 0 ? `${named}?${names.join("&")}` : named;
}

function assertSeen(kinds, expected) {
  const missing = expected.filter((path) => !kinds.has(path));
  assert.deepEqual(missing, [], [...kinds].join("\n"));
}
