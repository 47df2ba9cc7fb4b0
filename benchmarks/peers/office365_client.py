"""Purge with office365-rest-python-client: `execute_batch`, one batch after another or by several threads at once.

A careful user would write it so from the library's documentation. The library itself repeats temporary refusals five
times, and waits as told; `collect_batch_failures` tells which rows failed in the end. Each batch is executed alone,
because an exception ends everything in one `execute_batch`. Rows that failed for now, and rows of calls that broke, are
sent again by the script, as in the script of the other client.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

from office365.azure_env import _ENDPOINTS, AzureEnvironment
from office365.graph_client import GraphClient
from office365.runtime.odata.v4.batch_request import ODataV4BatchRequest

from benchmarks.peers.task import ATTEMPTS, FOR_NOW, ITEMS, Task, backoff_s, read_task

PURGED = 204


def give_bodies() -> None:
    """Write an empty object for actions without parameters. Graph refuses a batch in which a POST has no body."""
    write = ODataV4BatchRequest._normalize_request

    def with_body(*arguments: Any) -> dict[str, Any]:
        written: dict[str, Any] = write(*arguments)
        written.setdefault("body", {})
        written["headers"] = {"Content-Type": "application/json", **written["headers"]}
        return written

    ODataV4BatchRequest._normalize_request = staticmethod(with_body)


class Purger(local):
    """Sends batches by a client that each thread has for itself, and opens another one when something broke."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._client: GraphClient | None = None

    def purge(self, chunk: range) -> None:
        """Send one batch until every row of it has a final answer, or the attempts are used up."""
        task, pending = self._task, list(chunk)
        for attempt in range(ATTEMPTS):
            self._client = self._client or open_client(task.token)
            if not send(self._client, task, pending):
                self._client = None
            pending = [number for number in pending if task.told[number] is None or task.told[number] in FOR_NOW]
            if not pending:
                return
            time.sleep(backoff_s(attempt))


def open_client(token: str) -> GraphClient:
    """Return a client that has its token already."""
    return GraphClient(token_callback=lambda: {"token_type": "Bearer", "access_token": token})


def send(client: GraphClient, task: Task, rows: list[int]) -> bool:
    """Send rows as one batch, and keep the last answer to each. Return False if something broke."""
    numbers = {}
    for number in rows:
        task.told[number] = None  # an earlier answer may no longer be true
        user, _, contact = task.rows[number]
        client.users[user].contacts[contact].permanent_delete()
        numbers[id(client.last_query)] = number
    with client.collect_batch_failures() as failures:
        try:
            client.execute_batch(items_per_batch=ITEMS)
        except Exception:  # a connection that broke too often, or half an answer: nobody knows how far it came
            return False
        for number in rows:
            task.told[number] = PURGED
        for query, error in failures:
            task.told[numbers[id(query)]] = error.response.status_code if error.response is not None else None
    return True


def main() -> None:
    """Send all batches, by as many threads as there are connections."""
    task = read_task()
    _ENDPOINTS[AzureEnvironment.Global]["graph"] = task.url
    give_bodies()
    with ThreadPoolExecutor(task.connections) as threads:
        list(threads.map(Purger(task).purge, task.chunks()))
    task.report()


if __name__ == "__main__":
    main()
