// A receiver of webhooks that answers as each test tells it, and keeps what it was sent.

import { once } from "node:events";
import { createServer } from "node:http";

import { inTime } from "./waiting.mjs";

/** One HTTP server for all endpoints. */
export class Receiver {
  #endpoints = new Map();
  #server = createServer((request, response) => this.#serve(request, response));

  static async start(port = 0, name = "127.0.0.1") {
    const receiver = new Receiver();
    receiver.#server.listen(port, "127.0.0.1");
    await once(receiver.#server, "listening");
    receiver.origin = `http://${name}:${receiver.#server.address().port}`;
    return receiver;
  }

  /**
   * A new endpoint. `answer` is told the request, and which one it is from 1; it gives
   * `{status, headers, body}`, or a promise of it, or nothing for a 200 that says `thanks`.
   */
  endpoint(answer = () => {}, path = `/hook-${this.#endpoints.size + 1}`) {
    const endpoint = new Endpoint(this.origin + path, answer);
    this.#endpoints.set(path, endpoint);
    return endpoint;
  }

  async close() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request, response) {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const received = {
      method: request.method,
      headers: request.headers,
      body: Buffer.concat(pieces).toString("utf8"),
    };
    const endpoint = this.#endpoints.get(new URL(request.url, this.origin).pathname);
    const answer = endpoint ? await endpoint.receive(received) : { status: 404 };
    const { status = 200, headers = {}, body = "thanks" } = answer ?? {};
    response.writeHead(status, headers);
    response.end(body);
  }
}

/** One URL: what it was sent, and whom it tells. */
class Endpoint {
  #answer;
  #waiting = [];

  constructor(url, answer) {
    this.url = url;
    this.#answer = answer;
    /** Every request so far, oldest first: method, headers and body. */
    this.requests = [];
  }

  /** Answers differently from now on. */
  answerWith(answer) {
    this.#answer = answer;
  }

  receive(request) {
    this.requests.push(request);
    const number = this.requests.length;
    this.#waiting = this.#waiting.filter(({ count, resolve }) => {
      if (number < count) return true;
      resolve(this.requests[count - 1]);
      return false;
    });
    return this.#answer(request, number);
  }

  /** The request with this number, from 1, when it has come. */
  async request(count) {
    const there = this.requests[count - 1];
    if (there) return there;
    const coming = new Promise((resolve) => this.#waiting.push({ count, resolve }));
    return inTime(`request ${count} at ${this.url}`, coming);
  }
}
