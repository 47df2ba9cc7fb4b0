"""Tests of the kept fuzz inputs, played through their targets without a fuzzer."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.fuzz.__main__ import CORPUS, NAMES, as_dictionary

PER_TEST = 25
"""Inputs played in one test: a test costs more than an input."""


def kept() -> list[object]:
    """Return the corpus as test parameters, by target and a few inputs each."""
    found: list[object] = []
    for name in NAMES:
        paths = sorted((CORPUS / name).iterdir())
        for start in range(0, len(paths), PER_TEST):
            found.append(pytest.param(name, paths[start : start + PER_TEST], id=f"{name}-{start}"))
    return found


@pytest.mark.parametrize(("name", "paths"), kept())
def test_no_kept_input_breaks_its_target(name: str, paths: list) -> None:
    """A kept input, which once broke something or reaches rare code, does not break its target."""
    case = import_module(f"tests.fuzz.targets.{name}").case
    for path in paths:
        try:
            case(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name} breaks {name}: {type(error).__name__}: {error}") from error


def test_every_target_has_inputs_and_a_dictionary() -> None:
    """Every target has kept inputs and tokens, and the dictionary is one that libFuzzer can read."""
    assert [name for name in NAMES if not any((CORPUS / name).iterdir())] == []
    assert as_dictionary((b'a"\n\xff',)) == '"\\x61\\x22\\x0a\\xff"\n'
    for name in NAMES:
        assert import_module(f"tests.fuzz.targets.{name}").TOKENS


def test_the_corpus_stays_small() -> None:
    """The corpus stays below 300 kB, because every test run plays it."""
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000
