// Makes a trigger for events: a REST hook that subscribes when a Zap is switched on and
// unsubscribes when it is switched off.
'use strict';

const { url } = require('./api');
const { isGenuine } = require('./signature');

// Events that a user is shown as examples.
const EXAMPLES = 3;

const zapOf = (bundle) => (bundle.meta && bundle.meta.zap && bundle.meta.zap.id) || 'unknown';

const eventTrigger = ({ key, noun, label, description, types, inputFields = [], sample }) => {
  const subscribe = async (z, bundle) => {
    const { data } = await z.request({
      method: 'POST',
      url: url(bundle, 'webhooks/subscriptions'),
      body: {
        url: bundle.targetUrl,
        eventTypes: types(bundle),
        managedBy: 'zapier',
        description: `Zap ${zapOf(bundle)}`,
      },
    });
    return { id: data.id, secret: data.secret };
  };

  // One that is gone already is what was wanted.
  const unsubscribe = async (z, bundle) => {
    const { id } = bundle.subscribeData;
    const response = await z.request({
      method: 'DELETE',
      url: url(bundle, `webhooks/subscriptions/${encodeURIComponent(id)}`),
      skipThrowForStatus: true,
    });
    if (response.status !== 204 && response.status !== 404) response.throwForStatus();
    return { id };
  };

  const perform = (z, bundle) => {
    const { secret } = bundle.subscribeData || {};
    const { headers = {}, content = '' } = bundle.rawRequest || {};
    if (secret && !isGenuine(secret, headers, content)) {
      throw new z.errors.HaltedError('The signature is not that of Tidings; the event is left out.');
    }
    return [bundle.cleanedRequest];
  };

  // While a Zap is made: the newest events, or an example where there is none yet.
  const list = async (z, bundle) => {
    const { data } = await z.request({
      url: url(bundle, 'events'),
      params: { type: types(bundle).join(','), order: 'desc', limit: EXAMPLES },
    });
    return data.length > 0 ? data : [sample];
  };

  return {
    key,
    noun,
    display: { label, description },
    operation: {
      type: 'hook',
      inputFields,
      performSubscribe: subscribe,
      performUnsubscribe: unsubscribe,
      perform,
      performList: list,
      sample,
      outputFields: [
        { key: 'id', label: 'Event ID', type: 'string' },
        { key: 'type', label: 'Event type', type: 'string' },
        { key: 'createdUtc', label: 'Created', type: 'datetime' },
        { key: 'companyId', label: 'Company', type: 'string' },
      ],
    },
  };
};

module.exports = eventTrigger;
