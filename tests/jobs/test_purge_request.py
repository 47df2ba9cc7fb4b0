"""A request is valid from birth, names the field that is not, and is made from the command line's options in one place."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from purgeengine.cli.commands.plan import plan
from purgeengine.cli.commands.retry import retry
from purgeengine.cli.commands.run import run
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.request_options import request_from
from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.core.policy.filters import EXCLUDED, IS_PROTECTED, NOT_NAMED
from purgeengine.errors import UsageProblem
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.sending_hours import SendingHours
from purgeengine.run_limits import Limits

NAN = float("nan")
ENDLESS = 10**5_000
"""A number that Python refuses to write."""


class Unshowable:
    """An object of the caller's that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


ODD: list[tuple[str, Any]] = [
    *[("limits", value) for value in (None, {"connections": 4}, Limits, "4", Unshowable())],
    *[("yes", value) for value in ("no", "false", 1, None, Unshowable())],
    *[(name, "no") for name in ("clean", "allow_unread", "resolve_users")],
    *[("ledger", value) for value in ("", "  ", b"ledger", 7, ["ledger"], "a\0b", True)],
    *[("ca_file", value) for value in ("", b"ca.pem", 7, [], "a\0b")],
    *[("user", value) for value in (7, b"ann@contoso.example", ["ann@contoso.example"], NAN)],
    *[("action", value) for value in ([], {}, 7)],
    *[("id_type", value) for value in ([], 7)],
    *[("auth", value) for value in (None, ["secret"], 7)],
    *[("cloud", value) for value in (["global"], {}, 7, b"global")],
    *[("graph_url", value) for value in ("", b"https://graph.microsoft.com", 7, ["https://graph.microsoft.com"])],
    *[("probe", value) for value in (True, 1.5, "4", NAN, ENDLESS, [4])],
    *[("max_items", value) for value in (NAN, 1.5, float("inf"), True, "9", -ENDLESS)],
    *[("max_items_per_mailbox", value) for value in (NAN, True, "9")],
    *[("max_failures", value) for value in (True, NAN, 1.5, -1, b"5%", [5], ENDLESS, "", "\u0665\u0000")],
    *[("seed", value) for value in (1.5, "1", True, [1])],
    *[
        ("columns", value)
        for value in ("contact=Id", [("contact", "Id")], {"contact": None}, {"contact": 7}, {7: "Id"}, 7)
    ],
    *[
        ("exclude_users", value)
        for value in (None, 7, b"ann", {"ann@contoso.example": 1}, [None], [7], [["ann@contoso.example"]])
    ],
    *[("only_users", value) for value in (7, b"ann", {}, [NAN], "ann@contoso.example")],
    *[("protected_users", value) for value in (None, NAN, [b"ann@contoso.example"])],
    *[("hours", value) for value in ("20:00-06:00", ((1_200, 360),), 7, SendingHours)],
    *[
        ("hours", SendingHours(windows=value))
        for value in ("20:00", 7, (7,), ((1,),), ((1, 2, 3),), (("1", "2"),), ((NAN, 5),))
    ],
    *[("hours", SendingHours(zone=value)) for value in ("Europe/Rome", 7)],  # type: ignore[arg-type]
    *[("hours", SendingHours(until_utc=value)) for value in (NAN, -1e18, 1e18, "tomorrow", True, ENDLESS)],  # type: ignore[arg-type]
]
"""Fields with values of types that a caller could give by mistake; none may be guessed at."""
OF_NO_TYPE: list[Any] = [None, 7, NAN, b"list.csv", bytearray(b"x"), {"user": "u"}, {("u", "f", "c")}, frozenset()]
OF_NO_TYPE += ["", "a\0b", [""], Unshowable()]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"columns": {"mailbox": "Owner"}}, "columns", "--columns"),
    ({"columns": {"contact": ""}}, "columns", "--columns"),
    ({"columns": {"user": "Owner"}, "user": "ann@contoso.example"}, "user", "--user"),
    ({"user": "nobody"}, "user: ", "--user: "),
    ({"inputs": "a.csv", "retry_of": "old"}, "inputs and retry_of", "an INPUT and DIR"),
    ({"only": ["refused"]}, "only is of use only with retry_of", "--only"),
    ({"codes": ["429"]}, "codes", "--codes"),
    ({"unfinished": True}, "unfinished", "--unfinished"),
    ({"retry_of": "old", "only": ["gone"]}, "only knows no outcome 'gone'", "--only knows no outcome 'gone'"),
    ({"retry_of": "old", "only": []}, "only", "--only"),
    ({"retry_of": "old", "codes": ["403", ""]}, "codes takes error codes", "--codes takes error codes"),
    ({"retry_of": "old", "action": "shred"}, "action", "--action"),
    ({"action": "shred"}, "action", "--action"),
    ({"id_type": "entry"}, "id_type", "--id-type"),
    ({"auth": "magic"}, "auth", "--auth"),
    ({"auth": "secret", "access_token": "t"}, "auth", "--auth"),
    ({"access_token": "t", "credential": object()}, "access_token", "access_token"),
    ({"exclude_users": ["nobody"]}, "exclude_users", "--exclude-users"),
    ({"protected_users": "ann@contoso.example"}, "protected_users must be a list", "--protected-users must be a list"),
    ({"only_users": []}, "only_users", "--only-users"),
    ({"probe": 0}, "probe", "--probe"),
    ({"probe": 101}, "probe", "--probe"),
    ({"max_items": -1}, "max_items", "--max-items"),
    ({"max_items_per_mailbox": -1}, "max_items_per_mailbox", "--max-items-per-mailbox"),
    ({"max_failures": "half"}, "max_failures", "--max-failures"),
    ({"max_failures": "101%"}, "max_failures", "--max-failures"),
    ({"hours": SendingHours(((1_440, 10),))}, "hours", "--hours"),
    ({"hours": SendingHours(((60, 60),))}, "hours", "--hours"),
    *[({name: value}, name, f"--{name.replace('_', '-')}") for name, value in ODD],
]


