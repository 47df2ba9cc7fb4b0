"""Tests of the value that holds the time left: its sentence, its JSON, and how it ages."""

from __future__ import annotations

import json

import pytest

from purgeengine.core.forecast.time_left import Awaited, TimeLeft, in_words

SENTENCES = {
    TimeLeft(200.0): "left about 3 min 20 s",
    TimeLeft(0.2): "left about 1 s",
    TimeLeft(None, Awaited.ANSWERS, 38, 21.0): "waiting for 38 answers, 21 s at most",
    TimeLeft(None, Awaited.ANSWERS, 1, 0.0): "waiting for 1 answer, 1 s at most",
    TimeLeft(None, Awaited.FIRST_ANSWERS, for_s=30.0): "waiting for the first answers of this run, 30 s at most",
    TimeLeft(None, Awaited.FIRST_ANSWERS): "waiting for the first answers of this run",
    TimeLeft(None, Awaited.HOURS): "time left known once it sends",
    TimeLeft(None, Awaited.GRAPH, for_s=12.0): "waiting for Graph to answer, next try in 12 s",
    TimeLeft(None, Awaited.GRAPH, for_s=0.0): "waiting for Graph to answer",
    TimeLeft(None, Awaited.TOKEN): "waiting for another token",
    TimeLeft(
        None, Awaited.MAILBOXES, 1, 250.0
    ): "waiting for 1 mailbox that Graph keeps waiting, next try in 4 min 10 s",
    TimeLeft(None, Awaited.MAILBOXES, 2, 0.0): "waiting for 2 mailboxes that Graph keeps waiting",
    TimeLeft(45.0, Awaited.RETRY_AFTER, for_s=30.0): "left about 45 s, waiting 30 s as Graph asked",
    TimeLeft(
        20.0, Awaited.LOST_CALLS, 3, 8.0
    ): "left about 20 s, waiting for 3 mailboxes after lost calls, next try in 8 s",
    TimeLeft(None, Awaited.UNTIL): "--until comes before the end",
}


@pytest.mark.parametrize(("left", "sentence"), SENTENCES.items())
def test_there_is_one_sentence_for_everything_that_can_be_waited_for(left: TimeLeft, sentence: str) -> None:
    """Each kind of wait has its sentence, with the count and the seconds that belong to it."""
    assert in_words(left) == sentence


def test_no_kind_of_wait_lacks_a_sentence() -> None:
    """The table above holds every kind, so that a new one needs a sentence as well."""
    assert {left.awaited for left in SENTENCES} == {None, *Awaited}


@pytest.mark.parametrize("left", SENTENCES)
def test_what_is_written_as_json_is_read_back(left: TimeLeft) -> None:
    """A round trip through JSON keeps the value, to a tenth of a second."""
    assert TimeLeft.of_json(json.loads(json.dumps(left.as_json()))) == left


@pytest.mark.parametrize("found", [{}, {"left_s": "soon"}, [], {**TimeLeft(1.0).as_json(), "waiting_for": "godot"}])
def test_json_that_is_something_else_is_refused(found: object) -> None:
    """Whatever else stands in the file raises one of the three errors that a reader catches."""
    with pytest.raises((LookupError, TypeError, ValueError)):
        TimeLeft.of_json(found)  # type: ignore[arg-type]


def test_it_ages_and_never_falls_below_zero() -> None:
    """Three seconds later, three seconds fewer are left, of the time and of the wait alike."""
    assert TimeLeft(10.0).later(3.0) == TimeLeft(7.0)
    assert TimeLeft(2.0).later(3.0) == TimeLeft(0.0)
    assert TimeLeft(None, Awaited.ANSWERS, 2, 5.0).later(3.0) == TimeLeft(None, Awaited.ANSWERS, 2, 2.0)
    assert TimeLeft(None, Awaited.TOKEN).later(3.0) == TimeLeft(None, Awaited.TOKEN)
