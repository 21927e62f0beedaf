// The trigger: subscribes when a workflow is activated, verifies what arrives, unsubscribes when the
// workflow is deactivated.
import type {
	IDataObject,
	IHookFunctions,
	IHttpRequestOptions,
	ILoadOptionsFunctions,
	INodePropertyOptions,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';

import { isGenuine } from './signature';

type Caller = IHookFunctions | ILoadOptionsFunctions;

interface Answer {
	statusCode: number;
	body: IDataObject | IDataObject[];
}

const SUBSCRIPTIONS = 'webhooks/subscriptions';

async function call(
	caller: Caller,
	method: 'GET' | 'POST' | 'DELETE',
	path: string,
	body?: IDataObject,
): Promise<Answer> {
	const { baseUrl } = await caller.getCredentials('tidingsApi');
	const options: IHttpRequestOptions = {
		method,
		url: `${String(baseUrl).replace(/\/+$/, '')}/api/v1/${path}`,
		body,
		json: true,
		returnFullResponse: true,
		ignoreHttpStatusErrors: true,
	};
	const answer = (await caller.helpers.httpRequestWithAuthentication.call(
		caller,
		'tidingsApi',
		options,
	)) as Answer;
	return answer;
}

/** What went wrong, in the server's words (RFC 9457). */
function refusal(answer: Answer): Error {
	const problem = (Array.isArray(answer.body) ? {} : (answer.body ?? {})) as {
		detail?: string;
		errors?: Array<{ pointer: string; detail: string }>;
	};
	const fields = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
	const said = [problem.detail ?? `Tidings answered ${answer.statusCode}`, ...fields];
	return new Error(said.join('; '));
}

function chosenTypes(caller: IHookFunctions): string[] {
	const picked = caller.getNodeParameter('eventTypes', []) as string[];
	const patterns = (caller.getNodeParameter('patterns', '') as string)
		.split(',')
		.map((pattern) => pattern.trim())
		.filter((pattern) => pattern !== '');
	const types = [...picked, ...patterns];
	return types.length > 0 ? types : ['*'];
}

export class TidingsTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Tidings Trigger',
		name: 'tidingsTrigger',
		icon: 'file:tidings.svg',
		group: ['trigger'],
		version: 1,
		description: 'Starts the workflow when an event happens',
		defaults: { name: 'Tidings Trigger' },
		inputs: [],
		outputs: ['main'],
		credentials: [{ name: 'tidingsApi', required: true }],
		webhooks: [
			{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'webhook' },
		],
		properties: [
			{
				displayName: 'Event Type Names or IDs',
				name: 'eventTypes',
				type: 'multiOptions',
				typeOptions: { loadOptionsMethod: 'getEventTypes' },
				default: [],
				description:
					'Which events start the workflow; none for all of them. Choose from the list, or specify IDs using an <a href="https://docs.n8n.io/code/expressions/">expression</a>.',
			},
			{
				displayName: 'Patterns',
				name: 'patterns',
				type: 'string',
				default: '',
				placeholder: 'client.*, invoice.*',
				description: 'More types, separated by commas; a star stands for all below',
			},
		],
	};

	methods = {
		loadOptions: {
			async getEventTypes(this: ILoadOptionsFunctions): Promise<INodePropertyOptions[]> {
				const answer = await call(this, 'GET', 'event-types');
				if (answer.statusCode !== 200) throw refusal(answer);
				return (answer.body as IDataObject[])
					.filter(({ deprecated }) => !deprecated)
					.map(({ name, description }) => ({
						name: String(name),
						value: String(name),
						description: String(description ?? ''),
					}));
			},
		},
	};

	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				const data = this.getWorkflowStaticData('node');
				if (!data.subscriptionId) return false;
				const path = `${SUBSCRIPTIONS}/${String(data.subscriptionId)}`;
				const answer = await call(this, 'GET', path);
				if (answer.statusCode === 404) return false;
				if (answer.statusCode !== 200) throw refusal(answer);
				const found = answer.body as IDataObject;
				const wanted = [...chosenTypes(this)].sort().join();
				const same =
					found.enabled === true &&
					found.url === this.getNodeWebhookUrl('default') &&
					[...(found.eventTypes as string[])].sort().join() === wanted;
				// One that is not as wanted any more is made anew.
				if (!same) await call(this, 'DELETE', path);
				return same;
			},

			async create(this: IHookFunctions): Promise<boolean> {
				const workflow = this.getWorkflow();
				const answer = await call(this, 'POST', SUBSCRIPTIONS, {
					url: this.getNodeWebhookUrl('default'),
					eventTypes: chosenTypes(this),
					managedBy: 'n8n',
					description: `n8n workflow ${workflow.name ?? ''} (${workflow.id ?? 'not saved'})`,
				});
				if (answer.statusCode !== 201) throw refusal(answer);
				const made = answer.body as IDataObject;
				const data = this.getWorkflowStaticData('node');
				data.subscriptionId = made.id;
				data.secret = made.secret;
				return true;
			},

			async delete(this: IHookFunctions): Promise<boolean> {
				const data = this.getWorkflowStaticData('node');
				if (!data.subscriptionId) return true;
				const path = `${SUBSCRIPTIONS}/${String(data.subscriptionId)}`;
				const answer = await call(this, 'DELETE', path);
				// One that never was is what was wanted, too.
				if (answer.statusCode !== 204 && answer.statusCode !== 404) return false;
				delete data.subscriptionId;
				delete data.secret;
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const { secret } = this.getWorkflowStaticData('node');
		const request = this.getRequestObject();
		const nowSeconds = Math.floor(Date.now() / 1000);
		if (!secret || !isGenuine(String(secret), request.headers, request.rawBody, nowSeconds)) {
			this.getResponseObject().status(401).send('The signature is not that of Tidings.').end();
			return { noWebhookResponse: true };
		}
		return { workflowData: [this.helpers.returnJsonArray(this.getBodyData())] };
	}
}
