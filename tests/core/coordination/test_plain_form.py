"""Tests of messages and records as plain values: whatever is written is read back, and anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.coordination.lease_messages import Grant, Notice, Over, PassedWait, Question, ReportedWait, Tenure
from purgeengine.core.coordination.plain_form import (
    plain_question,
    plain_record,
    plain_said,
    question_of,
    record_of,
    said_of,
)
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.shard_record import AppWait, HeadRecord, ShardRecord
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.run_figures import RunFigures, StopFigures

NUMBERS, TEXTS, SECONDS = st.integers(0, 2**40), st.text(max_size=20), st.floats(0.0, 1e9)
REPLIES = st.builds(Reply, st.integers(0, 599), TEXTS, TEXTS, st.none() | SECONDS, st.just(b""))
QUESTIONS = st.builds(
    Question,
    tenure=st.builds(Tenure, NUMBERS, NUMBERS, NUMBERS),
    run=TEXTS,
    number=NUMBERS,
    disk=TEXTS,
    client_id=TEXTS,
    holds=st.builds(AppQuota, NUMBERS, NUMBERS),
    wants=st.booleans(),
    wait=st.none() | st.builds(ReportedWait, NUMBERS, SECONDS, st.booleans()),
    wait_heard=NUMBERS,
    figures=st.builds(
        RunFigures,
        settled=st.dictionaries(st.sampled_from(list(Outcome)), NUMBERS),
        calls=NUMBERS,
        per_s=SECONDS,
        left_s=st.none() | SECONDS,
    ),
    stop_figures=st.builds(
        StopFigures,
        ended=NUMBERS,
        recent=st.lists(st.tuples(NUMBERS, st.booleans()), max_size=50).map(tuple),
        denial=st.none() | REPLIES,
    ),
)
WAITS = st.none() | st.builds(PassedWait, NUMBERS, SECONDS, st.booleans())
SAID = st.one_of(
    st.builds(Grant, TEXTS, NUMBERS, NUMBERS, st.builds(AppQuota, NUMBERS, NUMBERS), WAITS, st.none() | TEXTS),
    st.builds(Over, TEXTS, NUMBERS, TEXTS),
    st.builds(Notice, TEXTS, NUMBERS, WAITS, st.none() | TEXTS),
)
SHARDS = st.builds(
    ShardRecord,
    NUMBERS,
    NUMBERS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.booleans(),
    st.none() | NUMBERS,
    st.booleans(),
)
RECORDS = st.builds(
    HeadRecord,
    NUMBERS,
    st.dictionaries(NUMBERS, SHARDS, max_size=5),
    st.dictionaries(TEXTS, st.builds(AppWait, NUMBERS, SECONDS, SECONDS), max_size=3),
)


@given(QUESTIONS)
def test_a_question_comes_back_from_json(question: Question) -> None:
    """Nothing of it is lost on the way."""
    assert question_of(json.loads(json.dumps(plain_question(question)))) == question


@given(SAID)
def test_an_answer_comes_back_from_json(said: Grant | Over | Notice) -> None:
    """Each kind comes back as what it was."""
    assert said_of(json.loads(json.dumps(plain_said(said)))) == said


@given(RECORDS)
def test_a_record_comes_back_from_json(record: HeadRecord) -> None:
    """What one coordinator leaves, the next one finds."""
    assert record_of(json.loads(json.dumps(plain_record(record)))) == record


@pytest.mark.parametrize("read", [question_of, said_of, record_of])
@pytest.mark.parametrize(
    "plain", [{}, {"kind": "grant"}, {"kind": "something new"}, {"shards": 3}, {"term": "x"}, [], None]
)
def test_anything_else_is_refused(read: Any, plain: Any) -> None:
    """Another version may say more, less, or something else. It raises no other error."""
    with pytest.raises(ValueError, match="of this version"):
        read(plain)


def test_a_question_with_something_more_or_less_is_refused() -> None:
    """A version that does not know a field cannot obey it."""
    plain = plain_question(Question(Tenure(0, 1, 1), "run", 1, "disk", "app", AppQuota(1, 1), wants=True))
    for changed in ({**plain, "more": 1}, {name: value for name, value in plain.items() if name != "tenure"}):
        with pytest.raises(ValueError, match="a question of this version"):
            question_of(changed)
