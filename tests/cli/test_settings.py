"""Tests of settings from a file and the environment: which one wins, where each comes from, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from purgeengine.cli import settings_file
from purgeengine.cli.main import COMMANDS, cli, run
from purgeengine.cli.setting_names import NEVER_PRESET, SELF_CONTAINED, key_of
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of

Show = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hides the settings in this machine's environment and the user's own file."""
    for name in list(os.environ):
        if name.startswith("PURGEENGINE_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings_file, "default_file", lambda: tmp_path / "own.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a configuration file that a test writes."""
    return tmp_path / "cleanup.toml"


@pytest.fixture
def show(file: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    """Return a function that calls ``config show`` and returns each setting's value and source by its key."""

    def shown(*arguments: str, command: str = "run") -> dict[str, Any]:
        code = run(["config", "show", "--json", "--config", str(file), command, *arguments])
        said = capsys.readouterr()
        assert code == 0, said.err
        found = json.loads(said.out)
        assert (found["command"], found["of_command"]) == ("config show", command)
        return {setting["key"]: (setting["value"], setting["source"]) for setting in found["settings"]}

    return shown


@pytest.fixture
def refused(file: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that returns the sentence with which the commands refuse a file."""

    def sentence(text: str | bytes) -> str:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        for arguments in (["config", "show", "--config", str(file)], ["plan", "x.csv", "--config", str(file)]):
            code = run(arguments)
            said = capsys.readouterr().err
            assert code == 2, (arguments, said)
            assert str(file.name) in said
            assert "Traceback" not in said
        return said

    return sentence


# ------------------------------------------------------------------------------------------------------------ who wins


def test_options_win_over_the_environment_and_that_over_the_file(
    file: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option wins over the environment, that over a command's table in the file, and that over the file's top.

    Each shows its source.
    """
    file.write_text('connections = 5\nrate = 7\nfanout = 4\nlog_format = "json"\n[run]\nrate = 9\n[plan]\nrate = 8\n')
    monkeypatch.setenv("PURGEENGINE_CONNECTIONS", "6")
    monkeypatch.setenv("PURGEENGINE_QUIET", "true")
    found = show("--connections", "7")
    assert found["connections"] == (7, "option")
    assert found["quiet"] == (True, "environment PURGEENGINE_QUIET")
    assert found["rate"] == (9, "file")
    assert found["fanout"] == ("4", "file")
    assert found["log_format"] == ("json", "file")
    assert found["mailbox_window_s"] == (600.0, "default")
    assert show()["connections"] == (6, "environment PURGEENGINE_CONNECTIONS")
    assert show(command="plan")["rate"] == (8, "file")


def test_every_option_of_every_command_can_be_set_in_the_file_and_the_environment(
    file: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option of every command can be set in the file and the environment, but for those that confirm a purge."""
    ctx = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(ctx, name)
        assert command is not None
        if isinstance(command, click.Group) or name in SELF_CONTAINED:
            continue
        for option in command.params:
            key = key_of(option) if isinstance(option, click.Option) else None
            if key is None or key in NEVER_PRESET or key == "protected_users":
                continue
            assert isinstance(option, click.Option)
            value = _a_value_for(option)
            file.write_text(f"{key} = {json.dumps(value)}\n")
            assert show(command=name)[key][1] == "file", key
            monkeypatch.setenv(f"PURGEENGINE_{key.upper()}", str(value).lower() if option.is_flag else str(value))
            assert show(command=name)[key][1] == f"environment PURGEENGINE_{key.upper()}", key
            monkeypatch.delenv(f"PURGEENGINE_{key.upper()}")


def _a_value_for(option: click.Option) -> Any:
    if option.is_flag:
        return True
    if isinstance(option.type, click.Choice):
        return str(option.type.choices[0])
    if isinstance(option.type, click.types.IntParamType):
        return 7
    return 7.5 if isinstance(option.type, click.types.FloatParamType) else "/absolute/x"


def test_paths_in_the_file_are_meant_from_its_folder(file: Path, show: Show) -> None:
    """A relative path in the file is taken from the file's folder."""
    file.write_text('ledger = "ledgers/one"\nonly_users = ["pilot.txt", "/elsewhere/b.txt"]\n')
    found = show()
    assert found["ledger"][0] == str(file.parent / "ledgers" / "one")
    assert [Path(path) for path in found["only_users"][0]] == [file.parent / "pilot.txt", Path("/elsewhere/b.txt")]


def test_the_users_own_file_is_read_unasked_and_one_in_the_working_directory_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user's own file is read without asking, unless a variable names another one.

    A file in the working folder is not read.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("purgeengine.toml", "config.toml"):
        (tmp_path / name).write_text("rate = 1\n")

    def rate() -> tuple[Any, str]:
        assert run(["config", "show", "--json"]) == 0
        return next(
            (s["value"], s["source"]) for s in json.loads(capsys.readouterr().out)["settings"] if s["key"] == "rate"
        )

    assert rate() == (12_000, "default")
    (tmp_path / "own.toml").write_text("rate = 2\n")
    assert rate() == (2, "file")
    (tmp_path / "named.toml").write_text("rate = 3\n")
    monkeypatch.setenv("PURGEENGINE_CONFIG", str(tmp_path / "named.toml"))
    assert rate() == (3, "file")


# --------------------------------------------------------------------------------------------------- the protected list


def test_the_protected_list_adds_up_over_every_source(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The protected lists of file, environment and options add up, so that no option removes a protection."""
    file.write_text('protected_users = ["ceo@x.example", "*@board.x.example"]\nprotected_users_file = "p.txt"\n')
    monkeypatch.setenv("PURGEENGINE_PROTECTED_USERS", str(tmp_path / "e.txt"))
    assert run(["config", "show", "--json", "--config", str(file), "run", "--protected-users", "flag.txt"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert [(s["value"], s["source"]) for s in settings if s["key"].startswith("protected_users")] == [
        (["ceo@x.example", "*@board.x.example"], "file"),
        ([str(tmp_path / "p.txt")], "file"),
        ([str(tmp_path / "e.txt")], "environment PURGEENGINE_PROTECTED_USERS"),
        (["flag.txt"], "option"),
    ]


def test_what_is_protected_by_any_source_is_not_purged(bench: Bench, tmp_path: Path) -> None:
    """Mailboxes protected by the file, a file that it names, the environment or an option are not purged, and the fifth one is."""
    names = [f"user{number:04d}@contoso.example" for number in range(5)]
    for name, text in (("p.txt", names[1]), ("e.txt", names[2]), ("o.txt", names[3])):
        (tmp_path / name).write_text(text + "\n")
    file = tmp_path / "c.toml"
    file.write_text(f'protected_users = ["{names[0].upper()}"]\n[run]\nprotected_users_file = ["p.txt"]\n')
    ended = bench.run(
        "--config", str(file), "--protected-users", str(tmp_path / "o.txt"),
        PURGEENGINE_PROTECTED_USERS=str(tmp_path / "e.txt"),
    )  # fmt: skip
    assert (ended.code, ended.json["outcomes"]["purged"], ended.json["outcomes"]["skipped"]) == (1, 2, 8), ended.err
    purged = {row["user"] for row in bench.exported() if row["outcome"] == "purged"}
    assert purged == {names[4]}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with five mailboxes of two contacts."""
    rows = rows_of([2] * 5)
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        yield bench


def test_a_limit_in_the_file_holds_a_run_back(bench: Bench, tmp_path: Path) -> None:
    """A limit in the file refuses a run as the option does, and the option wins over it."""
    file = tmp_path / "c.toml"
    file.write_text("[run]\nmax_items = 9\n")
    ended = bench.run("--config", str(file))
    assert (ended.code, "--max-items" in ended.err) == (2, True), ended.err
    assert bench.run("--config", str(file), "--max-items", "10").code == 0


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("conections = 3", "did you mean connections?"),
        ("[run]\nmax_item = 3", "did you mean max_items?"),
        ("[rum]\nrate = 3", "did you mean run?"),
        ("[export]\nrate = 3", "export.rate is no setting"),
        ("max-items = 3", "did you mean max_items?"),
        ("protected_user = []", "did you mean protected_users"),
        ('connections = "many"', "whole number"),
        ("connections = 3.5", "whole number"),
        ("connections = true", "whole number"),
        ("connections = [3]", "whole number"),
        ("max_items = -1", "max_items"),
        ("quiet = 1", "true or false"),
        ('log_format = "xml"', "log_format"),
        ("until = 06:00:00", "until must be text in quotes"),
        ("ledger = 3\nledger = 4", "not valid TOML"),
        ("rate = ", "not valid TOML"),
        (b"rate = 3 # \xff", "UTF-8"),
        ("yes = true", "--yes on the command line"),
        ("[run]\nyes = true", "--yes on the command line"),
        ("config = 'x'", "--config"),
        ("protected_users = 'not a user'", "protected_users"),
        ("protected_users = [1]", "list of texts"),
        ("[run]\nprotected_users = ['not a user']", "protected_users"),
        ("[status]\nprotected_users = ['a@x.example']", "no setting"),
    ],
)
def test_what_is_not_understood_is_an_error(refused: Callable[..., str], text: str | bytes, says: str) -> None:
    """A setting that is not understood ends with exit code 2 and names the key, the right form or the nearest name."""
    assert says in refused(text)


@pytest.mark.parametrize(
    "key", ["client_secret", "password", "AZURE_CLIENT_SECRET", "access_token", "run.secret", "[x]\nPassphrase"]
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(refused: Callable[..., str], key: str) -> None:
    """A secret in the file is refused in any table with a hint to the environment, and is not repeated."""
    said = refused(f"{key} = 'hunter2-hunter2'")
    assert "environment" in said
    assert "hunter2" not in said


def test_a_file_that_was_named_must_be_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A named configuration file that is missing or a folder is refused, because a protection in it would be lost."""
    for path in (tmp_path / "nowhere.toml", tmp_path):
        assert run(["plan", "x.csv", "--config", str(path)]) == 2
        assert path.name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("PURGEENGINE_PROTECTED_USER", "did you mean PURGEENGINE_PROTECTED_USERS?"),
        ("PURGEENGINE_YES", "--yes on the command line"),
    ],
)
def test_an_unknown_variable_of_ours_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, says: str
) -> None:
    """An unknown variable that begins with PURGEENGINE_ is refused, because a misspelled protection protects nobody."""
    monkeypatch.setenv("PURGEENGINE_WORST", "3")
    monkeypatch.setenv("PURGEENGINE_ACCESS_TOKEN", "t")
    assert run(["config", "show"]) == 0
    capsys.readouterr()
    monkeypatch.setenv(variable, "1")
    assert run(["config", "show"]) == 2
    assert says in capsys.readouterr().err


def test_a_bad_value_in_the_environment_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad value from the environment is reported with its variable, and a typed one with its option."""
    monkeypatch.setenv("PURGEENGINE_CONNECTIONS", "many")
    assert run(["plan", "x.csv"]) == 2
    said = capsys.readouterr().err
    assert "Invalid value for PURGEENGINE_CONNECTIONS in the environment: 'many' is not a valid integer." in said
    assert run(["plan", "x.csv", "--connections", "few"]) == 2
    assert "Invalid value for '--connections': 'few' is not a valid integer." in capsys.readouterr().err


def test_demo_and_simulate_take_only_what_is_meant_for_them(
    file: Path, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings at the top of the file do not reach demo and simulate: a demo must not use the ledger of a real purge."""
    file.write_text('ledger = "real"\nseed = 3\nmailbox_requests = 5\n[demo]\nseed = 4\n')
    monkeypatch.setenv("PURGEENGINE_LEDGER", "real-too")
    found = show(command="demo")
    assert (found["ledger"], found["seed"]) == ((None, "default"), (4, "file"))
    assert show(command="simulate")["mailbox_requests"] == (10_000, "default")
    assert show()["seed"] == (3, "file")


def test_the_example_of_the_manual_is_understood(file: Path, show: Show) -> None:
    """Every key in the example of the manual is accepted."""
    manual = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    file.write_text(manual.split("<!-- example -->\n```toml\n")[1].split("```")[0], encoding="utf-8")
    found = show()
    assert found["max_failures"] == ("2%", "file")
    assert found["window"] == (["20:00-06:00", "12:00-13:00"], "file")


def test_no_password_of_an_address_is_shown(file: Path, show: Show) -> None:
    """A password in an address is not shown by ``config show``."""
    file.write_text('graph_url = "https://ann:hunter2@graph.example"\n')
    assert "hunter2" not in str(show())


def test_showing_settings_changes_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command requires is shown as not set, and is required as before when the command itself is called."""
    assert run(["config", "show", "shard", "cut"]) == 0
    capsys.readouterr()
    assert run(["shard", "cut", "x.csv", "--ledger", "L", "-o", "S", "--yes"]) == 2
    assert "Missing option '--shards'" in capsys.readouterr().err
