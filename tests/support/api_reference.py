"""The reference of docs/api.md: tables of the fields of public classes, made from their docstrings.

`python -m tests.support.api_reference` writes the tables anew. `tests/test_api_reference.py` fails while they differ from the code.
A field without a docstring keeps the meaning that the page gives it. A field whose docstring begins with "Internal:" is left out.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import purgeengine

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
NAMES = (
    "Limits",
    "SendingHours",
    "PurgePreview",
    "Progress",
    "Summary",
    "Advice",
    "Counts",
    "Failure",
)
"""The classes, in the order of the page."""
HEAD = "| field | type | meaning | default |\n|---|---|---|---|\n"
NO_DEFAULT = "–"
COMPUTED = "computed"
INTERNAL = "Internal:"
"""Begins the docstring of a field that callers have no use for."""


class Field(NamedTuple):
    """One field or property of a class. ``meaning`` is empty if it has no docstring."""

    name: str
    type: str
    meaning: str
    default: str


def fields_of(kind: type) -> list[Field]:
    """Return the public fields and properties of a class, in the order of its source."""
    body = _class_of(kind).body
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                found.append(Field(name, _type(node.annotation), _meaning(_text_of(after)), _default(node.value)))
            case ast.FunctionDef(name=name) if _is_property(node) and not name.startswith("_"):
                assert node.returns is not None, name
                found.append(Field(name, _type(node.returns), _meaning(ast.get_docstring(node)), COMPUTED))
    return [field for field in found if not field.meaning.startswith(INTERNAL)]


def table_in(page: str, name: str) -> str:
    """Return the rows of the table of a class on the page; empty if it has none."""
    found = re.search(rf"^<!-- fields of {name} -->\n{re.escape(HEAD)}((?:\|.*\n)*)", page, re.MULTILINE)
    return found[1] if found else ""


def table_for(name: str, page: str) -> str:
    """Return the rows that the table of a class must have. Fields without a docstring keep the meaning of the page."""
    kept = {row[0].strip("`"): row[2] for row in rows_in(page, name)}
    return "".join(
        f"| `{field.name}` | {field.type} | {field.meaning or kept.get(field.name, '')} | {field.default} |\n"
        for field in fields_of(getattr(purgeengine, name))
    )


def rows_in(page: str, name: str) -> list[list[str]]:
    """Return the cells of the table of a class on the page."""
    lines = table_in(page, name).splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def renewed(page: str) -> str:
    """Return the page with its tables made anew."""
    for name in NAMES:
        old = f"<!-- fields of {name} -->\n{HEAD}{table_in(page, name)}"
        assert page.count(old) == 1, f"docs/api.md has no place for the fields of {name}"
        page = page.replace(old, f"<!-- fields of {name} -->\n{HEAD}{table_for(name, page)}")
    return page


def _class_of(kind: type) -> ast.ClassDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    return node


def _is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list)


def _text_of(node: ast.stmt | None) -> str | None:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


def _meaning(text: str | None) -> str:
    """Return a docstring as one line of Markdown."""
    return " ".join((text or "").replace("``", "`").replace("|", "\\|").split())


def _type(annotation: ast.expr) -> str:
    return " or ".join(f"`{one.strip()}`" for one in ast.unparse(annotation).split(" | "))


def _default(value: ast.expr | None) -> str:
    match value:
        case None:
            return NO_DEFAULT
        case ast.Call(func=ast.Name(id="field"), keywords=[ast.keyword(arg="default_factory")]) | ast.Tuple(elts=[]):
            return "empty"
        case ast.Constant(value=""):
            return "empty"
    return f"`{ast.unparse(value)}`"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
