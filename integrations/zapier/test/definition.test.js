// The definition by Zapier's own schema, and what needs no server.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { createHmac } = require('node:crypto');
const { validateAppDefinition } = require('zapier-platform-schema');

const App = require('../index');
const { isGenuine } = require('../lib/signature');

// Functions are references in what Zapier validates.
const exported = (value) => {
  if (typeof value === 'function') return { source: 'return []' };
  if (Array.isArray(value)) return value.map(exported);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, exported(part)]));
  }
  return value;
};

test('the definition is valid by Zapier’s schema', () => {
  const { errors } = validateAppDefinition(exported(App));
  assert.deepEqual(errors.map(String), []);
});

test('a broken definition is found', () => {
  const { errors } = validateAppDefinition({ ...exported(App), triggers: { x: { key: 'x', display: {} } } });
  assert.notEqual(errors.length, 0);
});

test('there is a trigger for any event and one for each type of the catalog', () => {
  const shown = Object.values(App.triggers).filter(({ display }) => !display.hidden);
  assert.equal(shown.length, 11);
});

test('signatures are told apart', () => {
  const key = Buffer.alloc(32, 7);
  const secret = `whsec_${key.toString('base64')}`;
  const body = '{"id":"evt_1"}';
  const signature = createHmac('sha256', key).update(`evt_1.1700000000.${body}`).digest('base64');
  const headers = {
    'Http-Webhook-Id': 'evt_1',
    'Http-Webhook-Timestamp': '1700000000',
    'Http-Webhook-Signature': `v1,AAAA v1,${signature}`,
  };
  assert.equal(isGenuine(secret, headers, body), true);
  assert.equal(isGenuine(secret, headers, `${body} `), false);
  assert.equal(isGenuine(secret, {}, body), false);
});
