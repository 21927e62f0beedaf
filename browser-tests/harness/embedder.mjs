// Another site, which shows the portal in a frame.

import { once } from "node:events";
import { createServer } from "node:http";

/** A product of somebody else's, with a page that shows a frame of ours. */
export class Embedder {
  #server = createServer((request, response) => {
    const frame = new URL(request.url, this.origin).searchParams.get("frame");
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(`<!doctype html><title>A product</title><iframe src="${frame}" width="900" height="600"></iframe>`);
  });

  static async start() {
    const embedder = new Embedder();
    embedder.#server.listen(0, "127.0.0.1");
    await once(embedder.#server, "listening");
    embedder.origin = `http://127.0.0.1:${embedder.#server.address().port}`;
    return embedder;
  }

  /** The address of a page with a frame. */
  around(url) {
    return `${this.origin}/?frame=${encodeURIComponent(url)}`;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
