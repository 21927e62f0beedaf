// A trigger for each event type that Tidings ships with: nothing to pick.
'use strict';

const eventTrigger = require('../lib/event_trigger');
const { types, sampleOf } = require('../lib/catalog');

const words = (name) => name.split(/[._]/).map((word) => word[0].toUpperCase() + word.slice(1));

module.exports = types.map((type) =>
  eventTrigger({
    key: type.name.replace('.', '_'),
    noun: words(type.name.split('.')[0]).join(' '),
    label: words(type.name).join(' '),
    description: `Triggers when this happens: ${type.description.replace(/\.$/, '').toLowerCase()}.`,
    types: () => [type.name],
    sample: sampleOf(type),
  }),
);
