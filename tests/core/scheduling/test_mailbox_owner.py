"""Tests that a mailbox changes itself: no other module assigns to its attributes, or changes what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import purgeengine
from purgeengine.core.limits.experience import Experience
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.mailbox import Mailbox

PACKAGE = Path(purgeengine.__file__).parent
OWNERS = {"mailbox.py", "mailbox_limits.py", "mailbox_rows.py"}
OTHERS = sorted(
    path
    for folder in ("core/scheduling", "core/limits", "core/forecast", "engine", "jobs")
    for path in (PACKAGE / folder).glob("*.py")
    if path.name not in OWNERS
)
SLOTS = {name for kind in Mailbox.__mro__ for name in getattr(kind, "__slots__", ())}
HELD = {"window", "experience", "alone", "_retries", "_doubtful", "_failing", "_cooldown"}
"""Attributes with a value that can be changed in place."""
LOOKS = {"room", "opens_at", "carries_at", "rows_max", "cautious", "at_full_speed", "refuses_all", "to_be_confirmed"}
"""Names of those values that only read; all their other methods change them."""
CHANGES = {name for kind in (Window, Experience, list) for name in vars(kind) if callable(getattr(kind, name))} - LOOKS


def changes(tree: ast.AST) -> Iterator[str]:
    """Each place where an attribute of another object that a mailbox has is assigned, or what it holds is changed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            if node.attr in SLOTS and not _is_self(node.value):
                yield f"line {node.lineno}: {ast.unparse(node)} is assigned"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value
            foreign = isinstance(held, ast.Attribute) and held.attr in HELD and not _is_self(held.value)
            if foreign and node.func.attr in CHANGES:
                yield f"line {node.lineno}: {ast.unparse(node.func)}() is called"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "self"


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nobody_else_changes_a_mailbox(path: Path) -> None:
    """Every change of a mailbox from outside is a call of one of its methods."""
    assert list(changes(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        "mailbox.parked = True",
        "mailbox.held_back += 1",
        "mailbox.closing, x = 1, 2",
        "flight.shares[0].limit = 3",
        "mailbox.alone.append(row)",
        "mailbox.window.sent(3)",
        "mailbox.experience.went_well()",
        "setattr(mailbox, 'limit', 3)",
    ],
)
def test_each_way_to_change_one_is_noticed(line: str) -> None:
    """The search finds each way to change a mailbox."""
    assert len(list(changes(ast.parse(line)))) == 1


def test_looking_is_allowed() -> None:
    """Reading a mailbox is allowed, and so is a change of an object's own attributes."""
    for line in ("x = mailbox.limit", "mailbox.window.room(now)", "self.limit = 3", "mailbox.block(3.0)"):
        assert list(changes(ast.parse(line))) == []


def test_a_mailbox_has_slots_alone() -> None:
    """A mailbox has no ``__dict__``, so that the list of its attributes is complete."""
    assert len(SLOTS) > 20
    assert all("__slots__" in vars(kind) for kind in Mailbox.__mro__ if kind is not object)
    assert len(OTHERS) > 20
