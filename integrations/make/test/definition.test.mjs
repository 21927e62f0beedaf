// The definition against a running server's own description: every request is one that the server
// takes, with parameters and fields that it knows. TIDINGS_URL says where it is.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('..', import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, folder), 'utf8'));
const parts = ['connections', 'webhooks', 'modules', 'rpcs'].flatMap((kind) =>
	readdirSync(new URL(kind, folder)).map((file) => [`${kind}/${file}`, read(`${kind}/${file}`)]),
);
const response = await fetch(`${process.env.TIDINGS_URL}/api/v1/openapi.json`);
const { paths, components } = await response.json();

const resolve = (schema) => {
	const name = schema?.$ref?.split('/').at(-1);
	return name ? components.schemas[name] : schema;
};

test('every request is one that the server takes', () => {
	let requests = 0;
	for (const [file, part] of parts) {
		for (const request of [part.api, part.attach, part.detach].filter((one) => one?.url)) {
			const path = request.url
				.replace('{{parameters.baseUrl}}/api/v1', '')
				.replace(/\{\{[^}]+\}\}/g, '{id}');
			const operation = paths[`/api/v1${path}`]?.[request.method.toLowerCase()];
			assert.ok(operation, `${file}: ${request.method} ${path}`);
			const known = (operation.parameters ?? []).map(({ name }) => name);
			for (const name of Object.keys(request.qs ?? {})) assert.ok(known.includes(name), name);
			const body = operation.requestBody?.content['application/json'].schema;
			const fields = Object.keys(resolve(body)?.properties ?? {});
			for (const name of Object.keys(request.body ?? {})) assert.ok(fields.includes(name), name);
			requests += 1;
		}
	}
	assert.equal(requests, 6);
});

test('parts name parts that exist', () => {
	const names = (kind) =>
		parts
			.filter(([file]) => file.startsWith(`${kind}/`))
			.map(([file]) => file.split('/')[1].replace('.json', ''));
	for (const [file, part] of parts) {
		if (part.connection) assert.ok(names('connections').includes(part.connection), file);
		if (part.webhook) assert.ok(names('webhooks').includes(part.webhook), file);
		for (const [, rpc] of JSON.stringify(part).matchAll(/rpc:\/\/(\w+)/g)) {
			assert.ok(names('rpcs').includes(rpc), `${file}: ${rpc}`);
		}
	}
});

test('the key is kept out of logs', () => {
	assert.deepEqual(read('base.json').log.sanitize, ['request.headers.x-api-key']);
});
