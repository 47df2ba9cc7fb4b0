"""A script that sends batches as the samples of msgraph-core do, with the client of msgraph-sdk.

Its argument is a JSON object with ``url``, ``token``, ``user`` and the ids to use. It prints the answers as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from azure.core.credentials import AccessToken
from kiota_abstractions.headers_collection import HeadersCollection as RequestHeaders
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_content_collection import BatchRequestContentCollection
from msgraph_core.requests.batch_request_item import BatchRequestItem

FAR = 4_102_444_800


class StaticToken:
    """A credential with a ready token."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, FAR)

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return self._token


def request(method: str, url: str, content: bytes | None = None) -> RequestInformation:
    """Return a request as in batch_request_with_content.py of the samples."""
    information = RequestInformation()
    information.http_method = method
    information.url = url
    information.headers = RequestHeaders()
    information.headers.add("Content-Type", "application/json")
    if content is not None:
        information.content = content
    return information


def told(response: Any) -> dict[str, Any]:
    """Return what the client shows of a sub-response. Its current release gives no body that is a JSON object."""
    return {"status": response.status, "headers": response.headers, "content_type": response.content_type}


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Send a batch with every kind of request, a collection that is split, and a single request."""
    provider = AzureIdentityAuthenticationProvider(
        StaticToken(task["token"]), scopes=["https://graph.microsoft.com/.default"]
    )
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{task['url']}/v1.0"
    client = GraphServiceClient(request_adapter=adapter)
    contacts = f"/users/{task['user']}/contacts"

    items = [
        BatchRequestItem(request("GET", "/me"), id="me"),
        BatchRequestItem(request("GET", "/users"), id="users"),
        BatchRequestItem(request("GET", f"{contacts}?$top=1000"), id="list"),
        BatchRequestItem(request("GET", f"{contacts}/{task['read']}"), id="read"),
        BatchRequestItem(request("DELETE", f"{contacts}/{task['delete']}"), id="delete"),
        BatchRequestItem(request("POST", f"{contacts}/{task['purge']}/permanentDelete", b"{}"), id="purge"),
        BatchRequestItem(request("DELETE", f"{contacts}/nobody"), id="absent"),
    ]
    content = BatchRequestContent({item.id: item for item in items})
    answer = await BatchRequestBuilder(adapter).post(batch_request_content=content)

    collection = BatchRequestContentCollection()
    for number, contact in enumerate(task["many"]):
        collection.add_batch_request_item(BatchRequestItem(request("DELETE", f"{contacts}/{contact}"), id=str(number)))
    answers = await client.batch.post(batch_request_content=collection)

    page = await client.users.by_user_id(task["user"]).contacts.get()
    return {
        "items": {name: told(response) for name, response in answer.responses.items()},
        "status_codes": answer.get_response_status_codes(),
        "collection": [one.get_response_status_codes() for one in answers.get_responses()],
        "page": [len(page.value), page.odata_next_link],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
