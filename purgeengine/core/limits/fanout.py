"""How many rows of one mailbox may share a batch: 4 until the service has shown that it runs a batch four at a time.

Documented since 2023: Graph forwards at most four sub-requests of an unordered batch at once, so 20 rows of one mailbox are safe.
Until then users saw all of a batch run at once, so that all but four were refused. The probe sends eight rows of one
mailbox, then three times twenty. A service that runs everything at once refuses at least (rows - 4) of them, which no other cause
explains; one or two refusals among many say something else (other software in the mailbox, a busy service).
"""

from __future__ import annotations

from purgeengine.run_limits import Fanout

FIRST_PROBE = 8
WIDE_PROBES = 3
UNCLEAR_PROBES_MAX = 3
"""Probes of which a good part was refused, but not all that a service must refuse that runs everything at once."""
TALLY_ROWS = 400
"""Rows over which refusals are tallied once the fanout is wide; older ones fade."""
TALLY_REFUSED_MAX = 0.2
"""Share of refusals above which a wide fanout does not pay, whatever the cause; a busy service refuses some at any width."""


class FanoutProbe:
    """Knows the width allowed now, and learns from every answer to a batch wider than four."""

    def __init__(self, fanout: Fanout, narrow: int, wide: int) -> None:
        self._narrow = narrow
        self._wide = wide
        self._clean_probes = 0
        self._unclear_probes = 0
        self._probes_in_flight = 0
        self._tally_rows = 0.0
        self._tally_refused = 0.0
        self.decided: int | None = None if fanout == "auto" else min(fanout, wide)
        """Rows of one mailbox that may share a batch, 4 or 20; None while that is not known."""

    @property
    def width(self) -> int:
        """Most rows of any mailbox in a batch."""
        return self._narrow if self.decided is None else self.decided

    @property
    def first_width(self) -> int:
        """Most rows of the one mailbox in a batch that the probe may be tried on."""
        if self.decided is not None:
            return self.decided
        if self._clean_probes == 0:
            return FIRST_PROBE if self._probes_in_flight == 0 else self._narrow
        return self._wide if self._clean_probes + self._probes_in_flight <= WIDE_PROBES else self._narrow

    def sent(self, rows: int) -> None:
        """So many rows of one mailbox left in one batch."""
        if rows > self._narrow and self.decided is None:
            self._probes_in_flight += 1

    def answered(self, rows: int, refused: int) -> None:
        """The batch came back and ``refused`` of the mailbox's rows were too fast for the service."""
        excess = rows - self._narrow
        if excess <= 0:
            return
        if self.decided is None:
            self._probes_in_flight = max(0, self._probes_in_flight - 1)
        if refused >= excess >= FIRST_PROBE - self._narrow:
            self.decided = self._narrow
        elif self.decided is None:
            self._probed(unclear=refused >= excess / 2)
        elif self.decided > self._narrow:
            self._weigh(rows, refused)

    def _probed(self, *, unclear: bool) -> None:
        if unclear:
            self._unclear_probes += 1
            if self._unclear_probes >= UNCLEAR_PROBES_MAX:
                self.decided = self._narrow
            return
        self._clean_probes += 1
        if self._clean_probes > WIDE_PROBES:
            self.decided = self._wide

    def lost(self, rows: int) -> None:
        """The batch got no answer: the probe has shown nothing."""
        if rows > self._narrow and self.decided is None:
            self._probes_in_flight = max(0, self._probes_in_flight - 1)

    def _weigh(self, rows: int, refused: int) -> None:
        fade = max(0.0, 1.0 - rows / TALLY_ROWS)
        self._tally_rows = self._tally_rows * fade + rows
        self._tally_refused = self._tally_refused * fade + refused
        if self._tally_rows > TALLY_ROWS / 2 and self._tally_refused > TALLY_REFUSED_MAX * self._tally_rows:
            self.decided = self._narrow