@pytest.mark.parametrize(("asked", "field", "flag"), WRONG, ids=[" ".join(asked) for asked, _, _ in WRONG])
def test_what_cannot_be_used_is_refused_by_name(asked: dict[str, Any], field: str, flag: str) -> None:
    """By the field for a caller of the API, and by the flag on the command line; the sentence is otherwise the same."""
    with pytest.raises(UsageProblem) as in_python:
        PurgeRequest(**asked)
    with pytest.raises(UsageProblem) as on_the_command_line:
        PurgeRequest(**asked, spelling=as_flags)
    assert str(in_python.value).startswith(field)
    assert "--" not in str(in_python.value)
    assert len(str(in_python.value)) < 400
    assert str(on_the_command_line.value).startswith(flag)


@pytest.mark.parametrize("given", OF_NO_TYPE, ids=[str(number) for number in range(len(OF_NO_TYPE))])
def test_an_input_that_is_none_is_refused(given: Any) -> None:
    """A set has another order each time, a dict is one row or many, and an empty name would be the current folder."""
    with pytest.raises(UsageProblem, match=r"^inputs (must be|holds) "):
        PurgeRequest(inputs=given)
    with pytest.raises(UsageProblem, match=r"^an INPUT (must be|holds) "):
        PurgeRequest(inputs=given, spelling=as_flags)


@pytest.mark.parametrize("given", ["", 7, b"s3cret", ["s3cret"]])
def test_a_token_that_is_none_is_refused_unshown(given: Any) -> None:
    """A mistake with a token does not put it into a log."""
    with pytest.raises(UsageProblem, match=r"^access_token must be a text") as refused:
        PurgeRequest(access_token=given)
    assert "s3cret" not in str(refused.value)


def test_a_spelling_must_be_a_function() -> None:
    """It is called for each sentence that names a field."""
    with pytest.raises(UsageProblem, match=r"^spelling must be a function"):
        PurgeRequest(spelling="flags")  # type: ignore[arg-type]


def test_what_is_odd_and_clear_is_taken() -> None:
    """A set of users has no order that matters, windows may be lists, and max_failures a number or a text."""
    request = PurgeRequest(
        exclude_users={"ann@contoso.example"},
        max_failures="5",
        hours=SendingHours([[1_200, 360]]),  # type: ignore[arg-type]
        inputs=iter([("u", None, "c")]),
        max_items=0,
        seed=-3,
    )
    assert request.exclude_users == ("ann@contoso.example",)
    assert request.threshold() == PurgeRequest(max_failures=5).threshold()
    assert PurgeRequest(inputs=pa.table({"user": ["u"]})).has_input


def test_addresses_of_two_clouds_are_refused_by_name() -> None:
    """Before anything is asked for; the cloud is that of the address otherwise."""
    request = PurgeRequest(cloud="global", graph_url="https://graph.microsoft.us")
    with pytest.raises(
        UsageProblem, match=r"^graph_url https://graph\.microsoft\.us belongs to the usgov cloud.*cloud=usgov"
    ):
        request.endpoint()
    with pytest.raises(UsageProblem, match=r"^--graph-url .* Give --cloud usgov and leave --graph-url out"):
        replace(request, spelling=as_flags).endpoint()
    assert PurgeRequest(graph_url="https://graph.microsoft.us").endpoint().cloud == "usgov"
    with pytest.raises(UsageProblem, match="cloud must be one of global"):
        PurgeRequest(cloud="moon").endpoint()


