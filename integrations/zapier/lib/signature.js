// Whether a delivery is from Tidings: Standard Webhooks 1.0.0.
'use strict';

const { createHmac, timingSafeEqual } = require('node:crypto');

const keyOf = (secret) =>
  secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);

// Header fields come as Zapier passes them on: `Http-Webhook-Id`.
const field = (headers, name) => {
  const wanted = [name, `http-${name}`];
  const found = Object.keys(headers).find((key) => wanted.includes(key.toLowerCase()));
  return found ? String(headers[found]) : '';
};

const isGenuine = (secret, headers, body) => {
  const signed = `${field(headers, 'webhook-id')}.${field(headers, 'webhook-timestamp')}.${body}`;
  const expected = createHmac('sha256', keyOf(secret)).update(signed).digest();
  return field(headers, 'webhook-signature')
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .map((one) => Buffer.from(one.slice(3), 'base64'))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected));
};

module.exports = { isGenuine };
