"""The JSON Schemas of ``--json`` and the tables of docs/json.md, made from the types in `purgeengine.json_output`.

`python -m tests.support.json_schemas` writes them anew. `tests/json_output/test_schemas.py` fails while they differ from the types.
The docstring below a field is its meaning. A field whose docstring begins with "Deprecated:" is marked so in the schema.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from purgeengine import errors, log_events
from purgeengine.errors import PurgeEngineError
from purgeengine.json_output import catalog
from purgeengine.json_output.envelope import WHAT_TO_DO, Failed, Output
from purgeengine.json_output.log_line import LogLine
from purgeengine.json_output.shared import InputOutput

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "purgeengine" / "schemas"
PAGE = ROOT / "docs" / "json.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
BEGIN = "<!-- tables: python -m tests.support.json_schemas writes what follows -->\n"
ABOUT_EVENTS = (
    "Every event has these keys, and values of its own. "
    "The last one, `run.ended` or `run.stopped`, has the figures of the summary of `run`."
)
DEPRECATED = "Deprecated:"
EVENT = re.compile("[a-z]+[.][a-z]+")
NAMES = (*catalog.OUTPUTS, catalog.LOG)


def types_of(name: str) -> tuple[type[Struct], ...]:
    """Return the types of the objects that a command prints, or that the log has."""
    return catalog.LOG_LINES if name == catalog.LOG else catalog.OUTPUTS[name]


def bases_of(kind: type[Struct]) -> list[type[Struct]]:
    """Return the class and the structs that it extends, the first of them first."""
    return [base for base in reversed(kind.__mro__) if issubclass(base, Struct) and base is not Struct]


def meanings_of(kind: type[Struct]) -> dict[str, str]:
    """Return the docstring of each field, on one line. A class that extends another has its fields as well."""
    found: dict[str, str] = {}
    for base in bases_of(kind):
        (node,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body
        assert isinstance(node, ast.ClassDef), base
        for field, after in zip(node.body, node.body[1:], strict=False):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = _plain(text)
    return found


def _plain(text: str) -> str:
    """Return a docstring on one line, with code in single marks as Markdown has it."""
    return " ".join(text.split()).replace("``", "`")


def structs_in(kinds: tuple[type[Struct], ...]) -> dict[str, type[Struct]]:
    """Return these types and all that their fields mention, by name."""
    found: dict[str, type[Struct]] = {}

    def look(info: Any) -> None:
        match info:
            case msgspec.inspect.StructType(cls=cls, fields=fields):
                if cls.__name__ not in found:
                    found[cls.__name__] = cls
                    for field in fields:
                        look(field.type)
            case msgspec.inspect.ListType(item_type=item):
                look(item)
            case msgspec.inspect.DictType(value_type=value):
                look(value)
            case msgspec.inspect.UnionType(types=types):
                for one in types:
                    look(one)

    for kind in kinds:
        look(msgspec.inspect.type_info(kind))
    return found


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of what a command prints, or of a line of the log."""
    kinds = types_of(name)
    refs, defs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    structs = structs_in(kinds)
    what = "A line of --log-format json" if name == catalog.LOG else f"What purgeengine {name} prints with --json"
    return {
        "$schema": DIALECT,
        "$id": f"urn:purgeengine:1:{catalog.file_of(name).removesuffix('.json')}",
        "title": what,
        **({"anyOf": list(refs)} if len(refs) > 1 else refs[0]),
        "$defs": {key: _described(structs[key], definition) for key, definition in sorted(defs.items())},
    }


def events() -> dict[str, str]:
    """Return the meaning of each event of the log, by its name."""
    found = {}
    body = ast.parse(inspect.getsource(log_events)).body
    for node, after in pairwise(body):
        match node, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(event))),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if EVENT.fullmatch(event) and name == event.replace(".", "_").upper():
                found[event] = _plain(text)
    return found


