"""Tests of three unchanged clients of Graph, each with the batches of its own documentation.

Each client runs against the simulated tenant over TLS. The clients come with the extra ``clients`` and with ``npm
install @microsoft/microsoft-graph-client`` (found by NODE_PATH). The test of a missing client is skipped, unless
CLIENTS_REQUIRED names the client.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.server.background_server import in_background
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.tenant_settings import TenantSettings

HERE = Path(__file__).parent
USER = "ann@contoso.example"
CONTACTS = 60
TASK = {"user": USER, "read": "c-0", "delete": "c-1", "purge": "c-2"}
TIMEOUT_S = 100
NPM_PACKAGE = "@microsoft/microsoft-graph-client"


@pytest.fixture
def sim() -> Iterator[SimulatedTenant]:
    """Serve a tenant with one mailbox of 60 contacts, without latency."""
    rows = [(USER, "", f"c-{n}") for n in range(CONTACTS)]
    with in_background(SimulatedTenant(Tenant(TenantSettings(latency_median_s=0, overhead_s=0), contacts=rows))) as sim:
        yield sim


def need(name: str, installed: bool, how: str) -> None:
    """Skip the test of a client that is not installed, or fail if the client is required."""
    if installed:
        return
    if name in os.environ.get("CLIENTS_REQUIRED", "").split():
        pytest.fail(f"{name} is not installed; {how}.")
    pytest.skip(f"{name} is not installed; {how}")


def run(sim: SimulatedTenant, command: list[str], many: int) -> dict[str, Any]:
    """Run a client's script and return what it prints. It gets ``many`` contacts to delete."""
    task = {**TASK, "url": sim.graph_url, "token": sim.login.issue(0.0), "many": many_of(many)}
    trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), str(sim.ca_file))
    ended = subprocess.run(
        [*command, json.dumps(task)],
        env={**os.environ, **trust},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3_000:]
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def many_of(count: int) -> list[str]:
    """Return the contacts that a client must delete."""
    return [f"c-{n}" for n in range(10, 10 + count)]


def assert_purged(sim: SimulatedTenant, many: int) -> None:
    """Check that the contacts that the client deleted are gone from the tenant, and no others."""
    there = {f"c-{n}" for n in range(CONTACTS)} - {TASK["delete"], TASK["purge"], *many_of(many)}
    assert set(sim.tenant.truth.mailbox(USER).contacts) == there


def test_msgraph_core(sim: SimulatedTenant) -> None:
    """With msgraph-core, ids, statuses and headers are as sent, a collection of 25 is split, and a page has its link."""
    need("msgraph", find_spec("msgraph_core") is not None, "pip install --group clients")
    said = run(sim, [sys.executable, str(HERE / "msgraph_script.py")], 25)
    statuses = {"me": 400, "users": 200, "list": 200, "read": 200, "delete": 204, "purge": 204, "absent": 404}
    assert {name: one["status"] for name, one in said["items"].items()} == said["status_codes"] == statuses
    for name, one in said["items"].items():
        wanted = {"Cache-Control": "private"} if statuses[name] == 204 else {"Content-Type": "application/json"}
        assert (one["headers"], one["content_type"]) == (wanted, wanted.get("Content-Type"))
    collection = {name: status for codes in said["collection"] for name, status in codes.items()}
    assert collection == {str(n): 204 for n in range(25)}
    assert said["page"] == [10, f"{sim.graph_url}/v1.0/users/{USER}/contacts?%24skip=10"]
    assert_purged(sim, 25)


def test_office365_rest_python_client(sim: SimulatedTenant) -> None:
    """The client office365-rest-python-client fills its objects from sub-responses and deletes 25 contacts.

    Its chain stops at the first failure.
    """
    need("office365", find_spec("office365") is not None, "pip install --group clients")
    said = run(sim, [sys.executable, str(HERE / "office365_script.py")], 25)
    box = sim.tenant.truth.mailbox(USER)
    assert said["user"] == [box.object_id, USER]
    assert (said["listed"], said["read"]) == (CONTACTS, ["c-0", box.default_folder])
    assert (said["chain"], said["codes"]) == ([404, 424], ["ErrorItemNotFound", "FailedDependency"])
    assert said["left"] == CONTACTS - 27
    assert_purged(sim, 25)


def test_microsoft_graph_client(sim: SimulatedTenant) -> None:
    """The client microsoft-graph-client makes a Response of every sub-response, runs a chain of 20, and follows all pages."""
    node = shutil.which("node")
    found = (
        node is not None
        and not subprocess.run(
            [node, "-e", f"require.resolve('{NPM_PACKAGE}')"], capture_output=True, timeout=TIMEOUT_S, check=False
        ).returncode
    )
    need("javascript", found, f"npm install {NPM_PACKAGE}, and name its node_modules in NODE_PATH")
    said = run(sim, [str(node), str(HERE / "javascript_script.cjs")], 20)
    items = said["items"]
    statuses = {"read": 200, "list": 200, "delete": 204, "absent": 404, "purge": 204}
    assert {name: one["status"] for name, one in items.items()} == statuses
    assert (items["purge"]["headers"], items["purge"]["body"]) == ({"cache-control": "private"}, None)
    assert items["read"]["headers"] == {"content-type": "application/json"}
    assert items["read"]["body"]["id"] == "c-0"
    assert len(items["list"]["body"]["value"]) >= CONTACTS - 2
    assert items["absent"]["body"]["error"]["code"] == "ErrorItemNotFound"
    assert said["chain"] == [204] * 20
    assert said["pages"] == CONTACTS - 22
    assert (said["refusal"]["status"], said["refusal"]["code"]) == (404, "ErrorItemNotFound")
    assert said["refusal"]["requestId"]
    assert_purged(sim, 20)
