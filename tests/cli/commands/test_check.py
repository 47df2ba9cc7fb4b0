"""Tests of ``check`` and of the look at a few mailboxes before a run, by the real command line against the simulated tenant."""

from __future__ import annotations

import importlib
import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.request_options import request_from
from purgeengine.core.graph.operations import Action, Operation, deletion_by
from purgeengine.core.model import Reply
from purgeengine.core.policy.probing import Standing, probed, spread
from purgeengine.edges.login import Identity, environment
from purgeengine.errors import UsageProblem
from purgeengine.jobs.graph_endpoint import GraphEndpoint, refuse_missing_action
from purgeengine.jobs.reads.preflight import Level, about_clock, about_cloud, about_token
from purgeengine.run_limits import CLOUDS
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import App, LoginEndpoint
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import TROUBLES, Trouble
from tests.support.cli_fixtures import Bench, Row, a_bench, rows_of

module: Any = importlib.import_module("purgeengine.cli.commands.check")  # the package has the command by this name
QUICK = TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.5)


def a_tenant(rows: list[Row], troubles: dict[int, Trouble] | None = None, settings: TenantSettings = QUICK) -> Tenant:
    """Return a tenant with the contacts of the list and trouble in some of its mailboxes."""
    tenant = Tenant(settings, contacts=rows, seed=5)
    for number, user in enumerate(dict.fromkeys(user for user, _, _ in rows)):
        tenant.truth.add_mailbox(user, (troubles or {}).get(number))
    return tenant


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with three mailboxes of two contacts each."""
    rows = rows_of([2, 2, 2])
    with a_bench(tmp_path, a_tenant(rows), rows) as found:
        yield found


def way_of(bench: Bench) -> list[str]:
    """Return the options with the tenant's addresses."""
    server = bench.server
    return ["--graph-url", server.graph_url, "--authority", server.authority_url, "--ca-file", str(server.ca_file)]


# ------------------------------------------------------------------------------------------------------------ the command


def test_check_tells_who_asks_and_that_graph_answers(bench: Bench) -> None:
    """The check shows tenant, app, roles, way to sign in and clock, as text and as JSON, and deletes nothing."""
    said = bench.here("check", *way_of(bench), "--json", "--strict")
    assert said.code == 0, said.err
    app = bench.server.login.app
    told = said.json
    assert (told["tenant_id"], told["client_id"]) == (app.tenant_id, app.client_id)
    assert (told["tenant_name"], told["app_name"]) == ("Simulated tenant", "purgeengine simulation")
    assert (told["roles"], told["method"], told["cloud"]) == (["Contacts.ReadWrite"], "client secret", "global")
    assert {finding["level"] for finding in told["findings"]} == {"ok"}
    assert told["latency_s"] > 0
    assert abs(told["skew_s"]) < 5
    assert abs(told["login_skew_s"]) < 5
    assert told["chosen_because"] == "AZURE_CLIENT_SECRET is set"
    assert (told["credential"], told["signed_in_as"]) == (None, None)
    text = bench.here("check", *way_of(bench)).out
    assert "Simulated tenant" in text
    assert "client secret, because AZURE_CLIENT_SECRET is set" in text
    assert bench.server.tenant.counters.purged == 0


