"""What one reading of an input saw, for people: the columns used, first values, notes, and ids that no contact has.

It is gathered while the rows pass, in memory that does not grow with them. `as_plain` turns it into plain values for
a ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.text import escaped, printable
from purgeengine.core.graph.unlikely_ids import ID_CHARS_MIN, Unlikely, unlikely
from purgeengine.edges.source.files.folders import LeftAlone
from purgeengine.edges.source.rows.columns import ALIASES, Layout
from purgeengine.edges.source.rows.notes import Notes

pc: Any = pyarrow.compute  # its type stubs are too narrow (see `checked_rows`)

LAYOUTS_MAX = 20
"""Different choices of columns that are shown. Files with the same choice count together."""
NAMES_MAX = 20
"""Names of files and folders kept of each list. Their full number is kept too."""
SAMPLED = 16
"""Ids of a batch that are looked at one by one. If one of them looks unlikely, all are."""
_GUID_CHARS = 36


@dataclass(slots=True)
class Look:
    """Gathers what one reading saw. Call `see` with every batch in order. The source itself fills ``notes``."""

    rows: int = 0
    valid_rows: int = 0
    notes: Notes = field(default_factory=Notes)
    firsts: dict[int, dict[str, str]] = field(default_factory=dict)
    """For each file, by its index: a first value of each role.

    They are from the first row that can be sent, if the first batch has one.
    """
    unlikely_rows: Counter[Unlikely] = field(default_factory=Counter)
    unlikely_firsts: dict[Unlikely, tuple[int, int, str]] = field(default_factory=dict)
    """The first id of each unlikely kind: index of the file, line, id."""
    first_invalid: tuple[int, int, str] | None = None
    """The first row that cannot be sent: index of the file, line, reason."""

    def see(self, source: int, batch: pa.RecordBatch) -> None:
        """Take the rows of a batch. ``source`` is the index of its file."""
        reason = batch.column("reason")
        self.rows += batch.num_rows
        self.valid_rows += reason.null_count
        if reason.null_count < batch.num_rows:
            if self.first_invalid is None:
                place = pc.index(reason.is_null(), False).as_py()
                self.first_invalid = source, batch.column("line")[place].as_py(), reason[place].as_py()
            valid = batch.filter(pc.is_null(reason))
        else:
            valid = batch
        if source not in self.firsts and batch.num_rows:
            shown = valid if valid.num_rows else batch
            self.firsts[source] = {role: escaped(shown.column(role)[0].as_py()) for role in ALIASES}
        if valid.num_rows and _needs_a_look(valid.column("contact")):
            self._see_unlikely(source, valid)

    def _see_unlikely(self, source: int, valid: pa.RecordBatch) -> None:
        contacts: list[Any] = valid.column("contact").to_pylist()
        for place, contact in enumerate(contacts):
            if (kind := unlikely(contact)) is not None:
                self.unlikely_rows[kind] += 1
                if kind not in self.unlikely_firsts:
                    self.unlikely_firsts[kind] = source, valid.column("line")[place].as_py(), escaped(contact)


def _needs_a_look(contacts: Any) -> bool:
    """True if some of these ids may be unlikely. Their length tells, or a few samples do, because a list is made in one way."""
    lengths = pc.binary_length(contacts)
    if pc.min(lengths).as_py() < ID_CHARS_MIN or pc.any(pc.equal(lengths, pa.scalar(_GUID_CHARS, pa.int32()))).as_py():
        return True
    step = max(1, len(contacts) // SAMPLED)
    return any(unlikely(contacts[place].as_py()) for place in range(0, len(contacts), step))


def as_plain(
    look: Look, files: Sequence[Path], layouts: Sequence[Layout], left_alone: Sequence[LeftAlone]
) -> dict[str, Any]:
    """Return everything as plain values of bounded size, under the keys ``columns``, ``left_alone``, ``notes`` and ``unlikely``."""
    return {
        "columns": _columns(look, files, layouts),
        "left_alone": [
            {
                "folder": printable(str(left.folder), 1_000),
                "names": [printable(name, 200) for name in left.names()[:NAMES_MAX]],
                "entries": len(left.entries),
                "hidden": left.hidden,
            }
            for left in left_alone[:NAMES_MAX]
        ],
        "notes": [
            {
                "kind": kind.value,
                "times": times,
                "file": printable(files[look.notes.first[kind][0]].name, 200),
                "line": look.notes.first[kind][1].line,
                "example": printable(look.notes.first[kind][1].example, 1_000),
            }
            for kind, times in look.notes.counts.items()
        ],
        "unlikely": [
            {
                "kind": kind.value,
                "rows": rows,
                "of": look.valid_rows,
                "file": printable(files[look.unlikely_firsts[kind][0]].name, 200),
                "line": look.unlikely_firsts[kind][1],
                "example": look.unlikely_firsts[kind][2],
            }
            for kind, rows in look.unlikely_rows.items()
        ],
    }


def _columns(look: Look, files: Sequence[Path], layouts: Sequence[Layout]) -> list[dict[str, Any]]:
    """Return the choices of columns, each with its files, and with the first values of the first of these files that has a row."""
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for number, layout in enumerate(layouts):
        groups.setdefault(tuple(layout.origins.get(role) for role in ALIASES), []).append(number)
    return [
        {
            "files": [printable(files[number].name, 200) for number in numbers[:NAMES_MAX]],
            "files_in_all": len(numbers),
            **{
                role: None if name is None else {"column": printable(name, 300), "first": _first(look, numbers, role)}
                for role, name in zip(ALIASES, origins, strict=True)
            },
        }
        for origins, numbers in list(groups.items())[:LAYOUTS_MAX]
    ]


def _first(look: Look, numbers: Sequence[int], role: str) -> str | None:
    return next((look.firsts[number][role] for number in numbers if number in look.firsts), None)
