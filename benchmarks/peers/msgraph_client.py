"""Purge with msgraph-sdk: batches of 20 by `BatchRequestContent`, one after another or by several workers at once.

A careful user would write it so from the SDK's documentation and samples, and from Graph's page on throttling and
batching. The SDK's own middleware repeats whole calls (429, 503, 504). The script repeats rows that were refused
inside a batch, after the longest ``Retry-After``, and calls that broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from azure.core.credentials import AccessToken
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from benchmarks.peers.task import ATTEMPTS, FOR_NOW, Task, backoff_s, read_task, wait_in


class StaticToken:
    """A credential that has its token already."""

    def __init__(self, token: str) -> None:
        self._token = AccessToken(token, 4_102_444_800)

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the token, for any scope."""
        return self._token


class Deed(BatchRequestItem):
    """A POST without parameters. Graph refuses a batch in which one has no body, and the SDK cannot write an empty object."""

    def serialize(self, writer: Any) -> None:
        """Write the item and the empty object."""
        super().serialize(writer)
        writer.write_additional_data_value({"body": {}})


def open_client(url: str, token: str) -> GraphServiceClient:
    """Return a client for this service."""
    provider = AzureIdentityAuthenticationProvider(StaticToken(token), scopes=["https://graph.microsoft.com/.default"])
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{url}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


def items_of(client: GraphServiceClient, task: Task, numbers: list[int]) -> Iterator[Deed]:
    """Yield a sub-request for each row. Its id is the number of the row."""
    for number in numbers:
        user, _, contact = task.rows[number]
        builder = client.users.by_user_id(user).contacts.by_contact_id(contact)
        information = builder.permanent_delete.to_post_request_information()
        information.headers.add("Content-Type", "application/json")
        item = Deed(information, id=str(number))
        item.url = (
            f"/users/{user}/contacts/{contact}/permanentDelete"  # the SDK leaves the absolute URL, which Graph refuses
        )
        yield item


async def purge(client: GraphServiceClient, task: Task, chunk: range) -> None:
    """Send one batch until every row of it has a final answer, or the attempts are used up."""
    pending = list(chunk)
    for attempt in range(ATTEMPTS):
        batch = BatchRequestContent({item.id: item for item in items_of(client, task, pending)})
        wait_s = backoff_s(attempt)
        try:
            answer = await client.batch.post(batch)
        except Exception:  # an APIError, an error of httpx, or of parsing half an answer
            for number in pending:
                task.told[number] = None  # an earlier answer may no longer be true
        else:
            waits_s = []
            for item in (answer.responses or {}).values():
                task.told[int(item.id)] = item.status
                headers = {name.lower(): value for name, value in (item.headers or {}).items()}
                asked_s = wait_in(headers.get("retry-after", ""))
                if item.status in FOR_NOW and asked_s is not None:
                    waits_s.append(asked_s)
            pending = [number for number in pending if task.told[number] is None or task.told[number] in FOR_NOW]
            wait_s = max(waits_s, default=wait_s)
        if not pending:
            return
        await asyncio.sleep(wait_s)


async def main() -> None:
    """Send all batches, by as many workers as there are connections."""
    task = read_task()
    client = open_client(task.url, task.token)
    waiting = iter(task.chunks())

    async def worker() -> None:
        for chunk in waiting:
            await purge(client, task, chunk)

    await asyncio.gather(*(worker() for _ in range(task.connections)))
    task.report()


if __name__ == "__main__":
    asyncio.run(main())