def test_each_line_is_told_as_soon_as_it_is_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out before the login, and before Graph is asked, stands in the output by then."""
    told: list[str] = []
    known: dict[str, list[str]] = {}
    monkeypatch.setattr(module, "print_now", told.append)
    sign_in, ask_graph = module.Report.sign_in, module.Report.ask_graph

    def signing_in(report: Any) -> Any:
        known["login"] = list(told)
        return sign_in(report)

    def asking(report: Any, *arguments: Any) -> Any:
        known["graph"] = list(told)
        return ask_graph(report, *arguments)

    monkeypatch.setattr(module.Report, "sign_in", signing_in)
    monkeypatch.setattr(module.Report, "ask_graph", asking)
    assert bench.here("check", str(bench.input), *way_of(bench)).code == 0
    assert known["login"]
    assert all(": Columns: " in line for line in known["login"])
    assert any(line.startswith("app        purgeengine simulation") for line in known["graph"])
    assert not any("Graph answered" in line for line in known["graph"])
    assert any("Graph answered" in line for line in told)
    assert told[-1].startswith("ok         probe: ")


def test_a_login_that_nobody_answers_fails_at_once_with_the_cause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login at a closed port is asked once. The lines before stand, and the last one says what is wrong."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(environment, "START_PATIENCE_S", 1e9)  # so that it would never end if it tried again
    said = bench.here("check", *way_of(bench), "--authority", f"https://127.0.0.1:{port}")
    assert said.code == 3, said.out
    first, last = said.out.splitlines()
    assert first.startswith("ok         cloud: ")
    assert last.startswith(
        "failed     login: No token was to be had: the login at 127.0.0.1 could not be reached (the "
    )


def closed_port() -> int:
    """Return a port of this machine at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def hardly_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the sign-in give up after one try, instead of after half a minute."""
    monkeypatch.setattr(environment, "START_PATIENCE_S", 0.01)


@pytest.mark.parametrize("cause", ["refused", "name", "certificate", "proxy"])
@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.usefixtures("hardly_patient")
def test_a_login_out_of_reach_is_not_blamed_on_the_credential(bench: Bench, command: str, cause: str) -> None:
    """Whatever the cause is, JSON says that the service is unreachable, with the cause, and gives no advice about credentials."""
    server, port = bench.server, closed_port()
    way = ["--graph-url", server.graph_url]
    if cause != "certificate":
        way += ["--ca-file", str(server.ca_file)]
    variables = {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "NO_PROXY": ""} if cause == "proxy" else {}
    authority, said = {
        "refused": (f"https://127.0.0.1:{port}", "the connection was refused"),
        "name": ("https://login.invalid", "its name could not be resolved"),
        "certificate": (server.authority_url, "The certificate of the login at 127.0.0.1 is not trusted"),
        "proxy": ("https://login.invalid", f"the proxy http://127.0.0.1:{port} to the login at login.invalid"),
    }[cause]
    way += ["--authority", authority]
    if command == "check":
        result = bench.here("check", *way, "--json", **variables)
    else:
        result = bench.here(
            "run", str(bench.input), "--ledger", str(bench.folder / "new"), "--yes", *way, "--json", **variables
        )
    error = result.json["error"]
    assert (result.code, result.json["exit_code"], error["kind"]) == (3, 3, "unreachable"), result.err
    assert said in error["message"]
    assert "consent" not in error["what_to_do"]
    assert not (bench.folder / "new").exists()


@pytest.mark.parametrize("command", ["check", "run"])
def test_graph_out_of_reach_is_told_as_unreachable(bench: Bench, command: str) -> None:
    """The login gives a token, and nobody listens where Graph should be: the kind is the same, with the exit code of a stop."""
    server, port = bench.server, closed_port()
    way = ["--authority", server.authority_url, "--ca-file", str(server.ca_file)]
    way += ["--graph-url", f"https://127.0.0.1:{port}/v1.0"]
    token = {"PURGEENGINE_ACCESS_TOKEN": server.login.issue(0.0, f"https://127.0.0.1:{port}")}
    options = (
        ["check"] if command == "check" else ["run", str(bench.input), "--ledger", str(bench.folder / "new"), "--yes"]
    )
    options += ["--probe", "1"] if command == "run" else []
    result = bench.here(*options, *way, "--json", **token)
    error = result.json["error"]
    assert (result.code, error["kind"]) == (4, "unreachable"), result.err
    assert "could not be reached (Connection refused)" in error["message"]


@pytest.mark.usefixtures("hardly_patient")
def test_a_login_that_is_busy_is_not_blamed_on_the_credential(bench: Bench) -> None:
    """A login that answers 503 until the end of our patience is unreachable; one that refuses the secret is a matter of sign-in."""
    refused = bench.here("check", *way_of(bench), "--json", AZURE_CLIENT_SECRET="wrong")
    assert refused.json["error"]["kind"] == "sign_in"
    bench.server.login.outage = (0.0, 1e9)
    busy = bench.here("check", *way_of(bench), "--json")
    error = busy.json["error"]
    assert (busy.code, error["kind"]) == (3, "unreachable")
    assert "the login at 127.0.0.1 answered 503" in error["message"]


def test_check_with_an_input_looks_at_its_mailboxes_and_changes_nothing(bench: Bench) -> None:
    """A check with an input reads twice in each mailbox, at most two requests at once in one mailbox, and changes nothing."""
    said = bench.here("check", str(bench.input), "--probe", "3", *way_of(bench), "--json")
    assert said.code == 0, said.err
    assert [mailbox["standing"] for mailbox in said.json["probed"]] == ["reachable"] * 3
    counters = bench.server.tenant.counters
    assert (counters.reads, counters.purged, bench.server.tenant.truth.remaining()) == (7, 0, 6)
    assert counters.mailbox_running_max <= 2
    assert not bench.server.tenant.violations


def test_a_missing_role_is_a_warning_with_its_reason(tmp_path: Path) -> None:
    """A missing role is a warning with exit code 0, and 1 with --strict, because RBAC for Applications may grant it.

    Other roles are noted.
    """
    rows = rows_of([1])
    with a_bench(tmp_path, a_tenant(rows), rows, LoginEndpoint(App(roles=("Mail.ReadWrite",)))) as bench:
        said = bench.here("check", *way_of(bench))
        assert said.code == 0
        assert "RBAC for Applications" in said.out
        assert "more than this job needs: Mail.ReadWrite" in said.out
        assert bench.here("check", *way_of(bench), "--strict").code == 1
        arguments = [word for word in bench.run_arguments("--log-format", "json") if word != "--quiet"]
        run = bench.here(*arguments)
        assert run.code == 0, run.err
        told = {
            line["event"]: line for line in map(json.loads, filter(lambda line: line[0] == "{", run.err.splitlines()))
        }
        assert told["token.obtained"]["roles"] == ["Mail.ReadWrite"]
        assert told["token.obtained"]["app"] == bench.server.login.app.client_id
        assert "RBAC for Applications" in told["preflight.warned"]["said"]


@pytest.mark.parametrize(
    ("trouble", "code", "told"),
    [
        (Trouble.ACCESS_POLICY, 3, "deny the app"),
        (Trouble.MISSING, 2, "another tenant"),
        (Trouble.OTHER_MAILBOX, 2, "columns mixed up"),
    ],
)
def test_a_list_of_which_nothing_can_be_purged_is_refused(
    tmp_path: Path, trouble: Trouble, code: int, told: str
) -> None:
    """A list of which nothing can be purged gives the same exit code for check and run, and the run sends nothing."""
    rows = rows_of([1, 1])
    with a_bench(tmp_path, a_tenant(rows, {0: trouble, 1: trouble}), rows) as bench:
        checked = bench.here("check", str(bench.input), *way_of(bench))
        assert checked.code == code, checked.err
        assert told in checked.out
        run = bench.run_here("--probe", "2")
        assert run.code == code, run.err
        assert told in run.err
        assert len(bench.server.tenant.log) == 0


def test_run_looks_first_and_goes_on_where_some_mailbox_answers(tmp_path: Path) -> None:
    """A run in which one of two mailboxes denies the app says so before it begins, and purges the other."""
    rows = rows_of([3, 2])
    with a_bench(tmp_path, a_tenant(rows, {1: Trouble.DENIED}), rows) as bench:
        run = bench.run_here("--probe", "2")
        assert run.code == 1, run.err
        assert "1 of 2 mailboxes denies the app (user0001@contoso.example)." in run.err
        assert run.json["outcomes"]["purged"] == 3


def test_what_cannot_be_checked_is_said(bench: Bench) -> None:
    """A refused token ends the check with exit code 3 and JSON all the same; wrong usage and a missing file end it with 2."""
    refused = bench.here("check", *way_of(bench), "--json", AZURE_CLIENT_SECRET="wrong")
    assert refused.code == refused.json["exit_code"] == 3
    assert refused.json["findings"][-1]["level"] == "failed"
    assert bench.here("check", "--probe", "3", *way_of(bench)).code == 2
    assert bench.here("check", str(bench.folder / "none.csv"), *way_of(bench)).code == 2


# -------------------------------------------------------------------------------------------------------------- its steps


def test_the_standing_of_a_mailbox_by_its_two_replies() -> None:
    """The two replies of a probed mailbox decide its standing: fine, one of several faults, or no answer."""
    fine, gone = Reply(200), Reply(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    assert probed("u", fine, fine).standing is Standing.FINE
    assert probed("u", fine, gone).standing is Standing.NOT_FOUND
    assert probed("u", fine, Reply(404, "ErrorInvalidMailboxItemId")).standing is Standing.OTHER_MAILBOX
    assert probed("u", fine, Reply(400, "ErrorInvalidIdMalformed")).standing is Standing.BAD_ID
    assert probed("u", fine, Reply(503)).standing is Standing.NO_ANSWER
    assert probed("u", Reply(0), Reply(0)).standing is Standing.NO_ANSWER
    assert probed("u", Reply(403, "Authorization_RequestDenied"), fine).standing is Standing.APP_DENIED
    for trouble, standing in (
        (Trouble.ACCESS_POLICY, Standing.DENIED),
        (Trouble.MISSING, Standing.NO_MAILBOX),
        (Trouble.NOT_HOSTED, Standing.NO_MAILBOX),
        (Trouble.MOVED, Standing.NO_ANSWER),
    ):
        said = TROUBLES[trouble]
        assert probed("u", Reply(said.status, said.code, said.message), gone).standing is standing


def test_mailboxes_looked_at_are_spread_over_the_list() -> None:
    """The probed mailboxes are the first, the largest and random others, all different, and the same for the same seed."""
    sizes = [1, 2, 9, 1, 1, 1]
    assert spread(sizes, 1, random.Random(1)) == [0]
    assert spread(sizes, 2, random.Random(1)) == [0, 2]
    chosen = spread(sizes, 4, random.Random(1))
    assert chosen[:2] == [0, 2]
    assert len(set(chosen)) == 4
    assert chosen == spread(sizes, 4, random.Random(1))
    assert sorted(spread(sizes, 99, random.Random(1))) == [0, 1, 2, 3, 4, 5]
    assert spread([], 3, random.Random(1)) == []


@pytest.mark.parametrize(
    ("skew_s", "level"), [(0.0, Level.OK), (-60.0, Level.OK), (61.0, Level.WARNING), (-4000.0, Level.WARNING)]
)
def test_a_clock_that_is_off_is_a_warning(skew_s: float, level: Level) -> None:
    """A clock that is wrong by more than a minute is a warning, in both directions."""
    assert about_clock(skew_s).level is level


def an_identity(**more: Any) -> Identity:
    """Return an identity whose token has an hour left."""
    return Identity(**{"tenant_id": "t", "client_id": "c", "method": "client secret", "expires_utc": 3_600.0, **more})


@pytest.mark.parametrize(
    ("identity", "claims", "level", "told"),
    [
        (an_identity(roles=("Contacts.ReadWrite",)), {}, Level.OK, "all that purging needs"),
        (an_identity(), {"aud": "https://management.azure.com/"}, Level.WARNING, "not for https://graph.microsoft.com"),
        (an_identity(), {"aud": "00000003-0000-0000-c000-000000000000"}, Level.WARNING, "RBAC for Applications"),
        (an_identity(roles=("Contacts.ReadWrite.Shared",)), {"scp": "x"}, Level.WARNING, "belongs to a user"),
        (an_identity(roles=("Contacts.ReadWrite", "Directory.Read.All")), {}, Level.NOTE, "Directory.Read.All"),
        (an_identity(method="ready token"), {}, Level.NOTE, "cannot be renewed"),
        (an_identity(method="ready token", expires_utc=60.0), {}, Level.WARNING, "cannot be renewed"),
    ],
)
def test_what_a_token_says_of_itself(identity: Identity, claims: dict[str, Any], level: Level, told: str) -> None:
    """The audience, permissions, person and lifetime of a token are read, and each problem is a warning or a note."""
    found = list(about_token(identity, claims, endpoint_from(options("global")), now_utc=0.0))
    assert [finding.level for finding in found if told in finding.text] == [level], found


def test_a_check_in_a_cloud_without_permanent_delete_says_so() -> None:
    """A check in a cloud without permanentDelete warns of it, and does not for a plain delete."""
    endpoint = endpoint_from(options("dod"))
    assert about_cloud(endpoint, Action.PERMANENT_DELETE).level is Level.WARNING
    assert about_cloud(endpoint, Action.DELETE).level is Level.OK


# -------------------------------------------------------------------------------------------------------------- clouds


def endpoint_from(options: dict[str, str | None]) -> GraphEndpoint:
    """The way to Graph that the options describe."""
    return request_from(options, 0.0).endpoint()


def deletion_from(options: dict[str, str | None]) -> Operation:
    """What is to be done to the contacts, and can be done there."""
    request = request_from(options, 0.0)
    refuse_missing_action(request.deletion().action, request.endpoint(), as_flags)
    return request.deletion()


def options(cloud: str | None, **more: str | None) -> dict[str, str | None]:
    """Return the options for this cloud."""
    nothing = {"graph_url": None, "authority": None, "ca_file": None, "auth": "auto"}
    return {"cloud": cloud, "action": "permanentDelete", "id_type": "default", **nothing, **more}


@pytest.mark.parametrize(
    "cloud", [cloud for cloud in CLOUDS.values() if cloud.has_contacts], ids=lambda cloud: cloud.name
)
def test_each_cloud_has_its_own_login_and_graph(cloud: object) -> None:
    """Each cloud has the login and Graph that Microsoft lists.

    Outside the global one permanentDelete is refused, with the alternative.
    """
    assert cloud is CLOUDS[cloud.name]  # type: ignore[attr-defined]
    endpoint = endpoint_from(options(cloud.name))  # type: ignore[attr-defined]
    assert (endpoint.graph_url, endpoint.authority_url) == {
        "global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
        "usgov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
        "dod": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
        "china": ("https://microsoftgraph.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"),
        "bleu": ("https://graph.svc.sovcloud.fr", "https://login.sovcloud-identity.fr"),
        "delos": ("https://graph.svc.sovcloud.de", "https://login.sovcloud-identity.de"),
    }[endpoint.cloud]
    assert deletion_from(options(endpoint.cloud, action="delete")) == deletion_by(Action.DELETE)
    if endpoint.cloud == "global":
        assert deletion_from(options(endpoint.cloud)) == deletion_by()
    else:
        with pytest.raises(UsageProblem, match=r"no contact permanentDelete.*--action delete"):
            deletion_from(options(endpoint.cloud))


@pytest.mark.parametrize(
    ("cloud", "more"),
    [
        ("global", {"graph_url": "https://graph.microsoft.us"}),
        ("global", {"graph_url": "https://DOD-graph.microsoft.us/v1.0"}),
        ("usgov", {"graph_url": "https://graph.microsoft.com/"}),
        ("china", {"authority": "https://login.microsoftonline.us"}),
        ("global", {"graph_url": "https://graph.svc.sovcloud.fr"}),
        (None, {"authority": "https://login.microsoftonline.us"}),
        (None, {"authority": "https://login.sovcloud-identity.fr", "graph_url": "https://graph.svc.sovcloud.de"}),
        (None, {"authority": "https://login.windows.net", "graph_url": "https://graph.microsoft.us"}),
        ("dod", {"graph_url": "https://graph.microsoft.us."}),
    ],
)
def test_the_address_of_another_cloud_is_refused(cloud: str | None, more: dict[str, str]) -> None:
    """An address that belongs to another cloud than the named one is refused, because the name decides what a cloud can do."""
    with pytest.raises(UsageProblem, match="belongs to the"):
        endpoint_from(options(cloud, **more))


@pytest.mark.parametrize("more", [{}, {"graph_url": "https://graph.svc.sovcloud.sg/"}])
def test_a_cloud_without_contacts_is_refused(more: dict[str, str]) -> None:
    """The cloud govsg is refused by its name and by its address, because its Graph has no contacts."""
    with pytest.raises(UsageProblem, match=r"govsg cloud has no contacts"):
        endpoint_from(options(None if more else "govsg", action="delete", **more))


@pytest.mark.parametrize(
    ("graph_url", "cloud"),
    [
        ("https://graph.microsoft.com/v1.0", "global"),
        ("https://Graph.Microsoft.US.", "usgov"),
        ("https://dod-graph.microsoft.us:443/", "dod"),
        ("https://microsoftgraph.chinacloudapi.cn", "china"),
        ("https://graph.svc.sovcloud.fr", "bleu"),
        ("https://graph.svc.sovcloud.de", "delos"),
    ],
)
def test_the_cloud_is_known_by_its_graph_address(graph_url: str, cloud: str) -> None:
    """Without --cloud, the Graph address gives the cloud and its login.

    Outside the global cloud permanentDelete is refused.
    """
    endpoint = endpoint_from(options(None, graph_url=graph_url))
    assert (endpoint.cloud, endpoint.authority_url) == (cloud, CLOUDS[cloud].authority_url)
    if cloud != "global":
        with pytest.raises(UsageProblem, match=f"The {cloud} cloud has no contact permanentDelete"):
            deletion_from(options(None, graph_url=graph_url))
        assert about_cloud(endpoint, Action.PERMANENT_DELETE).level is Level.WARNING


def test_an_address_of_no_cloud_is_never_called_global() -> None:
    """An address of no known cloud gives the cloud ``unknown`` and a warning, unless the user names one.

    This machine counts as global.
    """
    endpoint = endpoint_from(
        options(None, graph_url="https://graph.contoso.example", authority="https://login.contoso.example")
    )
    for action in Action:
        finding = about_cloud(endpoint, action)
        assert (endpoint.cloud, finding.level) == ("unknown", Level.WARNING)
        assert "unknown cloud: Graph at https://graph.contoso.example" in finding.text
    named = options("usgov", graph_url="https://graph.contoso.example")
    assert endpoint_from(named).cloud == "usgov"
    with pytest.raises(UsageProblem, match="no contact permanentDelete"):
        deletion_from(named)
    assert endpoint_from(options(None, graph_url="http://localhost:8080")).cloud == "global"


def test_a_shared_permission_is_another_one() -> None:
    """The role Contacts.ReadWrite.Shared is reported as not enough for permanentDelete."""
    endpoint = endpoint_from(options(None))
    for roles in (("Contacts.ReadWrite.Shared",), ("Contacts.Read", "Contacts.ReadWrite.Shared")):
        identity = Identity("T", "C", "ready token", roles)
        texts = [
            said.text
            for said in about_token(identity, {"scp": " ".join(roles)}, endpoint, 0.0)
            if said.topic == "roles"
        ]
        assert any("Contacts.ReadWrite.Shared, which the token holds, is another permission" in text for text in texts)
        assert not any("which is all that purging needs" in text for text in texts)


@pytest.mark.parametrize(
    ("more", "lacks"),
    [((), True), (("User.ReadBasic.All",), False), (("User.Read.All",), False), (("User.Read",), True)],
)
def test_looking_users_up_needs_its_own_permission(more: tuple[str, ...], lacks: bool) -> None:
    """Looking up users needs User.ReadBasic.All or a permission that includes it, and User.Read is not enough."""
    identity = Identity("T", "C", "secret", ("Contacts.ReadWrite", *more))
    (said,) = [
        found.text for found in about_token(identity, {}, endpoint_from(options(None)), 0.0) if found.topic == "roles"
    ]
    assert ("also needs User.ReadBasic.All" in said) == lacks


def test_an_address_that_no_cloud_has_is_taken_as_it_is() -> None:
    """An address that no cloud has is used under the named cloud, and one login may serve two clouds."""
    assert endpoint_from(options("china", graph_url="https://127.0.0.1:8443")).graph_url == "https://127.0.0.1:8443"
    assert endpoint_from(options("dod", authority="https://login.microsoftonline.us")).cloud == "dod"


# ------------------------------------------------------------------------------------------------------- other deletions


@pytest.mark.parametrize(("action", "id_type"), [("permanentDelete", "immutable"), ("delete", "default")])
def test_a_ledger_says_how_its_contacts_were_deleted(tmp_path: Path, action: str, id_type: str) -> None:
    """Summary and status name the ledger's action, and never call a plain delete permanent.

    Another action does not resume it.
    """
    rows = rows_of([3, 1])
    settings = TenantSettings(latency_median_s=0.01, overhead_s=0.01, immutable_ids=id_type == "immutable")
    with a_bench(tmp_path, a_tenant(rows, settings=settings), rows) as bench:
        kind = ["--action", action, "--id-type", id_type]
        cloud = ["--cloud", "usgov"] if action == "delete" else []
        ended = bench.run_here(*kind, *cloud)
        assert ended.code == 0, ended.err
        assert ended.json["action"] == action
        purge = bench.server.tenant.truth.purge_of(rows[0][0], rows[0][2])
        assert purge is not None
        assert purge.ask == action
        status = bench.here("status", str(bench.ledger)).out
        assert ("permanently" in status) == (action == "permanentDelete")
        assert ("Deleted Items" in status) == (action == "delete")
        other = bench.run_here(
            "--action", "delete" if action == "permanentDelete" else "permanentDelete", "--id-type", id_type
        )
        assert other.code == 2
        assert f"--action {action} to resume" in other.err


def test_ids_of_the_other_type_purge_nothing_and_are_never_called_gone(tmp_path: Path) -> None:
    """With ids of the other type every row is refused with ErrorInvalidIdMalformed, and the check advises --id-type."""
    rows = rows_of([3])
    settings = TenantSettings(latency_median_s=0.01, overhead_s=0.01, immutable_ids=True)
    with a_bench(tmp_path, a_tenant(rows, settings=settings), rows) as bench:
        assert bench.run_here().json["outcomes"]["refused"] == 3
        assert {row["code"] for row in bench.exported()} == {"ErrorInvalidIdMalformed"}
        looked = bench.here("check", str(bench.input), *way_of(bench))
        assert "--id-type" in looked.out
