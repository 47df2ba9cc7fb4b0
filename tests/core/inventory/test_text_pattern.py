"""Tests of patterns, against Python's own `fnmatch` and plain examples."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.inventory.text_pattern import path_pattern, plain_text, text_pattern

LETTERS = st.text("abAB*?[]-! ", max_size=12)


@given(LETTERS, st.text("abAB[]-! ", max_size=12))
def test_a_pattern_matches_what_fnmatch_matches(pattern: str, text: str) -> None:
    """With brackets made plain, `fnmatch` of the standard library agrees."""
    said = fnmatch.fnmatchcase(plain_text(text), re.sub(r"\[", "[[]", plain_text(pattern)))
    assert text_pattern(pattern)(text) == said


@given(st.lists(st.sampled_from(["*", "**", "a", "b", "/", "?"]), max_size=8), st.text("ab/", max_size=10))
def test_a_path_pattern_matches_what_a_plain_search_finds(pieces: list[str], path: str) -> None:
    """A search that tries every possibility agrees, for patterns about whole paths."""
    pattern = re.sub(r"\*{2,}", "**", "".join(pieces))
    if "/" not in pattern and "**" not in pattern:
        pattern = f"/{pattern}"

    def finds(tokens: list[str], rest: str) -> bool:
        if not tokens:
            return not rest
        first, *others = tokens
        if first in ("*", "**"):
            ends = range(len(rest) + 1) if first == "**" else range(len(rest.partition("/")[0]) + 1)
            return any(finds(others, rest[end:]) for end in ends)
        return rest[:1] != "" and (rest[0] == first or (first == "?" and rest[0] != "/")) and finds(others, rest[1:])

    assert path_pattern(pattern)(path) == finds(re.findall(r"\*\*|.", pattern), path)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("Fabrikam (synced)", " fabrikam (SYNCED) ", True),
        ("[Sync]", "S", False),
        ("[Sync]", "[sync]", True),
        (r"50\* more", "50* more", True),
        (r"50\* more", "50 or more", False),
        ("*tool*", "first line\nwritten by the tool\n", True),
        ("Am\u00e9lie", "Ame\u0301lie", True),
        ("STRASSE", "straße", True),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_texts(pattern: str, text: str, fits: bool) -> None:
    """Letter case, accents and space do not matter, brackets are plain, and a backslash makes a wildcard plain."""
    assert text_pattern(pattern)(text) == fits


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("Fabrikam", "Contacts/Fabrikam", True),
        ("Fabrikam", "Contacts/A/Fabrikam", True),
        ("Fabrikam", "Contacts/Fabrikam/Sales", False),
        ("Contacts", "Contacts", True),
        ("Contacts/*", "Contacts/Fabrikam", True),
        ("Contacts/*", "Contacts/Fabrikam/Sales", False),
        ("Contacts/**", "Contacts/Fabrikam/Sales", True),
        ("Contacts/**", "Contacts", False),
        (r"A\/B", r"Contacts/A\/B", True),
        (r"A\/B", "Contacts/A/B", False),
        ("B", r"Contacts/A\/B", False),
    ],
)
def test_paths(pattern: str, path: str, fits: bool) -> None:
    """A name alone fits a folder anywhere; a path fits that folder only; two stars fit what is inside."""
    assert path_pattern(pattern)(path) == fits


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    """A note of a hundred thousand letters is searched in less than a second, whatever the pattern."""
    began = time.perf_counter()
    assert not text_pattern("*a" * 20 + "*b")("a" * 100_000)
    assert time.perf_counter() - began < 1
