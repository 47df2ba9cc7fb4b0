"""The map is true: what `docs/architecture.md` names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "purgeengine"
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", MAP)))
PATHS = [name for name in QUOTED if re.fullmatch(r"[\w./-]+(?:\.py|\.toml|\.md|/)", name)]
CLASSES = [name for name in QUOTED if re.fullmatch(r"(?:[A-Z][a-z]+)+", name)]
DRAWN = sorted(set(re.findall(r"\b(?:cli|jobs|engine|core|edges|sim)/[\w/]*(?:\.py)?|\b\w+\.py\b", MAP)))
STAGES = 10
WORDS_MIN = 30


def exists(name: str) -> bool:
    """Whether the path is one of the repository or, as the map writes most of them, one below the package."""
    return (ROOT / name).exists() or (PACKAGE / name).exists()


def defined() -> set[str]:
    """Every class of the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
    return found


@pytest.mark.parametrize("name", PATHS)
def test_every_path_that_the_map_quotes_exists(name: str) -> None:
    """A file that moved, or was renamed, fails here until the map says so."""
    assert exists(name), name


@pytest.mark.parametrize("name", DRAWN)
def test_every_path_in_a_drawing_exists(name: str) -> None:
    """The drawings have no backticks, and are held to the same."""
    assert exists(name) or list(PACKAGE.rglob(name)) or (ROOT / "tests" / name).exists(), name


def test_every_class_that_the_map_quotes_exists() -> None:
    """A renamed class fails here."""
    assert not set(CLASSES) - defined()


def test_the_map_is_whole() -> None:
    """It names enough to be of use: a regular expression that finds nothing would pass every other test."""
    assert len(PATHS) > 30
    assert len(CLASSES) >= 5
    rows = re.findall(r"^\| (\d+) \| \*\*", MAP, re.MULTILINE)
    assert rows == [str(number) for number in range(1, STAGES + 1)]
    glossary = MAP[MAP.index("## Glossary") :]
    assert glossary.count("\n| ") - 1 >= WORDS_MIN


def test_the_glossary_names_every_outcome() -> None:
    """The outcomes are a contract; the map must not leave one out."""
    from purgeengine.core.model import Outcome

    glossary = MAP[MAP.index("## Glossary") :]
    assert [outcome.value for outcome in Outcome if f"`{outcome.value}`" not in glossary] == []
