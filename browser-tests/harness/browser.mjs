// Chromium without a window, with a profile that is new and gone afterwards.

import { chromium } from "playwright-core";

import { plan } from "./plan.mjs";

const FLAGS = [
  // It may run as root in a container, and sees no page but our own.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts it; `env` is added to its environment. */
export async function launch(env = {}) {
  return chromium.launch({
    executablePath: plan.browser,
    headless: true,
    args: FLAGS,
    env: { ...process.env, ...env },
  });
}
