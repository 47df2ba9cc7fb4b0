"""Purge with office365-rest-python-client: `execute_batch`, one batch after another or by several threads at once.

A careful user would write it so from the library's documentation. The library itself repeats temporary refusals five
times, and waits as told; `collect_batch_failures` tells which rows failed in the end. Each batch is executed alone,
because an exception ends everything in one `execute_batch`. Each thread has a client of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

from office365.azure_env import _ENDPOINTS, AzureEnvironment
from office365.graph_client import GraphClient
from office365.runtime.odata.v4.batch_request import ODataV4BatchRequest

from benchmarks.peers.task import ITEMS, Task, read_task

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


def purge(client: GraphClient, task: Task, chunk: range) -> None:
    """Send one batch, and keep the last answer to each row."""
    numbers = {}
    for number in chunk:
        user, _, contact = task.rows[number]
        client.users[user].contacts[contact].permanent_delete()
        numbers[id(client.last_query)] = number
    with client.collect_batch_failures() as failures:
        try:
            client.execute_batch(items_per_batch=ITEMS)
        except Exception:  # a connection that broke too often, or half an answer: nobody knows how far it came
            pass
        else:
            for number in chunk:
                task.told[number] = PURGED
        for query, error in failures:
            task.told[numbers[id(query)]] = error.response.status_code if error.response is not None else None


def main() -> None:
    """Send all batches, by as many threads as there are connections."""
    task = read_task()
    _ENDPOINTS[AzureEnvironment.Global]["graph"] = task.url
    give_bodies()
    own = local()

    def work(chunk: range) -> None:
        if not hasattr(own, "client"):
            own.client = GraphClient(token_callback=lambda: {"token_type": "Bearer", "access_token": task.token})
        purge(own.client, task, chunk)

    with ThreadPoolExecutor(task.connections) as threads:
        list(threads.map(work, task.chunks()))
    task.report()


if __name__ == "__main__":
    main()
