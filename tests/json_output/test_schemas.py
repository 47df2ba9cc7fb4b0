"""Tests of the contract of ``--json``: schemas and page equal the types, and one thing has one name and one type everywhere."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any, get_args

import click
import jsonschema
import pytest

from purgeengine.cli.main import COMMANDS, cli, run
from purgeengine.core.forecast.estimate import Decider
from purgeengine.core.graph.operations import Action
from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.outputs.exporting import FORMATS
from purgeengine.errors import ErrorKind
from purgeengine.jobs.reads.preflight import Level
from purgeengine.json_output import catalog, export_output, shared
from purgeengine.json_output.envelope import WHAT_TO_DO
from tests.support import json_schemas
from tests.support.json_schemas import FOLDER, NAMES, PAGE, page, schema_of, text_of

DIFFERENT = {
    "contact": "the column that was taken for the role, beside a contact's id",
    "dry_run": "always false in the summary of a run",
    "failures": "a report adds examples and remedies to each answer",
    "folder": "the column that was taken for the role, beside a folder of the disk",
    "kind": "the kinds of errors are a contract; notes about an input may get new kinds",
    "largest_mailboxes": "a report adds the work of each mailbox",
    "latencies": "always assumed before a run",
    "ledgers": "a report adds figures to each ledger",
    "level": "the level of a check, and that of a log line",
    "mailboxes": "a list in nothing_found, as its key has always been; a number everywhere else",
    "user": "the column that was taken for the role, beside a mailbox",
    "value": "a cell of a list, beside the value of a setting",
}
"""Keys that do not have one type, each with the reason."""


def definitions() -> dict[str, dict[str, Any]]:
    """Return the definitions of all objects, by name. The same name means the same object in each schema."""
    found: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        for kind, definition in schema_of(name)["$defs"].items():
            assert found.setdefault(kind, definition) == definition, kind
    return found


def test_the_shipped_schemas_equal_the_types() -> None:
    """Every schema in the package equals what is made from the types, and there is no other file."""
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(catalog.file_of(name) for name in NAMES)
    for name in NAMES:
        shipped = (FOLDER / catalog.file_of(name)).read_text(encoding="utf-8")
        assert shipped == text_of(name), f"{name}: python -m tests.support.json_schemas"


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_schemas(name: str) -> None:
    """Each schema is one by the meta-schema of JSON Schema 2020-12, and each of its references leads somewhere."""
    schema = json.loads((FOLDER / catalog.file_of(name)).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    refs = re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema))
    assert set(refs) == set(schema["$defs"])


def test_the_page_equals_the_types() -> None:
    """The tables of docs/json.md are those of the types."""
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.support.json_schemas"


def test_every_command_with_json_is_in_the_catalog() -> None:
    """The catalog has each command that takes --json, and no other."""
    found = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        several = command.commands.items() if isinstance(command, click.Group) else [("", command)]
        found += [f"{name} {part}".strip() for part, one in several if any("--json" in p.opts for p in one.params)]
    assert sorted(found) == sorted(catalog.OUTPUTS)


def test_the_words_in_the_schemas_are_those_of_the_code() -> None:
    """Every list of words in a schema has the words of the enumeration that the code uses."""
    assert list(shared.Outcomes.__struct_fields__) == [outcome.value for outcome in Outcome]
    assert list(get_args(shared.ActionName)) == [action.value for action in Action]
    assert list(get_args(export_output.ExportFormat)) == list(FORMATS.values())
    assert list(WHAT_TO_DO) == list(get_args(ErrorKind))
    found = definitions()
    (decides, _) = found["PlanOutput"]["properties"]["decides"]["anyOf"]
    assert decides["enum"] == sorted(decider.value for decider in Decider)
    assert found["CheckFinding"]["properties"]["level"]["enum"] == sorted(level.value for level in Level)


def test_one_key_has_one_type() -> None:
    """A key has the same type wherever it stands, apart from null, except for those in the list, of which each is needed."""
    types: dict[str, set[str]] = defaultdict(set)
    for definition in definitions().values():
        for key, said in definition["properties"].items():
            bare = {name: value for name, value in said.items() if name not in ("description", "deprecated")}
            choices = [one for one in bare.get("anyOf", [bare]) if one != {"type": "null"}]
            if choices:
                types[key].add(json.dumps(choices, sort_keys=True))
    assert {key for key, found in types.items() if len(found) > 1} == set(DIFFERENT)


def test_names_tell_times_and_durations() -> None:
    """A key ends in _utc if and only if it is a time of the one form, and numbers of seconds end in _s."""
    for definition in definitions().values():
        for key, said in definition["properties"].items():
            is_time = '"date-time"' in json.dumps(said)
            assert is_time == (key.endswith("_utc") or key == "timestamp"), key
            if "seconds" in said["description"] and '"number"' in json.dumps(said):
                assert key.endswith("_s"), key


def test_every_field_is_described_and_required() -> None:
    """Every field has a meaning, and is required: a key is never missing."""
    for name, definition in definitions().items():
        assert definition["description"].endswith("."), name
        assert definition["required"] == list(definition["properties"]), name
        for key, said in definition["properties"].items():
            assert said["description"].endswith((".", ")")), (name, key)
            assert said.get("deprecated", False) == said["description"].startswith("Deprecated:"), (name, key)


def test_the_command_prints_the_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    """``schema`` lists the names, prints the schema of a command of one word or two, and refuses other names."""
    assert run(["schema"]) == 0
    assert capsys.readouterr().out.split() == sorted(path.stem for path in FOLDER.glob("*.json"))
    assert run(["schema", "config", "show"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("config show")
    assert run(["schema", "log"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("log")
    assert run(["schema", "purge"]) == 2
    assert "There is no schema for 'purge'" in capsys.readouterr().err


def test_a_type_without_words_is_noticed() -> None:
    """A schema that the page has no words for is an error, and not an empty cell."""
    with pytest.raises(AssertionError, match="without words"):
        json_schemas.type_in_words({"not": {}})
