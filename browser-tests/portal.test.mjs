// Every flow of the portal in a real browser. `cargo xtask browser` runs this file once for each
// database. harness/ is what flows stand on, flows/ is what people do.

import { after } from "node:test";

import { plan } from "./harness/plan.mjs";
import { closeStage } from "./harness/stage.mjs";

import "./flows/getting_in.mjs";
import "./flows/webhooks.mjs";
import "./flows/delivery_log.mjs";
import "./flows/trouble.mjs";
import "./flows/events.mjs";
import "./flows/event_types.mjs";
import "./flows/keys.mjs";
import "./flows/platform.mjs";
import "./flows/boundaries.mjs";
import "./flows/hostile.mjs";
import "./flows/frames.mjs";
import "./flows/keyboard.mjs";
import "./flows/without_script.mjs";

// How pages look does not depend on where their data lies.
if (plan.database === "sqlite") {
  await import("./flows/the_watch.mjs");
  await import("./flows/looks.mjs");
  await import("./flows/every_page.mjs");
}

after(closeStage);
