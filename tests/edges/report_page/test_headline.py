"""Tests of the headline: which sentence the page begins with, and that nothing doubtful is called a success."""

from __future__ import annotations

from typing import Any

import pytest

from purgeengine.core.model import Outcome
from purgeengine.edges.report_page.headline import Headline, Tone, headline_of


def findings(**counts: Any) -> dict[str, Any]:
    """Return findings with these counts. Other outcomes have no row."""
    outcomes = {outcome.value: counts.get(outcome.value, 0) for outcome in Outcome}
    waiting, in_doubt = counts.get("waiting", 0), counts.get("in_doubt", 0)
    return {
        "outcomes": outcomes,
        "rows": sum(outcomes.values()) + waiting + in_doubt,
        "waiting": waiting,
        "in_doubt": in_doubt,
        "complete": not waiting + in_doubt,
        "running": counts.get("running", False),
        "nothing_found": counts.get("nothing_found"),
        "left_out_rows": counts.get("left_out", 0),
        "left_out_by": counts.get("left_out_by", []),
        "asked": {"action": counts.get("action", "permanentDelete")},
    }


WRONG_IDS = {"overall": True, "message": "Not one was found."}


@pytest.mark.parametrize(
    ("counts", "tone", "title", "lead"),
    [
        ({"purged": 1}, Tone.WELL, "The contact of the list is gone.", "1 contact was purged."),
        (
            {"purged": 1_079, "absent": 1, "duplicate": 1}, Tone.WELL, "Every row of the list ended well.",
            "1,079 contacts were purged, and 1 was not found. 1 row repeats an earlier row.",
        ),
        (
            {"purged": 2, "action": "delete"}, Tone.WELL, "Every row of the list ended well.",
            "2 contacts were moved to Deleted Items.",
        ),
        ({}, Tone.DOUBT, "Nothing was purged: the list was empty.", "Check that it is the right list."),
        (
            {"absent": 1, "nothing_found": WRONG_IDS}, Tone.DOUBT,
            "Nothing was purged: the one contact of the list was not found.", "",
        ),
        (
            {"absent": 1_200, "nothing_found": WRONG_IDS}, Tone.DOUBT,
            "Nothing was purged: none of the 1,200 contacts of the list was found.", "",
        ),
        (
            {"absent": 3}, Tone.DOUBT, "Nothing was purged: no contact of the list was found.",
            "Look at a few of these contacts before you take this for done.",
        ),
        (
            {"purged": 1, "absent": 19, "nothing_found": WRONG_IDS}, Tone.DOUBT,
            "Check this result: 19 of 20 contacts were not found.",
            "1 contact was purged, and 19 were not found.",
        ),
        (
            {"purged": 222, "skipped": 150, "left_out": 150, "left_out_by": ["--exclude-users"]}, Tone.WELL,
            "222 rows ended well, 150 were left out as asked.",
            "222 contacts were purged. 150 rows were left out by --exclude-users, as asked.",
        ),
        (
            {"purged": 2, "refused": 1, "skipped": 2, "left_out": 1, "left_out_by": ["--only-users"]}, Tone.BADLY,
            "2 of 5 rows did not end well.",
            "2 contacts were purged. 1 row was left out by --only-users, as asked. Below is what happened to the others, and "
            "what to do about it.",
        ),
        (
            {"skipped": 3, "left_out": 3, "left_out_by": ["--only-users", "--protected-users"]}, Tone.DOUBT,
            "Nothing was purged: --only-users and --protected-users left out all 3 rows.",
            "Check that it is the right list of users.",
        ),
        (
            {"purged": 8, "refused": 1}, Tone.BADLY, "1 of 9 rows did not end well.",
            "8 contacts were purged. Below is what happened to the other one, and what to do about it.",
        ),
        (
            {"refused": 1, "exhausted": 1, "skipped": 1, "invalid": 1, "absent": 1}, Tone.BADLY,
            "4 of 5 rows did not end well.",
            "No contact was purged, and 1 was not found. Below is what happened to the others, and what to "
            "do about it.",
        ),
        (
            {"refused": 4, "skipped": 46}, Tone.BADLY, "None of the 50 rows ended well.",
            "No contact was purged. Below is why, and what to do about it.",
        ),
        (
            {"invalid": 1}, Tone.BADLY, "The row of the list did not end well.",
            "No contact was purged. Below is why, and what to do about it.",
        ),
        (
            {"purged": 7, "waiting": 1, "in_doubt": 1, "running": True, "refused": 1}, Tone.OPEN,
            "Running: 8 of 10 rows have an outcome.", "2 rows are left. 1 did not end well so far.",
        ),
        (
            {"waiting": 1, "running": None}, Tone.OPEN, "Not finished: 1 of 1 row has no outcome yet.",
            "To resume, give the same command again, unless a run is going on.",
        ),
        (
            {"waiting": 2, "in_doubt": 1}, Tone.OPEN, "Not finished: 3 of 3 rows have no outcome yet.",
            "No run is going on. To resume, give the same command again. 1 of them is in doubt: sent, and the answer is not known.",
        ),
    ],
)  # fmt: skip
def test_a_page_begins_with_how_the_purge_ended(counts: dict[str, Any], tone: Tone, title: str, lead: str) -> None:
    """The headline fits the counts: numbers, singular and plural, and the action."""
    assert headline_of(findings(**counts)) == Headline(tone, title, lead)


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome not in (Outcome.PURGED, Outcome.DUPLICATE)]
)
def test_only_purged_contacts_make_a_success(outcome: Outcome) -> None:
    """A list without a purged contact is never called a success, whatever its rows became."""
    assert headline_of(findings(**{outcome.value: 5})).tone is not Tone.WELL
