// The action that publishes an event into the company's log.
'use strict';

const { url } = require('../lib/api');
const { types, sampleOf } = require('../lib/catalog');

// The payload: a JSON object, with the single fields on top of it.
const payloadOf = (z, { payload, fields }) => {
  let object = {};
  if (payload && payload.trim()) {
    try {
      object = JSON.parse(payload);
    } catch (error) {
      throw new z.errors.Error(`The payload is no JSON: ${error.message}`, 'InvalidPayload', 422);
    }
  }
  if (object === null || typeof object !== 'object' || Array.isArray(object)) {
    throw new z.errors.Error('The payload must be a JSON object: {…}', 'InvalidPayload', 422);
  }
  return { ...object, ...fields };
};

const perform = async (z, bundle) => {
  const { type, metadata, idempotencyKey } = bundle.inputData;
  const { data } = await z.request({
    method: 'POST',
    url: url(bundle, 'events'),
    headers: idempotencyKey ? { 'Idempotency-Key': idempotencyKey } : {},
    body: { type, payload: payloadOf(z, bundle.inputData), metadata: metadata || {} },
  });
  return data;
};

module.exports = {
  key: 'publish_event',
  noun: 'Event',
  display: {
    label: 'Publish Event',
    description: 'Publishes an event, which goes to everybody who subscribed to its type.',
  },
  operation: {
    perform,
    inputFields: [
      {
        key: 'type',
        label: 'Event type',
        type: 'string',
        required: true,
        dynamic: 'event_type_list.id.name',
        helpText: 'Such as `client.created`. One that is in no list works, too: choose **Custom**.',
      },
      {
        key: 'fields',
        label: 'Payload fields',
        dict: true,
        helpText: 'Names and values, all of them as text.',
      },
      {
        key: 'payload',
        label: 'Payload as JSON',
        type: 'text',
        helpText: 'A JSON object, for numbers, lists and nesting. The fields above are added to it.',
      },
      { key: 'metadata', label: 'Metadata', dict: true },
      {
        key: 'idempotencyKey',
        label: 'Idempotency key',
        type: 'string',
        helpText:
          'Something that names this event, such as the ID of what it is about: the same key within 24 hours publishes nothing a second time.',
      },
    ],
    sample: sampleOf(types[0]),
  },
};
