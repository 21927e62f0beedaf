// Feeds the picker of event types; no trigger that a user sees.
'use strict';

const { url } = require('../lib/api');

const perform = async (z, bundle) => {
  const { data } = await z.request(url(bundle, 'event-types'));
  return data.filter((type) => !type.deprecated).map(({ name }) => ({ id: name, name }));
};

module.exports = {
  key: 'event_type_list',
  noun: 'Event Type',
  display: {
    label: 'List of Event Types',
    description: 'Feeds the picker of event types.',
    hidden: true,
  },
  operation: { perform, sample: { id: 'client.created', name: 'client.created' } },
};
