// Waiting for what another process does and gives no signal of. The only place that lets time pass.

import { setTimeout as rest } from "node:timers/promises";

/** How long anything may take before it counts as never. This machine may be busy. */
export const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 25;

/** Looks again and again until `look` gives something true, and returns that. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await rest(LOOK_EVERY_MS);
  }
}

/** The promise's value; an error where it takes longer than anything may. */
export async function inTime(what, promise) {
  const ends = new AbortController();
  const late = rest(PATIENCE_MS, null, { signal: ends.signal }).then(
    () => { throw new Error(`waited in vain for ${what}`); },
    () => {},
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    ends.abort();
  }
}