def test_a_request_is_a_frozen_value() -> None:
    """Equal to one that asks for the same, whoever asked; of lists it keeps a copy; it can be sent to another process."""
    users = ["Ann@contoso.example"]
    request = PurgeRequest(inputs="list.csv", ledger="l", exclude_users=users, user=" ann@contoso.example ")
    users.append("bob@contoso.example")
    assert request.exclude_users == ("Ann@contoso.example",)
    assert (request.inputs, request.folder, request.user) == (("list.csv",), Path("l"), "ann@contoso.example")
    assert request == replace(request, spelling=as_flags)
    assert pickle.loads(pickle.dumps(request)) == request
    with pytest.raises(FrozenInstanceError):
        request.yes = True  # type: ignore[misc]


def test_secrets_stand_in_no_text_of_a_request() -> None:
    """A request may be printed or logged."""

    class Credential:
        def __repr__(self) -> str:
            return "a secret"

    assert "a secret" not in repr(PurgeRequest(credential=Credential()))  # type: ignore[arg-type]
    assert "t0ken" not in repr(PurgeRequest(access_token="t0ken"))


def test_the_lists_of_users_make_one_filter() -> None:
    """Protected comes first; patterns count; without a list of only users, all are wanted."""
    request = PurgeRequest(
        protected_users=["*@board.contoso.example"],
        exclude_users=["ANN@contoso.example"],
        only_users=["*@contoso.example"],
    )
    found = request.user_filter()
    assert found.left_out("ceo@board.contoso.example") is IS_PROTECTED
    assert found.left_out("ann@contoso.example") is EXCLUDED
    assert found.left_out("bob@fabrikam.example") is NOT_NAMED
    assert found.left_out("bob@contoso.example") is None
    assert PurgeRequest().user_filter().left_out("bob@fabrikam.example") is None


def test_all_options_of_run_arrive_in_the_request(tmp_path: Path) -> None:
    """Each field differs from its default afterwards: none is forgotten on the way."""
    (tmp_path / "users.txt").write_text("ann@contoso.example\n", encoding="utf-8")
    users, ca_file = str(tmp_path / "users.txt"), str(tmp_path / "ca.pem")
    arguments = [
        "a.csv", "--columns", "contact=Id", "--user", "ann@contoso.example", "--clean", "--ledger", "l", "--yes", "--allow-unread",
        "--action", "delete", "--id-type", "immutable", "--max-items", "9", "--max-items-per-mailbox", "3",
        "--protected-users", users, "--exclude-users", users, "--only-users", users, "--resolve-users", "--probe", "4",
        "--max-failures", "5%", "--no-auto-stop", "--window", "20:00-06:00", "--seed", "1", "--auth", "secret",
        "--cloud", "usgov", "--graph-url", "https://graph.microsoft.us", "--authority", "https://login.microsoftonline.us",
        "--ca-file", ca_file, "--connections", "7", "--fanout", "4", "--rate", "100", "--no-lanes",
    ]  # fmt: skip
    request = request_from(run.make_context("run", arguments).params, 0.0)
    given_in_python_only = {"access_token", "credential"}
    given_to_retry_only = {"retry_of", "only", "codes", "unfinished"}
    same = {
        field.name
        for field in fields(PurgeRequest)
        if getattr(request, field.name) == getattr(PurgeRequest(), field.name)
    }
    assert same == given_in_python_only | given_to_retry_only
    assert (request.inputs, request.columns, request.ledger) == (("a.csv",), {"contact": "Id"}, "l")
    assert request.deletion() == deletion_by(Action.DELETE, IdType.IMMUTABLE)
    assert (request.limits.connections, request.limits.fanout, request.limits.requests_per_s) == (7, 4, 100)
    assert request.hours is not None
    assert request.hours.windows == ((1_200, 360),)
    assert request.spelling is as_flags


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(plan, ["a.csv"]), (retry, ["old", "--ledger", "new"]), (run, ["a.csv", "--ledger", "new"])],
)
def test_what_a_command_has_no_option_for_is_as_usual(command: Any, arguments: list[str]) -> None:
    """The defaults of the options are those of the request."""
    request = request_from(command.make_context(command.name, arguments).params, 0.0)
    asked = PurgeRequest(inputs=request.inputs, ledger=request.ledger)
    assert request == asked


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ("max_items", "--max-items"),
        ("auto_stop=False", "--no-auto-stop"),
        ("action=delete", "--action delete"),
        ("authority_url", "--authority"),
        ("yes=True", "--yes"),
        ("requests_per_s", "--rate"),
    ],
)
def test_settings_are_spelt_as_flags(setting: str, flag: str) -> None:
    """Every setting that a sentence names can be typed as it stands there."""
    assert as_flags(setting) == flag
