"""Optional packages: what to install where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from purgeengine.errors import UsageProblem


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Raise `UsageProblem` if a package that is imported inside is missing. ``what`` begins the sentence."""
    try:
        yield
    except ImportError as error:
        raise UsageProblem(
            f"{what}, which is not installed. Nothing was sent. Install it: pip install 'purgeengine[{extra}]'."
        ) from error
