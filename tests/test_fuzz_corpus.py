"""Every input that fuzzing found worth keeping, played through the same targets without a fuzzer."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.fuzz.__main__ import CORPUS, NAMES, as_dictionary

PER_TEST = 25
"""Inputs played in one test: a test costs more than an input."""


def kept() -> list[object]:
    """The corpus by target, a handful at a time."""
    found: list[object] = []
    for name in NAMES:
        paths = sorted((CORPUS / name).iterdir())
        for start in range(0, len(paths), PER_TEST):
            found.append(pytest.param(name, paths[start : start + PER_TEST], id=f"{name}-{start}"))
    return found


@pytest.mark.parametrize(("name", "paths"), kept())
def test_no_kept_input_breaks_its_target(name: str, paths: list) -> None:
    """What once broke something, and what reaches the odd corners of the code, holds today."""
    case = import_module(f"tests.fuzz.targets.{name}").case
    for path in paths:
        try:
            case(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name} breaks {name}: {type(error).__name__}: {error}") from error


def test_every_target_has_inputs_and_a_dictionary() -> None:
    """A target without a corpus would be played by nobody, and libFuzzer refuses a dictionary that it cannot read."""
    assert [name for name in NAMES if not any((CORPUS / name).iterdir())] == []
    assert as_dictionary((b'a"\n\xff',)) == '"\\x61\\x22\\x0a\\xff"\n'
    for name in NAMES:
        assert import_module(f"tests.fuzz.targets.{name}").TOKENS


def test_the_corpus_stays_small() -> None:
    """It is played with every test run."""
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000
