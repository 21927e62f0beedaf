// Every part against a running server, through Zapier's own test harness. TIDINGS_URL says where
// the server is (in development, since the hook is on this machine), TIDINGS_API_KEY is a key of a
// company with events:read, events:write and webhooks:write; `cargo xtask test` starts a server and
// sets both. What is made here is removed or named anew in each run, so a company serves for many.
'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { createServer } = require('node:http');
const { after, before, test } = require('node:test');
const zapier = require('zapier-platform-core');

const App = require('../index');

const baseUrl = process.env.TIDINGS_URL;
const apiKey = process.env.TIDINGS_API_KEY;
assert.ok(baseUrl && apiKey, 'set TIDINGS_URL and TIDINGS_API_KEY, or run cargo xtask test');

const appTester = zapier.createAppTester(App);
const authData = { baseUrl: `${baseUrl}/`, apiKey };
const { new_event: newEvent } = App.triggers;

// How long a delivery may take; the server makes its first attempt at once.
const PATIENCE_MS = 10_000;

// Zapier's side of a hook: what arrives is handed to whoever waits for it.
const arrived = [];
const waiting = [];
let status = 200;
const hook = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const raw = { headers: request.headers, content: Buffer.concat(chunks).toString() };
    response.writeHead(status).end();
    const next = waiting.shift();
    if (next) next(raw);
    else arrived.push(raw);
  });
});
const delivery = () =>
  new Promise((resolve, reject) => {
    if (arrived.length > 0) return resolve(arrived.shift());
    const next = (raw) => {
      clearTimeout(timer);
      resolve(raw);
    };
    const timer = setTimeout(() => {
      waiting.splice(waiting.indexOf(next), 1);
      reject(new Error(`nothing was delivered to ${hookUrl()} within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    waiting.push(next);
  });
const hookUrl = () => `http://127.0.0.1:${hook.address().port}/hook`;

before(() => new Promise((resolve) => hook.listen(0, '127.0.0.1', resolve)));
after(() => hook.close());

const call = async (method, path, body) => {
  const response = await fetch(`${baseUrl}/api/v1/${path}`, {
    method,
    headers: { 'X-Api-Key': apiKey, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
};

// Subscribes as a Zap does, and leaves no subscription behind, however `run` ends.
const subscribed = async ({ performSubscribe }, inputData, run) => {
  const subscribeData = await appTester(performSubscribe, bundle({ inputData }));
  try {
    await run(subscribeData);
  } finally {
    await call('DELETE', `webhooks/subscriptions/${subscribeData.id}`);
  }
};

const bundle = (more) => ({
  authData,
  inputData: {},
  meta: { zap: { id: '4711' } },
  targetUrl: hookUrl(),
  ...more,
});

test('the connection is tested on /me, and a wrong key is explained', async () => {
  const me = await appTester(App.authentication.test, bundle());
  assert.ok(me.companyId);
  const wrong = bundle({ authData: { ...authData, apiKey: `tdg_${'A'.repeat(43)}` } });
  await assert.rejects(appTester(App.authentication.test, wrong), /API key/);
});

test('the picker lists the types of the catalog', async () => {
  const types = await appTester(App.triggers.event_type_list.operation.perform, bundle());
  const names = types.map(({ id }) => id);
  for (const { name } of require('../catalog.json')) assert.ok(names.includes(name), name);
});

test('the samples are those that the server ships', async () => {
  const shipped = new Map(require('../catalog.json').map((type) => [type.name, type]));
  const { body } = await call('GET', 'event-types');
  for (const { name, description, samplePayload } of body) {
    if (shipped.has(name)) assert.deepEqual({ name, description, samplePayload }, shipped.get(name));
  }
});

test('a Zap subscribes, receives, and unsubscribes', async () => {
  const eventTypes = ['client.created', 'invoice.*'];
  await subscribed(newEvent.operation, { eventTypes }, async (subscribeData) => {
    const made = await call('GET', `webhooks/subscriptions/${subscribeData.id}`);
    assert.equal(made.body.managedBy, 'zapier');
    assert.equal(made.body.description, 'Zap 4711');
    assert.deepEqual(made.body.eventTypes, eventTypes);

    const published = await appTester(
      App.creates.publish_event.operation.perform,
      bundle({
        inputData: {
          type: 'client.created',
          payload: '{"client_id": "cl_1", "balance": 12}',
          fields: { city: 'Berlin' },
          metadata: { source: 'zap' },
          idempotencyKey: `cl_1 created ${randomUUID()}`,
        },
      }),
    );
    assert.deepEqual(published.payload, { client_id: 'cl_1', balance: 12, city: 'Berlin' });

    const rawRequest = await delivery();
    const cleanedRequest = JSON.parse(rawRequest.content);
    const [event] = await appTester(
      newEvent.operation.perform,
      bundle({ subscribeData, rawRequest, cleanedRequest }),
    );
    assert.deepEqual(event, published);
    const forged = { ...rawRequest, content: rawRequest.content.replace('Berlin', 'Paris') };
    await assert.rejects(
      appTester(
        newEvent.operation.perform,
        bundle({ subscribeData, rawRequest: forged, cleanedRequest }),
      ),
      /signature/,
    );

    for (let time = 0; time < 2; time += 1) {
      await appTester(newEvent.operation.performUnsubscribe, bundle({ subscribeData }));
    }
    const gone = await call('GET', `webhooks/subscriptions/${subscribeData.id}`);
    assert.equal(gone.status, 404);
  });
});

test('examples are the newest events, or the sample where there is none', async () => {
  for (const type of ['lead.created', 'payment.failed']) {
    await call('POST', 'events', { type, payload: { type } });
  }
  const events = await appTester(newEvent.operation.performList, bundle());
  assert.equal(events[0].type, 'payment.failed');
  const single = App.triggers.affiliate_created.operation;
  const examples = await appTester(single.performList, bundle());
  assert.deepEqual(examples, [single.sample]);
});

test('the ready-made triggers subscribe to their type', async () => {
  const { operation } = App.triggers.invoice_status_changed;
  await subscribed(operation, {}, async (subscribeData) => {
    const made = await call('GET', `webhooks/subscriptions/${subscribeData.id}`);
    assert.deepEqual(made.body.eventTypes, ['invoice.status_changed']);
    await appTester(operation.performUnsubscribe, bundle({ subscribeData }));
    const gone = await call('GET', `webhooks/subscriptions/${subscribeData.id}`);
    assert.equal(gone.status, 404);
  });
});

test('a hook that answers 410 ends the subscription', async () => {
  const eventTypes = ['agreement.signed'];
  await subscribed(newEvent.operation, { eventTypes }, async (subscribeData) => {
    // The company is told in its own log, which can be waited for from here on.
    const told = 'events?type=webhook.subscription_disabled&cursor=now';
    const cursor = (await call('GET', told)).headers.get('x-paging-cursor');
    status = 410;
    try {
      await call('POST', 'events', { type: 'agreement.signed', payload: {} });
      await delivery();
    } finally {
      status = 200;
    }
    const { body } = await call('GET', `events?cursor=${cursor}&wait=10`);
    assert.equal(body.at(-1)?.payload.subscriptionId, subscribeData.id);
    const ended = await call('GET', `webhooks/subscriptions/${subscribeData.id}`);
    assert.equal(ended.body.enabled, false);
    assert.equal(ended.body.disabledReason, 'gone');
  });
});

test('what is wrong with an event is said in the server’s words', async () => {
  const publish = (inputData) =>
    appTester(App.creates.publish_event.operation.perform, bundle({ inputData }));
  await assert.rejects(publish({ type: 'client created' }), /\/type must/);
  await assert.rejects(publish({ type: 'a.b', payload: '{' }), /no JSON/);
  await assert.rejects(publish({ type: 'a.b', payload: '[1]' }), /JSON object/);
});