def _described(kind: type[Struct], definition: Mapping[str, Any]) -> dict[str, Any]:
    """Add the meanings of the fields. Every field is required, because every one is printed, also one with a default."""
    meanings = meanings_of(kind)
    ordered = [name for base in bases_of(kind) for name in base.__struct_fields__]
    properties = {}
    for name in dict.fromkeys(ordered):
        said = {key: value for key, value in definition["properties"][name].items() if key != "default"}
        said["description"] = meanings[name]
        if meanings[name].startswith(DEPRECATED):
            said["deprecated"] = True
        properties[name] = said
    return {
        "title": kind.__name__,
        "description": _plain(kind.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def text_of(name: str) -> str:
    """Return the text of a schema file."""
    return json.dumps(schema_of(name), indent=2) + "\n"


# ----------------------------------------------------------------------------------------------------------- the page


def tables() -> str:
    """Return the part of docs/json.md that follows `BEGIN`."""
    parts = ["\n## Every object\n", _table(Output, but=None)]
    parts += ["\n## Kinds of errors\n", "| `error.kind` | exit code | what to do |\n|---|---|---|"]
    parts += [f"| `{kind}` | {code} | {WHAT_TO_DO[kind]} |" for kind, code in kinds_of_errors().items()]
    parts += ["\n## What was read of the input\n", "`plan`, `check`, `run` and `retry` have these keys as well.\n"]
    parts += [_table(InputOutput, but=Output)]
    shown: set[type[Struct]] = set()
    for kind, names in _objects():
        shown.add(kind)
        heading = f"\n## {' and '.join(names) if len(names) < 3 else ', '.join(names)}\n"
        base = InputOutput if issubclass(kind, InputOutput) else Output
        note = "The keys of every object" + (" and of the input" if base is InputOutput else "") + " come first.\n"
        parts += [heading, f"{_sentence(kind)} {note}", _table(kind, but=base)]
    parts += ["\n## A line of the log\n", f"{_sentence(LogLine)}\n", _table(LogLine, but=None)]
    parts += [f"\n{ABOUT_EVENTS}\n", "| event | meaning |\n|---|---|"]
    parts += [f"| `{event}` | {text} |" for event, text in events().items()]
    parts += ["\n## Objects inside these\n"]
    everything = structs_in(tuple(kind for name in NAMES for kind in types_of(name)))
    for name in sorted(set(everything) - {kind.__name__ for kind in (*shown, Failed, LogLine)}):
        parts += [f"### {name}\n", f"{_sentence(everything[name])}\n", f"{_table(everything[name], but=None)}\n"]
    return "\n".join(parts).rstrip() + "\n"


def kinds_of_errors() -> dict[str, str]:
    """Return the exit codes of each kind of error, as the classes of the errors have them."""
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PurgeEngineError)]
    found = {kind: sorted({one.exit_code for one in classes if one.kind == kind}) for kind in WHAT_TO_DO}
    return {kind: ", ".join(map(str, codes)) for kind, codes in found.items()}


def _objects() -> Iterator[tuple[type[Struct], list[str]]]:
    """Yield each object that commands print, with the words for its heading."""
    named: dict[type[Struct], list[str]] = {}
    for command, kinds in catalog.OUTPUTS.items():
        for kind in kinds:
            if kind is not Failed:
                dry = kind.__name__ == "PlanOutput" and command != "plan"
                named.setdefault(kind, []).append(f"`{command}{' --dry-run' if dry else ''}`")
    yield from named.items()


def _sentence(kind: type[Struct]) -> str:
    return _plain(kind.__doc__ or "")


def _table(kind: type[Struct], *, but: type[Struct] | None) -> str:
    """Return the table of a type's fields, without those of the type that it extends."""
    (_,), defs = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    described = _described(kind, defs[kind.__name__])["properties"]
    inherited = set(but.__struct_fields__) if but is not None else set()
    lines = [
        f"| `{name}` | {type_in_words(said)} | {said['description']} |"
        for name, said in described.items()
        if name not in inherited
    ]
    return "\n".join(["| key | type | meaning |", "|---|---|---|", *lines])


def type_in_words(said: Mapping[str, Any]) -> str:
    """Return the type of a schema in a few words, with a link to an object's table."""
    match said:
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": choices}:
            return " or ".join(type_in_words(one) for one in choices)
        case {"enum": values}:
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "array", "items": items}:
            return f"list of {type_in_words(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"object with {type_in_words(values)} by name"
        case {"format": "date-time"}:
            return "time"
        case {"type": kind}:
            words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
            return words.get(kind, kind)
    raise AssertionError(f"a schema without words: {said}")


def page() -> str:
    """Return docs/json.md with tables made anew."""
    prose, _, _ = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return prose + BEGIN + tables()


def main() -> None:
    """Write the schemas and the page."""
    for name in NAMES:
        (FOLDER / catalog.file_of(name)).write_text(text_of(name), encoding="utf-8", newline="\n")
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
