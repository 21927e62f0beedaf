// Somebody with a browser of their own: a context that shares nothing with others, and a watch
// over everything that the browser complains about.

import assert from "node:assert/strict";

import { PATIENCE_MS, until } from "./waiting.mjs";

/** Bytes of a page's HTML at most. */
const PAGE_BYTES_MAX = 100_000;

/** How this browser looks at things unless a test says otherwise. */
const DEFAULTS = {
  locale: "en-GB",
  timezoneId: "Europe/Berlin",
  colorScheme: "light",
  reducedMotion: "reduce",
  viewport: { width: 1280, height: 800 },
};

export class Visitor {
  #complaints = [];
  #expected = [];
  #tolerated = [];
  #checks = [];

  static async arrive(browser, origin, options = {}) {
    const visitor = new Visitor();
    visitor.origin = origin;
    visitor.context = await browser.newContext({ ...DEFAULTS, baseURL: origin, ...options });
    await visitor.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
    visitor.context.setDefaultTimeout(PATIENCE_MS);
    // Breaches that the console tells of are told once more here, where nothing rewords them.
    await visitor.context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`breach of ${event.violatedDirective} by ${event.blockedURI}`);
      });
    });
    visitor.context.on("page", (page) => visitor.#watch(page));
    visitor.page = await visitor.context.newPage();
    return visitor;
  }

  /**
   * Says that the next answer with this status is meant to come; any other from 400 on is a
   * complaint, and so is one that was announced and did not come.
   */
  expect(status) {
    this.#expected.push(status);
  }

  /** Says that the console may tell of this, and why that is no fault of a page. */
  tolerate(message, why) {
    this.#tolerated.push({ message, why });
  }

  /** Opens a page of the portal, whose answer must have this status. */
  async open(path, status = 200) {
    if (status >= 400) this.expect(status);
    const answer = await this.page.goto(path);
    assert.equal(answer.status(), status, path);
    return answer;
  }

  /** Presses a button that copies, and gives what it put into the clipboard. */
  async copied(button) {
    // What was there before must not be taken for what was copied.
    await this.page.evaluate(() => navigator.clipboard.writeText(""));
    await button.click();
    return until("something in the clipboard", () => this.page.evaluate(() => navigator.clipboard.readText()));
  }

  /** Leaves; fails where the browser complained about anything. */
  async leave() {
    await Promise.all(this.#checks);
    await this.context.close();
    for (const status of this.#expected) this.#complaints.push(`no answer had the status ${status}`);
    const told = this.#complaints.join("\n");
    assert.equal(this.#complaints.length, 0, `the browser complained:\n${told}`);
  }

  #watch(page) {
    const complain = (what) => this.#complaints.push(`${page.url()}: ${what}`);
    page.on("pageerror", (error) => complain(`error of a script: ${error.stack}`));
    page.on("crash", () => complain("it crashed"));
    page.on("dialog", (dialog) => {
      complain(`it opened a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on("console", (message) => {
      // Answers are judged by their status below, where it is known which were meant to come.
      const judged = message.text().startsWith("Failed to load resource");
      const tolerated = this.#tolerated.some((known) => known.message.test(message.text()));
      if (["error", "warning"].includes(message.type()) && !judged && !tolerated) {
        complain(`console: ${message.text()}`);
      }
    });
    page.on("requestfailed", (request) => {
      // Who leaves a page ends what it was still asking for.
      const failure = request.failure()?.errorText;
      if (failure !== "net::ERR_ABORTED") complain(`${request.url()} failed: ${failure}`);
    });
    page.on("response", (response) => this.#judge(response, complain));
  }

  #judge(response, complain) {
    const status = response.status();
    if (status >= 400) {
      const at = this.#expected.indexOf(status);
      if (at < 0) complain(`${response.request().method()} ${response.url()} answered ${status}`);
      else this.#expected.splice(at, 1);
    }
    const html = (response.headers()["content-type"] ?? "").startsWith("text/html");
    const redirect = status >= 300 && status < 400;
    if (html && !redirect && response.url().startsWith(`${this.origin}/portal`)) {
      this.#checks.push(this.#weigh(response, complain));
    }
  }

  async #weigh(response, complain) {
    // A page that was left before it had come whole has no body any more.
    const body = await response.body().catch(() => Buffer.alloc(0));
    if (body.length > PAGE_BYTES_MAX) {
      complain(`${response.url()} has ${body.length} bytes of HTML`);
    }
  }
}
