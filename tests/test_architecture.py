"""Tests of the map: every path, class, method, function and constant that `docs/architecture.md` names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "purgeengine"
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOP = "|".join(sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()))
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", MAP)))
PATHS = [name for name in QUOTED if re.fullmatch(r"[\w./-]+(?:\.py|\.toml|\.md|/)", name)]
CLASSES = [name for name in QUOTED if re.fullmatch(r"(?:[A-Z][a-z]+)+", name)]
MEMBERS = [name for name in QUOTED if re.fullmatch(r"(?:[A-Z][a-z]+)+\.\w+", name)]
CONSTANTS = [name for name in QUOTED if re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*", name)]
NAMES = [name for name in QUOTED if re.fullmatch(r"_?[a-z0-9]+(?:_[a-z0-9]+)+", name)]
DRAWN = sorted(set(re.findall(rf"\b(?:{TOP})/[\w/]*(?:\.py)?|\b\w+\.py\b", MAP)))
STAGES = 10
WORDS_MIN = 30


def exists(name: str) -> bool:
    """Return True if the path exists in the repository or in the package."""
    return (ROOT / name).exists() or (PACKAGE / name).exists()


class Defined:
    """What the package defines: members by class, and all other names."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.bases: dict[str, set[str]] = {}
        self.names: set[str] = set()
        for path in PACKAGE.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                self._add(node)

    def _add(self, node: ast.AST) -> None:
        match node:
            case ast.ClassDef():
                self.members.setdefault(node.name, set()).update(members_of(node))
                self.bases.setdefault(node.name, set()).update(
                    base.id for base in node.bases if isinstance(base, ast.Name)
                )
                self.names |= members_of(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.names.add(node.name)
            case ast.Name(ctx=ast.Store()):
                self.names.add(node.id)

    def has_member(self, kind: str, member: str) -> bool:
        """Return True if a class, or one that it extends, defines the member."""
        return member in self.members.get(kind, ()) or any(
            self.has_member(base, member) for base in self.bases.get(kind, ())
        )


def members_of(kind: ast.ClassDef) -> set[str]:
    """Return the methods, fields and attributes (of ``self``) that a class defines."""
    found = set()
    for node in ast.walk(kind):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
                found.add(node.attr)
    return found


@pytest.fixture(scope="module")
def defined() -> Defined:
    """What the package defines, read once."""
    return Defined()


@pytest.mark.parametrize("name", PATHS)
def test_every_path_that_the_map_quotes_exists(name: str) -> None:
    """Every path that the map quotes exists, so that a moved file fails here."""
    assert exists(name), name


@pytest.mark.parametrize("name", DRAWN)
def test_every_path_in_a_drawing_exists(name: str) -> None:
    """Every path in a drawing of the map exists."""
    assert exists(name) or list(PACKAGE.rglob(name)) or (ROOT / "tests" / name).exists(), name


def test_every_class_that_the_map_quotes_exists(defined: Defined) -> None:
    """Every class that the map quotes exists."""
    assert not set(CLASSES) - set(defined.members)


def test_every_member_that_the_map_quotes_exists(defined: Defined) -> None:
    """Every `Class.member` that the map quotes is a method, field or attribute of that class or of one that it extends."""
    assert [name for name in MEMBERS if not defined.has_member(*name.split("."))] == []


def test_every_constant_and_function_that_the_map_quotes_exists(defined: Defined) -> None:
    """Every CONSTANT and every name with an underscore that the map quotes is defined somewhere in the package."""
    assert [name for name in (*CONSTANTS, *NAMES) if name not in defined.names] == []


def test_a_name_that_is_gone_is_noticed(defined: Defined) -> None:
    """A method, a base's method and a constant are found, and misspelt ones are not."""
    assert defined.has_member("Mailbox", "answered")
    assert defined.has_member("Mailbox", "ready_at")
    assert not defined.has_member("Mailbox", "replied")
    assert not defined.has_member("Postbox", "answered")
    assert "THROTTLED" in defined.names
    assert "TROTTLED" not in defined.names


def test_the_map_names_every_module_at_the_door() -> None:
    """The map names every module and folder that stands directly in the package, so that none is left out of it."""
    doors = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    folders = [f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert [name for name in (*doors, *folders) if name not in MAP] == []


def test_the_map_is_whole() -> None:
    """The map names enough paths, classes, stages and words: an expression that finds nothing would pass every other test."""
    assert len(PATHS) > 30
    assert len(CLASSES) >= 5
    assert len(MEMBERS) > 10
    assert len(CONSTANTS) >= 5
    assert len(NAMES) >= 5
    assert {"api/", "sim/"} <= set(DRAWN)
    rows = re.findall(r"^\| (\d+) \| \*\*", MAP, re.MULTILINE)
    assert rows == [str(number) for number in range(1, STAGES + 1)]
    glossary = MAP[MAP.index("## Glossary") :]
    assert glossary.count("\n| ") - 1 >= WORDS_MIN


def test_the_glossary_names_every_outcome() -> None:
    """The glossary names every outcome, because the outcomes are a contract."""
    from purgeengine.core.model import Outcome

    glossary = MAP[MAP.index("## Glossary") :]
    assert [outcome.value for outcome in Outcome if f"`{outcome.value}`" not in glossary] == []
