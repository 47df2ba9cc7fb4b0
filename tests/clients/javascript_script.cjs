// Batches as @microsoft/microsoft-graph-client documents them (docs/content/Batching.md), in parallel and as a chain.
// The argument is a JSON object with url, token, user and the ids to use; prints what it was told.
const { Client, BatchRequestContent, BatchResponseContent, PageIterator } = require("@microsoft/microsoft-graph-client");

const task = JSON.parse(process.argv[2]);
// Node's own Request takes absolute addresses only; the client strips the host again.
const contacts = `https://graph.microsoft.com/users/${task.user}/contacts`;
const client = Client.init({
	baseUrl: `${task.url}/`,
	customHosts: new Set([new URL(task.url).hostname]),
	authProvider: (done) => done(null, task.token),
});

async function told(response) {
	const text = await response.text();
	return { status: response.status, ok: response.ok, headers: Object.fromEntries(response.headers), body: text ? JSON.parse(text) : null };
}

async function parallelBatching() {
	const batchRequestContent = new BatchRequestContent();
	batchRequestContent.addRequest({ id: "read", request: new Request(`${contacts}/${task.read}`, { method: "GET" }) });
	batchRequestContent.addRequest({ id: "list", request: new Request(`${contacts}?$top=1000&$select=id`, { method: "GET" }) });
	batchRequestContent.addRequest({ id: "delete", request: new Request(`${contacts}/${task.delete}`, { method: "DELETE" }) });
	batchRequestContent.addRequest({ id: "absent", request: new Request(`${contacts}/nobody`, { method: "DELETE" }) });
	batchRequestContent.addRequest({
		id: "purge",
		request: new Request(`${contacts}/${task.purge}/permanentDelete`, {
			method: "POST",
			headers: { "Content-type": "application/json" },
			body: JSON.stringify({}),
		}),
	});
	const content = await batchRequestContent.getContent();
	const response = await client.api("/$batch").post(content);
	const batchResponse = new BatchResponseContent(response);
	const items = {};
	const iterator = batchResponse.getResponsesIterator();
	let data = iterator.next();
	while (!data.done) {
		items[data.value[0]] = await told(data.value[1]);
		data = iterator.next();
	}
	return items;
}

async function serialBatching() {
	const steps = task.many.map((contact, index) => ({
		id: String(index + 1),
		request: new Request(`${contacts}/${contact}`, { method: "DELETE" }),
		...(index ? { dependsOn: [String(index)] } : {}),
	}));
	const content = await new BatchRequestContent(steps).getContent();
	const response = await client.api("/$batch").post(content);
	const batchResponseContent = new BatchResponseContent(response);
	return steps.map((step) => batchResponseContent.getResponseById(step.id).status);
}

async function everyPage() {
	const seen = [];
	const first = await client.api(`/users/${task.user}/contacts`).select("id").get();
	const iterator = new PageIterator(client, first, (contact) => seen.push(contact.id) > 0);
	await iterator.iterate();
	return seen.length;
}

async function refusal() {
	try {
		return await client.api(`/users/${task.user}/contacts/nobody`).get();
	} catch (error) {
		return { status: error.statusCode, code: error.code, message: error.message, requestId: error.requestId };
	}
}

(async () => {
	const items = await parallelBatching();
	const chain = await serialBatching();
	console.log(JSON.stringify({ items, chain, pages: await everyPage(), refusal: await refusal() }));
})();
