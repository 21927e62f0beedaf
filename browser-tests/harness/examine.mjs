// A page under the loupe: axe-core's rules of WCAG 2.2 AA in light and dark, and no scrolling
// sideways from a small phone to a very large screen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const OPTIONS = {
  runOnly: [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22aa",
    "best-practice",
  ],
  // Off unless it is asked for: WCAG 2.2, 2.5.8.
  rules: { "target-size": { enabled: true } },
  resultTypes: ["violations"],
};

/** Widths in CSS pixels: the smallest phone that is promised, a tablet, a desk, a wall. */
const WIDTHS = [360, 768, 1280, 3840];

/** Examines the page as it is, with everything unfolded, in both colour schemes. */
export async function examine(page, name = page.url()) {
  const folded = await unfold(page);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const found = await findings(page);
    assert.equal(found.length, 0, `axe-core about ${name}, ${colorScheme}:\n${found.join("\n")}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await fold(page, folded);
}

/** Looks whether the page scrolls sideways at any width. */
export async function examineWidths(page, name = page.url()) {
  const folded = await unfold(page);
  const before = page.viewportSize();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await sticksOut(page);
    assert.equal(wide.length, 0, `${name} scrolls sideways at ${width} px:\n${wide.join("\n")}`);
  }
  await page.setViewportSize(before);
  await fold(page, folded);
}

/** What axe-core finds, told shortly: the rule, and the elements that break it. */
async function findings(page) {
  // Through the debugger, not as a script of the page, whose policy would refuse it.
  await page.evaluate(AXE);
  return page.evaluate(async (options) => {
    const { violations } = await globalThis.axe.run(document, options);
    return violations.map((rule) => {
      const nodes = rule.nodes.map((node) => `  ${node.html.slice(0, 300)}\n${node.failureSummary}`);
      return `${rule.id}: ${rule.help}\n${nodes.join("\n")}`;
    });
  }, OPTIONS);
}

/** Opens whatever is folded away, and says which of the page's `details` that were, by number. */
async function unfold(page) {
  return page.evaluate(() => {
    const all = [...document.querySelectorAll("details")];
    const folded = all.flatMap((details, number) => (details.open ? [] : [number]));
    for (const details of all) details.open = true;
    return folded;
  });
}

/** Folds away what was. */
async function fold(page, folded) {
  await page.evaluate((numbers) => {
    const all = document.querySelectorAll("details");
    for (const number of numbers) all[number].open = false;
  }, folded);
}

/** What is wider than the window, if the page scrolls sideways at all. */
async function sticksOut(page) {
  return page.evaluate(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const wide = [...document.body.querySelectorAll("*")].filter(
      (element) => element.getBoundingClientRect().right > root.clientWidth + 1,
    );
    const told = wide.map((element) => element.outerHTML.slice(0, 120));
    return [`it is ${root.scrollWidth} px wide`, ...told.slice(0, 5)];
  });
}
