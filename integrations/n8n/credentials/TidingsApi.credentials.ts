// Where Tidings is and who calls: an API key of a company.
import type {
	IAuthenticateGeneric,
	ICredentialTestRequest,
	ICredentialType,
	INodeProperties,
} from 'n8n-workflow';

export class TidingsApi implements ICredentialType {
	name = 'tidingsApi';

	displayName = 'Tidings API';

	documentationUrl = 'https://www.standardwebhooks.com/';

	properties: INodeProperties[] = [
		{
			displayName: 'Address of Tidings',
			name: 'baseUrl',
			type: 'string',
			default: '',
			placeholder: 'https://tidings.example.com',
			required: true,
		},
		{
			displayName: 'API Key',
			name: 'apiKey',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description:
				'A key of the company, with the scopes events:read and webhooks:write; made in the portal under API keys',
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { 'X-Api-Key': '={{$credentials.apiKey}}' } },
	};

	test: ICredentialTestRequest = {
		request: { baseURL: '={{$credentials.baseUrl}}', url: '/api/v1/me' },
	};
}
