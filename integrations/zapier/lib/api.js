// Speaking to a Tidings server: where it is, and what its errors say.
'use strict';

// The server's address as the user gave it, without what stands behind the host.
const baseUrl = (bundle) => {
  const given = (bundle.authData.baseUrl || '').trim();
  return given.replace(/\/+$/, '').replace(/\/api\/v1$/, '');
};

const url = (bundle, path) => `${baseUrl(bundle)}/api/v1/${path}`;

// Before each request: the key.
const withKey = (request, z, bundle) => {
  if (bundle.authData && bundle.authData.apiKey) {
    request.headers['X-Api-Key'] = bundle.authData.apiKey.trim();
  }
  return request;
};

// What an RFC 9457 problem says: the detail, and each field with its rule.
const sentence = (problem, status) => {
  const errors = (problem.errors || []).map(({ pointer, detail }) => `${pointer} ${detail}`);
  const parts = [problem.detail || problem.title || `The server answered ${status}`, ...errors];
  return parts.join('; ');
};

// After each request: errors in the server's own words.
const explainErrors = (response, z) => {
  if (response.status < 400 || response.skipThrowForStatus) return response;
  let problem = {};
  try {
    problem = JSON.parse(response.content) || {};
  } catch {
    // What is no JSON, a proxy's page for example, says nothing to a user.
  }
  const said = sentence(problem, response.status);
  if (response.status === 401) {
    throw new z.errors.Error(`${said}. Check the API key.`, 'AuthenticationError', 401);
  }
  if (response.status === 429 || response.status === 503) {
    const seconds = Number(response.getHeader('retry-after')) || 60;
    throw new z.errors.ThrottledError(said, seconds);
  }
  throw new z.errors.Error(said, problem.code || 'TidingsError', response.status);
};

module.exports = { url, withKey, explainErrors };
