"""Tests of ``simulate`` as a user calls it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from purgeengine.cli.commands.simulate import GROUP_ID, PEOPLE_CONTACTS, _server, simulate
from purgeengine.errors import UsageProblem


def called(*arguments: str) -> Result:
    """Run the command for a moment."""
    return CliRunner().invoke(simulate, [*arguments, "--duration-s", "0.01"], standalone_mode=False)


def test_json_says_what_to_use_it_with(tmp_path: Path) -> None:
    """With --json, stdout has one object with addresses and credentials, and stderr has messages and counters."""
    ca_file = tmp_path / "ca.pem"
    result = called("--json", "--ca-file", str(ca_file))
    said = json.loads(result.stdout)
    assert (said["command"], said["exit_code"], said["error"]) == ("simulate", None, None)
    assert said["graph_url"] == said["authority_url"]
    assert said["graph_url"].startswith("https://127.0.0.1:")
    assert said["ca_file"] == str(ca_file.resolve())
    assert "calls 0" in result.stderr


def test_shell_lines_are_for_bash_and_powershell() -> None:
    """Without --json, stdout has environment and options for bash and PowerShell, ready to paste."""
    result = called("--no-tls", "--login-port", "0")
    for line in (
        "# bash",
        "export AZURE_CLIENT_SECRET=",
        "# PowerShell",
        "$env:AZURE_CLIENT_SECRET = ",
        "--authority http://",
    ):
        assert line in result.stdout
    assert "--ca-file" not in result.stdout
    assert "Listening on http://127.0.0.1:" in result.stderr


def test_a_path_with_an_apostrophe_is_quoted_for_each_shell(tmp_path: Path) -> None:
    """A path with an apostrophe is quoted for bash and for PowerShell, each in its way."""
    folder = tmp_path / "o'neil"
    folder.mkdir()
    result = called("--ca-file", str(folder / "ca.pem"))
    assert r"o'\''neil" in result.stdout
    assert "o''neil" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mailbox-requests", "0"),
        ("--mailbox-window-s", "0"),
        ("--latency-ms", "-1"),
        ("--token-lifetime-s", "0"),
        ("--duration-s", "0"),
    ],
)
def test_values_that_make_no_sense_are_refused(arguments: tuple[str, str]) -> None:
    """Options that make no sense raise `UsageProblem`."""
    result = CliRunner().invoke(simulate, [*arguments], standalone_mode=False)
    assert isinstance(result.exception, UsageProblem)


def test_the_input_is_what_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an input, the contacts of its valid rows exist, and no others."""
    from purgeengine.cli.commands import simulate as module

    source = tmp_path / "contacts.csv"
    source.write_text("user,folder,contact\nann@x.example,F,AAA\nbob@x.example,,BBB\nnobody,,CCC\n", encoding="utf-8")
    kept = []
    build = module._server
    monkeypatch.setattr(module, "_server", lambda options: kept.append(build(options)) or kept[0])
    result = called(str(source))
    assert result.exception is None
    truth = kept[0].tenant.truth
    assert truth.exists("ann@x.example", "AAA")
    assert truth.exists("bob@x.example", "BBB")
    assert not truth.exists("ann@x.example", "ZZZ")
    assert truth.remaining() == 2


def test_every_way_to_sign_in_is_offered(tmp_path: Path) -> None:
    """A certificate and a federated token are written readable for their owner only, and a managed identity is served."""
    folder = tmp_path / "simulated"
    said = json.loads(called("--json", "--credentials", str(folder), "--identity-port", "0").stdout)
    ways = said["other_ways"]
    assert sorted(ways) == ["certificate", "device-code", "federated", "managed-identity"]
    assert ways["certificate"]["AZURE_CLIENT_CERTIFICATE_PATH"] == str(folder / "app.pfx")
    assert ways["managed-identity"]["IDENTITY_ENDPOINT"].startswith("http://127.0.0.1:")
    written = sorted(folder.iterdir())
    assert [path.name for path in written] == ["app.pem", "app.pfx", "federated-token"]
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    shell = called("--credentials", str(folder)).stdout
    assert f"#   --auth federated  AZURE_FEDERATED_TOKEN_FILE={folder / 'federated-token'}" in shell
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = called("--credentials", str(tmp_path / "file"))
    assert isinstance(result.exception, UsageProblem)
    assert "cannot be written" in str(result.exception)


def test_an_app_without_permission_can_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --without-permission, Exchange and the directory refuse every request with their codes."""
    from purgeengine.cli.commands import simulate as command
    from tests.support.sim_fixtures import ANN, ask, batch_asking

    seen = []
    real = command._server
    monkeypatch.setattr(command, "_server", lambda options: seen.append(real(options)) or seen[-1])
    called("--without-permission", "--no-tls")
    answered = ask(seen[0].tenant, batch_asking("GET", f"/users/{ANN}/contacts", f"/users/{ANN}"))
    assert answered == {"0": (403, "ErrorAccessDenied"), "1": (403, "Authorization_RequestDenied")}


def test_people_are_mailboxes_with_contacts_in_a_group() -> None:
    """With --people, the tenant has so many mailboxes and nothing else, and the group has all of them."""
    with simulate.make_context("simulate", ["--people", "3", "--no-tls"]) as context:
        tenant = _server(context.params).tenant
    assert [len(box.contacts) for box in tenant.truth] == [PEOPLE_CONTACTS] * 3
    assert tenant.truth.groups[GROUP_ID] == tuple(box.key for box in tenant.truth)
    assert not tenant.truth.exists("user001@contoso.example", "AAMk=")
