"""How many rows of one mailbox may share a batch (the *fanout*): 4, or 20 if the service runs four at a time.

Microsoft's documentation says since 2023 that Graph forwards at most four sub-requests of an unordered batch at once
(throttling-outlook), so that 20 rows of one mailbox are safe. Earlier, users saw that all sub-requests ran at once and that all
but four were refused. The probe finds out which holds: it sends eight rows of one mailbox, then three times twenty. A service
that runs everything at once refuses at least (rows - 4) of them, which no other cause explains. One or two refusals among many
mean something else, such as other software in the mailbox or a busy service.
"""

from __future__ import annotations

from purgeengine.run_limits import Fanout

FIRST_PROBE = 8
"""Rows of one mailbox in the first probe."""
WIDE_PROBES = 3
"""Full batches of one mailbox that must go well after the first probe."""
UNCLEAR_PROBES_MAX = 3
"""Unclear probes after which the fanout stays 4. In an unclear probe many rows were refused, but fewer than a service refuses
that runs all at once."""
VOID_PROBES_MAX = 20
"""Probes of which too few rows say something, after which the fanout stays 4: so it is decided at last, whatever the service
answers."""
TALLY_ROWS = 400
"""Rows over which refusals are counted once the fanout is 20. Older rows fade."""
TALLY_REFUSED_MAX = 0.2
"""Share of refused rows above which a fanout of 20 does not pay, whatever the cause. A busy service refuses some rows at any
fanout."""


class FanoutProbe:
    """Knows the fanout that is allowed now, and learns from every answer to a batch with more than four rows of one mailbox.

    ``narrow`` is 4 and ``wide`` is 20, unless the limits say otherwise. A ``fanout`` that is not ``"auto"`` is decided from the
    start.
    """

    def __init__(self, fanout: Fanout, narrow: int, wide: int) -> None:
        self._narrow = narrow
        self._wide = wide
        self._clean_probes = 0
        self._unclear_probes = 0
        self._void_probes = 0
        self._probes_in_flight = 0
        self._tally_rows = 0.0
        self._tally_refused = 0.0
        self.decided: int | None = None if fanout == "auto" else min(fanout, wide)
        """Rows of one mailbox that may share a batch; None while that is not known."""

    @property
    def width(self) -> int:
        """The most rows of any mailbox in a batch."""
        return self._narrow if self.decided is None else self.decided

    @property
    def first_width(self) -> int:
        """The most rows of the first mailbox in a batch. It is larger than `width` if the batch may be a probe."""
        if self.decided is not None:
            return self.decided
        if self._clean_probes == 0:
            return FIRST_PROBE if self._probes_in_flight == 0 else self._narrow
        return self._wide if self._clean_probes + self._probes_in_flight <= WIDE_PROBES else self._narrow

    def sent(self, rows: int) -> None:
        """Record that a batch with ``rows`` rows of one mailbox left."""
        if rows > self._narrow and self.decided is None:
            self._probes_in_flight += 1

    def answered(self, rows: int, refused: int, silent: int = 0) -> None:
        """Record the answer to ``rows`` rows of one mailbox in a batch, of which ``refused`` rows were too fast.

        ``silent`` others say nothing: the answer left them out, or they may not have run at all.
        """
        if rows <= self._narrow:
            return
        excess = rows - self._narrow
        if self.decided is None:
            self._probes_in_flight = max(0, self._probes_in_flight - 1)
            if silent:
                excess -= silent
                if excess < FIRST_PROBE - self._narrow:
                    self._void()
                    return
        if refused >= excess >= FIRST_PROBE - self._narrow:
            self.decided = self._narrow
        elif self.decided is None:
            self._probed(unclear=refused >= excess / 2)
        elif self.decided > self._narrow:
            self._weigh(rows - silent, refused)

    def _void(self) -> None:
        """Count a probe of which too few rows say something."""
        self._void_probes += 1
        if self._void_probes >= VOID_PROBES_MAX:
            self.decided = self._narrow

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
        """Record that ``rows`` rows of one mailbox in a batch got no answer: a probe among them has shown nothing."""
        if rows > self._narrow and self.decided is None:
            self._probes_in_flight = max(0, self._probes_in_flight - 1)

    def _weigh(self, rows: int, refused: int) -> None:
        fade = max(0.0, 1.0 - rows / TALLY_ROWS)
        self._tally_rows = self._tally_rows * fade + rows
        self._tally_refused = self._tally_refused * fade + refused
        if self._tally_rows > TALLY_ROWS / 2 and self._tally_refused > TALLY_REFUSED_MAX * self._tally_rows:
            self.decided = self._narrow
