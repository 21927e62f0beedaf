// Who calls: an API key of a company, with the scopes events:read, events:write and
// webhooks:write.
'use strict';

const { url } = require('./lib/api');

const test = async (z, bundle) => {
  const { data } = await z.request(url(bundle, 'me'));
  if (!data.companyId) {
    throw new z.errors.Error(
      'This key belongs to the platform, not to a company. Use an API key of the company whose events you want.',
      'AuthenticationError',
      403,
    );
  }
  return data;
};

module.exports = {
  type: 'custom',
  test,
  connectionLabel: '{{companyId}} ({{name}})',
  fields: [
    {
      key: 'baseUrl',
      label: 'Address of Tidings',
      type: 'string',
      required: true,
      placeholder: 'https://tidings.example.com',
      helpText: 'Where your Tidings server is reached, as in its portal’s address.',
    },
    {
      key: 'apiKey',
      label: 'API key',
      type: 'password',
      required: true,
      helpText:
        'Make one in the portal under **API keys**, with the scopes `events:read`, `events:write` and `webhooks:write`. It begins with `tdg_`.',
    },
  ],
};
