// What `cargo xtask browser` prepared for this run: where the program and the browser are, and
// databases that are empty.

import { env } from "node:process";

if (!env.BROWSER_TESTS) {
  throw new Error("run these tests with: cargo xtask browser");
}

/** @type {{program: string, browser: string, database: "sqlite" | "postgres", databases: string[],
 *   directory: string, images: string}} */
export const plan = JSON.parse(env.BROWSER_TESTS);

/** An empty database that nobody else gets, as `--database` is told it. */
export function takeDatabase() {
  const database = plan.databases.shift();
  if (!database) throw new Error("more databases are needed: see DATABASES in xtask/src/browser.rs");
  return database;
}
