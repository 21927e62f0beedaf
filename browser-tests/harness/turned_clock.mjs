// A clock that one server goes by and that is turned by hand, so that a day's figures and the same
// dates come about at any time. It is bent by libfaketime; the server's timers go on as they should.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export class TurnedClock {
  #file;

  constructor(directory) {
    this.#file = join(directory, "clock");
    this.set(new Date());
  }

  /** Turns it to a time, from which it goes on. */
  set(time) {
    const ahead = Math.ceil((time.getTime() - Date.now()) / 1000);
    writeFileSync(this.#file, `${ahead < 0 ? "" : "+"}${ahead}\n`);
  }

  /** What a process needs in its environment to go by it. */
  get environment() {
    return {
      ...preloaded(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
  }
}

/** The library, as the program `faketime` would load it; the name differs between systems. */
function preloaded() {
  const known = ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES"];
  const listed = execFileSync("faketime", ["-m", "now", "env"], { encoding: "utf8" });
  const pairs = listed.split("\n").map((line) => line.split(/=(.*)/s));
  return Object.fromEntries(pairs.filter(([name]) => known.includes(name)));
}
