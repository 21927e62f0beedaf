// The event types that Tidings ships with, as `GET /api/v1/event-types` gives them.
'use strict';

const types = require('../catalog.json');

// An event as it would be delivered, with the type's sample payload.
const sampleOf = ({ name, samplePayload }) => ({
  id: 'evt_01k3zt5w9hf0bvv8d6n7q2m4xe',
  type: name,
  createdUtc: '2026-01-31T08:00:00.000Z',
  companyId: 'acme',
  payload: samplePayload,
  metadata: {},
});

module.exports = { types, sampleOf };
