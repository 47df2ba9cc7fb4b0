"""A script that sends batches as office365-rest-python-client documents them (2.3.2, `GraphClient.execute_batch`).

Its argument is a JSON object with ``url``, ``token``, ``user`` and the ids to use. It prints the answers as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from office365.azure_env import _ENDPOINTS, AzureEnvironment
from office365.graph_client import GraphClient


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Send a batch that reads, one that deletes, and one that is a chain in which a row fails."""
    _ENDPOINTS[AzureEnvironment.Global]["graph"] = task["url"]
    client = GraphClient(token_callback=lambda: {"token_type": "Bearer", "access_token": task["token"]})

    user = client.users[task["user"]].get()
    contacts = client.users[task["user"]].contacts.top(1000).get()
    contact = client.users[task["user"]].contacts[task["read"]].get()
    client.execute_batch()

    for name in task["many"]:
        client.users[task["user"]].contacts[name].delete_object()
    client.execute_batch()

    client.users[task["user"]].contacts[task["delete"]].delete_object()
    client.users[task["user"]].contacts[task["delete"]].get()
    client.users[task["user"]].contacts[task["read"]].get()
    with client.collect_batch_failures() as failures:
        client.execute_batch(sequential=True)

    client.users[task["user"]].contacts[task["purge"]].permanent_delete().execute_query()
    left = client.users[task["user"]].contacts.get_all().execute_query()
    return {
        "user": [user.id, user.user_principal_name],
        "listed": len(contacts),
        "read": [contact.id, contact.properties.get("parentFolderId")],
        "chain": [error.response.status_code for _, error in failures],
        "codes": [error.code for _, error in failures],
        "left": len(left),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
