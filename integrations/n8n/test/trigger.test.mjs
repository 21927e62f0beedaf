// The compiled node against a running server: what n8n calls is called with what n8n gives, and
// requests are really made. TIDINGS_URL and TIDINGS_API_KEY say where and with which key;
// `cargo xtask test` sets both.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

const require = createRequire(import.meta.url);
const { TidingsTrigger } = require('../dist/nodes/TidingsTrigger/TidingsTrigger.node.js');
const { TidingsApi } = require('../dist/credentials/TidingsApi.credentials.js');
const { isGenuine } = require('../dist/nodes/TidingsTrigger/signature.js');
const { default: manifest } = await import('../package.json', { with: { type: 'json' } });

const credentials = { baseUrl: process.env.TIDINGS_URL, apiKey: process.env.TIDINGS_API_KEY };
assert.ok(credentials.baseUrl && credentials.apiKey, 'set TIDINGS_URL and TIDINGS_API_KEY');

const node = new TidingsTrigger();
const { checkExists, create, delete: remove } = node.webhookMethods.default;

let waiting;
const hook = createServer((request, response) => {
	const chunks = [];
	request.on('data', (chunk) => chunks.push(chunk));
	request.on('end', () => {
		response.writeHead(200).end();
		waiting?.({ headers: request.headers, rawBody: Buffer.concat(chunks) });
	});
});
before(() => new Promise((resolve) => hook.listen(0, '127.0.0.1', resolve)));
after(() => hook.close());

// What n8n's own helper does: the credential's header, and the answer whole.
async function httpRequestWithAuthentication(name, { method, url, body }) {
	const credential = new TidingsApi();
	assert.equal(name, credential.name);
	const headers = { 'Content-Type': 'application/json' };
	for (const [field, value] of Object.entries(credential.authenticate.properties.headers)) {
		headers[field] = value.replace('={{$credentials.apiKey}}', credentials.apiKey);
	}
	const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
	const text = await response.text();
	return { statusCode: response.status, body: text ? JSON.parse(text) : undefined };
}

function stage({ eventTypes = [], patterns = '' } = {}, data = {}) {
	const parameters = { eventTypes, patterns };
	return {
		data,
		getCredentials: async () => credentials,
		getNodeParameter: (name) => parameters[name],
		getNodeWebhookUrl: () => `http://127.0.0.1:${hook.address().port}/webhook`,
		getWorkflow: () => ({ id: 'w1', name: 'Welcome' }),
		getWorkflowStaticData: () => data,
		helpers: {
			httpRequestWithAuthentication,
			returnJsonArray: (body) => [{ json: body }],
		},
	};
}

const call = (method, path, body) =>
	httpRequestWithAuthentication('tidingsApi', {
		method,
		url: `${credentials.baseUrl}/api/v1/${path}`,
		body,
	});

test('what the manifest names was built', () => {
	for (const file of [...manifest.n8n.nodes, ...manifest.n8n.credentials]) {
		assert.ok(require(`../${file}`), file);
	}
});

test('the picker lists the types of the catalog', async () => {
	const options = await node.methods.loadOptions.getEventTypes.call(stage());
	assert.ok(options.some(({ value }) => value === 'client.created'));
});

test('activation subscribes, a delivery is verified, deactivation unsubscribes', async () => {
	const workflow = stage({ eventTypes: ['client.created'], patterns: 'invoice.*, ' });
	assert.equal(await checkExists.call(workflow), false);
	assert.equal(await create.call(workflow), true);
	assert.equal(await checkExists.call(workflow), true);
	const made = await call('GET', `webhooks/subscriptions/${workflow.data.subscriptionId}`);
	assert.equal(made.body.managedBy, 'n8n');
	assert.deepEqual(made.body.eventTypes, ['client.created', 'invoice.*']);

	const delivered = new Promise((resolve) => (waiting = resolve));
	await call('POST', 'events', { type: 'invoice.created', payload: { invoice_id: 'in_1' } });
	const request = await delivered;
	const answers = [];
	const response = {
		status: (code) => (answers.push(code), response),
		send: () => response,
		end: () => response,
	};
	const receive = (rawBody) =>
		node.webhook.call({
			...workflow,
			getRequestObject: () => ({ ...request, rawBody }),
			getResponseObject: () => response,
			getBodyData: () => JSON.parse(rawBody),
		});
	const { workflowData } = await receive(request.rawBody);
	assert.equal(workflowData[0][0].json.payload.invoice_id, 'in_1');
	assert.deepEqual(answers, []);
	const forged = await receive(Buffer.from(String(request.rawBody).replace('in_1', 'in_2')));
	assert.deepEqual(forged, { noWebhookResponse: true });
	assert.deepEqual(answers, [401]);

	const id = workflow.data.subscriptionId;
	assert.equal(await remove.call(workflow), true);
	assert.deepEqual(workflow.data, {});
	assert.equal((await call('GET', `webhooks/subscriptions/${id}`)).statusCode, 404);
	assert.equal(await remove.call(workflow), true);
});

test('a subscription that is not as wanted any more is made anew', async () => {
	const first = stage({ eventTypes: ['client.created'] });
	await create.call(first);
	const changed = stage({ eventTypes: ['lead.created'] }, first.data);
	assert.equal(await checkExists.call(changed), false);
	await create.call(changed);
	assert.equal(await checkExists.call(changed), true);
	await remove.call(changed);
});

test('what is wrong is said in the server’s words', async () => {
	await assert.rejects(create.call(stage({ patterns: 'no type' })), /eventTypes/);
});

test('an old delivery is not taken again', () => {
	assert.equal(isGenuine('whsec_AAAA', { 'webhook-timestamp': '1' }, Buffer.from(''), 1000), false);
});
