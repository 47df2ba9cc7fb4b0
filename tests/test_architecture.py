"""Tests of the map: every path and class that `docs/architecture.md` names exists."""

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
    """Return True if the path exists in the repository or in the package."""
    return (ROOT / name).exists() or (PACKAGE / name).exists()


def defined() -> set[str]:
    """Return the names of all classes of the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
    return found


@pytest.mark.parametrize("name", PATHS)
def test_every_path_that_the_map_quotes_exists(name: str) -> None:
    """Every path that the map quotes exists, so that a moved file fails here."""
    assert exists(name), name


@pytest.mark.parametrize("name", DRAWN)
def test_every_path_in_a_drawing_exists(name: str) -> None:
    """Every path in a drawing of the map exists."""
    assert exists(name) or list(PACKAGE.rglob(name)) or (ROOT / "tests" / name).exists(), name


def test_every_class_that_the_map_quotes_exists() -> None:
    """Every class that the map quotes exists."""
    assert not set(CLASSES) - defined()


def test_the_map_is_whole() -> None:
    """The map names enough paths, classes, stages and words: an expression that finds nothing would pass every other test."""
    assert len(PATHS) > 30
    assert len(CLASSES) >= 5
    rows = re.findall(r"^\| (\d+) \| \*\*", MAP, re.MULTILINE)
    assert rows == [str(number) for number in range(1, STAGES + 1)]
    glossary = MAP[MAP.index("## Glossary") :]
    assert glossary.count("\n| ") - 1 >= WORDS_MIN


def test_the_glossary_names_every_outcome() -> None:
    """The glossary names every outcome, because the outcomes are a contract."""
    from purgeengine.core.model import Outcome

    glossary = MAP[MAP.index("## Glossary") :]
    assert [outcome.value for outcome in Outcome if f"`{outcome.value}`" not in glossary] == []
