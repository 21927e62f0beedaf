// The AsyncAPI document by AsyncAPI's own parser. TIDINGS_URL and TIDINGS_API_KEY say where and with
// which key; `cargo xtask test` sets both.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Parser } from '@asyncapi/parser';

const { TIDINGS_URL: url, TIDINGS_API_KEY: key } = process.env;
const headers = { 'X-Api-Key': key };
const get = async (path) => (await fetch(`${url}/api/v1/${path}`, { headers })).text();
const text = await get('asyncapi.json');
const problems = (diagnostics) =>
	diagnostics.filter(({ severity }) => severity === 0).map(({ message, path }) => `${path}: ${message}`);

test('the parser finds no error, and a message for each type', async () => {
	const { document, diagnostics } = await new Parser().parse(text);
	assert.deepEqual(problems(diagnostics), []);
	const types = JSON.parse(await get('event-types')).map(({ name }) => name);
	const messages = document.messages().all().map((message) => message.name());
	assert.deepEqual(messages.sort(), types.sort());
});

test('a broken document is found', async () => {
	const broken = JSON.parse(text);
	broken.operations.deliver.action = 'shout';
	const { diagnostics } = await new Parser().parse(JSON.stringify(broken));
	assert.notEqual(problems(diagnostics).length, 0);
});

test('examples are what their schema says', async () => {
	const { messages } = JSON.parse(text).components;
	for (const [name, message] of Object.entries(messages)) {
		const [{ payload }] = message.examples ?? [{ payload: { type: name } }];
		assert.equal(payload.type, message.payload.properties.type.const);
	}
});
