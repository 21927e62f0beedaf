// Whether a delivery is from Tidings and recent: Standard Webhooks 1.0.0.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** How far the time of a delivery may be off, in seconds. */
const TOLERANCE_SECONDS = 5 * 60;

const keyOf = (secret: string): Buffer =>
	secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);

export function isGenuine(
	secret: string,
	headers: IncomingHttpHeaders,
	body: Buffer,
	nowSeconds: number,
): boolean {
	const field = (name: string) => String(headers[name] ?? '');
	const timestamp = field('webhook-timestamp');
	if (!/^\d+$/.test(timestamp)) return false;
	if (Math.abs(nowSeconds - Number(timestamp)) > TOLERANCE_SECONDS) return false;
	const expected = createHmac('sha256', keyOf(secret))
		.update(`${field('webhook-id')}.${timestamp}.`)
		.update(body)
		.digest();
	return field('webhook-signature')
		.split(' ')
		.filter((one) => one.startsWith('v1,'))
		.map((one) => Buffer.from(one.slice(3), 'base64'))
		.some((given) => given.length === expected.length && timingSafeEqual(given, expected));
}
