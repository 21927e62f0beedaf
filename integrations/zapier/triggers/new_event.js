// The trigger for any events: the user picks the types.
'use strict';

const eventTrigger = require('../lib/event_trigger');
const { types: catalog, sampleOf } = require('../lib/catalog');

module.exports = eventTrigger({
  key: 'new_event',
  noun: 'Event',
  label: 'New Event',
  description: 'Triggers when an event of one of the chosen types happens.',
  types: (bundle) => {
    const chosen = bundle.inputData.eventTypes || [];
    return chosen.length > 0 ? chosen : ['*'];
  },
  inputFields: [
    {
      key: 'eventTypes',
      label: 'Event types',
      type: 'string',
      list: true,
      required: false,
      dynamic: 'event_type_list.id.name',
      helpText:
        'Leave it empty for every event. Besides single types, wildcards such as `client.*` work: choose **Custom**.',
    },
  ],
  sample: sampleOf(catalog[0]),
});
