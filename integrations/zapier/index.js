// The Zapier integration of Tidings.
'use strict';

const authentication = require('./authentication');
const { withKey, explainErrors } = require('./lib/api');
const newEvent = require('./triggers/new_event');
const catalogEvents = require('./triggers/catalog_events');
const eventTypeList = require('./triggers/event_type_list');
const publishEvent = require('./creates/publish_event');

const byKey = (parts) => Object.fromEntries(parts.map((part) => [part.key, part]));

module.exports = {
  version: require('./package.json').version,
  platformVersion: require('zapier-platform-core').version,
  authentication,
  beforeRequest: [withKey],
  afterResponse: [explainErrors],
  triggers: byKey([newEvent, ...catalogEvents, eventTypeList]),
  creates: byKey([publishEvent]),
};
