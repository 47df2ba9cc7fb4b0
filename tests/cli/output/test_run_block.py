"""Tests of the block that stands for a run: what it shows, and that it fits in any terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from purgeengine.cli.output.glyphs import ASCII, LINES
from purgeengine.cli.output.run_block import (
    Mood,
    RunFacts,
    block_lines,
    rows_when_wrapped,
    stopping_words,
)

FACTS = RunFacts(
    620,
    1_200,
    ["620 of 1,200 rows", "52/s", "left about 1 min 40 s"],
    ["purged 580", "absent 20", "refused 8", "skipped 12"],
    ["throttled mailboxes 12", "lost calls 5"],
)


def texts(facts: RunFacts, width: int, glyphs: object = LINES) -> list[str]:
    """Return the lines without styles."""
    return [line.text for line in block_lines(facts, width, glyphs)]  # type: ignore[arg-type]


def test_a_wide_terminal_has_three_lines() -> None:
    """The bar stands beside the figures, and outcomes and trouble have a line each."""
    first, *others = texts(FACTS, 100)
    assert first.count("━") == 20
    assert first.endswith("  51 % · 620 of 1,200 rows · 52/s · left about 1 min 40 s")
    assert others == ["purged 580 · absent 20 · refused 8 · skipped 12", "throttled mailboxes 12 · lost calls 5"]


def test_forty_columns_have_everything() -> None:
    """In forty columns the bar has a line of its own, and no fact is missing or cut."""
    lines = texts(FACTS, 40)
    assert max(map(len, lines)) <= 40
    for fact in (*FACTS.figures, *FACTS.outcomes, *FACTS.notes):
        assert any(fact in line for line in lines), (fact, lines)


def test_ascii_has_no_other_character() -> None:
    """With ASCII every line is ASCII, and the bar still shows what is done."""
    lines = texts(FACTS, 100, ASCII)
    assert "".join(lines).isascii()
    assert lines[0].startswith("#" * 20 + "-" * 19)


def test_a_hundred_per_cent_is_said_at_the_end_only() -> None:
    """One row of a million that is left is not 100 %. An empty list is done."""
    assert "99 %" in texts(RunFacts(999_999, 1_000_000, []), 80)[0]
    assert "100 %" in texts(RunFacts(5, 5, []), 80)[0]
    assert "100 %" in texts(RunFacts(0, 0, []), 80)[0]


def test_the_bar_is_red_only_in_an_outage() -> None:
    """A run that fares well has a green bar, one that waits a yellow one, and only an outage a red one."""
    for mood, colour in ((Mood.WELL, "green"), (Mood.WAITING, "yellow"), (Mood.OUT, "red")):
        facts = RunFacts(5, 10, [], mood=mood)
        styles = {style for line in block_lines(facts, 80, LINES) for _, style in line.pieces}
        assert colour in styles
        assert styles & {"green", "yellow", "red"} == {colour}


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.lists(st.text("abc 1234,", min_size=1, max_size=200), max_size=5),
    st.integers(1, 300),
)
def test_no_line_is_wider_than_the_terminal(done: int, rows: int, parts: list[str], width: int) -> None:
    """Whatever is told, no line is wider than the terminal, and no line is longer than can be read."""
    for line in texts(RunFacts(done, rows, parts, parts, parts), width):
        assert len(line) <= min(width, 120)


def test_what_a_stop_waits_for_is_told_with_its_time() -> None:
    """A stop says how many answers it waits for and for how long at most."""
    assert stopping_words(38, 20.6) == "stopping: waiting for 38 answers, 21 s at most"
    assert stopping_words(1, 3.0) == "stopping: waiting for 1 answer, 3 s at most"


def test_lines_that_a_narrower_terminal_wraps_are_counted() -> None:
    """A line of 79 letters takes two rows of 40 columns, an empty line takes one."""
    assert rows_when_wrapped(["x" * 79, "", "x" * 40, "x" * 41], 40) == 2 + 1 + 1 + 2
