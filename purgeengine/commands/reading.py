"""An input that is read in part only, where nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from purgeengine.core.input_words import warnings_of
from purgeengine.errors import UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.source import Source


def refuse_reading_in_part(source: Source | None, options: Mapping[str, Any]) -> None:
    """Raise `UsageProblem` where nobody is asked, and a folder of the input is read in part without being told so."""
    if source is None or not options["yes"] or options["allow_unread"] or not source.ignored:
        return
    left = warnings_of({"left_alone": source.reading()["left_alone"]})
    raise UsageProblem(
        f"{left[0]} With --yes nobody sees that before it begins: name the files that are wanted, move the others away, or give "
        "--allow-unread. Nothing was sent."
    )
