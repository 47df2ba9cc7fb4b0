"""Tests of the limits of a run: none can be made outside its bounds, whoever makes it, and the sentence names the field."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.cli.commands.run import run
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.purge_options import limits_from
from purgeengine.errors import UsageProblem
from purgeengine.jobs.reads.reading import HASTY, PATIENT
from purgeengine.run_limits import RANGES, Limits, refuse_unusable

NUMBERS = sorted(RANGES)
FIELDS = sorted(field.name for field in fields(Limits))
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**4_400, 10**4_401)
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
    | st.sets(st.integers())
)


def test_every_limit_has_its_bounds_and_a_reason() -> None:
    """No field is forgotten, each default is within its bounds, and no bound is above what Graph allows for certain."""
    assert {*RANGES, "fanout", "lanes"} == set(FIELDS)
    assert all(bound.least < bound.most and bound.why.endswith(".") for bound in RANGES.values())
    assert (RANGES["mailbox_concurrent_max"].most, RANGES["batch_items_max"].most) == (4, 20)
    assert Limits() == Limits(**{name: getattr(Limits(), name) for name in FIELDS})


@pytest.mark.parametrize("name", NUMBERS)
def test_both_ends_of_a_bound_are_allowed_and_nothing_beyond(name: str) -> None:
    """The smallest and the largest value make limits; what lies beyond them, and what is no number, is refused by name."""
    bound = RANGES[name]
    step = 1 if bound.whole else 1e-6
    for value in (bound.least, bound.most):
        assert getattr(Limits(**{name: value}), name) == value  # type: ignore[arg-type]
    wrong: list[Any] = [bound.least - step, nan, -inf, True, str(bound.least), None, -(10**5_000)]
    wrong += [bound.least + 0.5] if bound.whole else []
    wrong += [bound.most + step, inf, 10**5_000] if bound.most < inf else []
    for value in wrong:
        with pytest.raises(UsageProblem, match=f"^{name} must be a (whole )?number .* not .*{bound.why}"):
            Limits(**{name: value})
        with pytest.raises(UsageProblem, match=f"^{name} "):
            replace(PATIENT, **{name: value})


@given(name=st.sampled_from(FIELDS), value=ANYTHING)
def test_whatever_is_given_makes_valid_limits_or_a_sentence(name: str, value: Any) -> None:
    """No value makes a traceback, a long sentence or a control character, and what was taken is what stands in the limits."""
    try:
        limits = Limits(**{name: value})
    except UsageProblem as error:
        text = str(error)
        assert text.startswith(f"{name} must be ")
        assert text.endswith(".")
        assert text.isprintable()
        assert len(text) < 400
    else:
        assert getattr(limits, name) is value
        refuse_unusable({name: value})


@pytest.mark.parametrize("value", [40, True, 4.0, "4", "AUTO", None, [4], {4}, nan, b"auto"])
def test_a_fanout_is_one_of_three(value: Any) -> None:
    """Numbers that only equal an allowed one would be written to the ledger in another form."""
    with pytest.raises(UsageProblem, match=r"^fanout must be auto, 4 or 20, not "):
        Limits(fanout=value)


@pytest.mark.parametrize("value", ["no", 0, 1, None])
def test_lanes_are_on_or_off(value: Any) -> None:
    """A text would always mean True."""
    with pytest.raises(UsageProblem, match=r"^lanes must be True or False, not "):
        Limits(lanes=value)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--connections", "0"),
        ("--connections", "600"),
        ("--mailbox-requests", "0"),
        ("--mailbox-window-s", "-1"),
        ("--mailbox-window-s", "nan"),
        ("--rate", "0"),
        ("--quarantine-s", "0"),
        ("--quarantine-s", "inf"),
        ("--quarantine-s", "3601"),
    ],
)
def test_the_command_line_names_its_options(flag: str, value: str) -> None:
    """A limit that makes no sense is refused with the name of the option that gave it."""
    options = run.make_context("run", ["input.csv", "--ledger", "ledger", flag, value]).params
    with pytest.raises(UsageProblem, match=f"^{flag} must be a "):
        limits_from(options)
    with pytest.raises(UsageProblem, match=r"^--rate must be "):
        refuse_unusable({"requests_per_s": None}, as_flags)


def test_limits_never_change() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(FrozenInstanceError):
        Limits().connections = 1_000  # type: ignore[misc]
    assert (PATIENT.connections, HASTY.attempts_max) == (1, 3)
