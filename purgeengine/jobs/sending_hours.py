"""When a run may send: windows of the day, and an end.

A window is open while the clock on the wall shows a time in it, whatever day it is and however often it shows it: where clocks are
set forward or back, a window is an hour shorter or longer, like the night that it lies in. Everything here is decided from the
seconds since 1970 handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from purgeengine.core.messages import SendWindow
from purgeengine.engine.ports import Hours

DAY_MINUTES = 1_440
LOOK_AHEAD_MINUTES = 2 * DAY_MINUTES
"""A window opens and closes within a day and the hour that may be put in; what stays the same for longer is looked at again."""
SEND_WINDOWS_MAX = 1_000
"""Spells looked ahead for the end of a run: more than a year of nights."""


@dataclass(frozen=True, slots=True)
class SendingHours:
    """``windows`` are (first minute, end) of the day, none for all day; ``zone`` None is that of this machine."""

    windows: tuple[tuple[int, int], ...] = ()
    zone: tzinfo | None = None
    until_utc: float | None = None
    """When sending ends, in seconds since 1970; None for never."""
    until_named: str = "until_utc"
    """What the one who set the end calls it, for sentences."""

    def at(self, utc: float) -> SendWindow:
        """Whether sending is allowed at ``utc`` (seconds since 1970), and for how long that stays so."""
        if self.until_utc is not None and utc >= self.until_utc:
            return SendWindow(False, 0.0, f"it is {self._clock(self.until_utc)}, the end that {self.until_named} sets")
        allowed = self._allows(self._wall_minutes(utc))
        change = self._next_change(utc, allowed)
        if allowed and self.until_utc is not None:
            change = min(change, self.until_utc)
        return SendWindow(allowed, change - utc, None)

    def next_time(self, utc: float, minute: int) -> float:
        """When the clock on the wall next passes this minute of the day; where it is set forward over it, at that moment."""
        at = _next_minute(utc)
        before = self._wall_minutes(at - 60) % DAY_MINUTES
        while (shown := self._wall_minutes(at) % DAY_MINUTES) != minute and not before < minute < shown:
            before, at = shown, at + 60
        return at

    def _next_change(self, utc: float, allowed: bool) -> float:
        """The full minute after ``utc`` from which it is otherwise, or the end of looking ahead.

        From one bound of a window to the next nothing changes, unless the clock is set in between; then every minute is looked at.
        """
        at = _next_minute(utc)
        end = at + LOOK_AHEAD_MINUTES * 60
        while at < end:
            shown = self._wall_minutes(at)
            if self._allows(shown) != allowed:
                return at
            minutes = min(
                ((b - shown - 1) % DAY_MINUTES + 1 for window in self.windows for b in window), default=DAY_MINUTES
            )
            undisturbed = self._wall_minutes(at + 60 * minutes) - shown == minutes
            at += 60 * minutes if undisturbed else 60
        return end

    def _allows(self, wall_minutes: int) -> bool:
        minute = wall_minutes % DAY_MINUTES
        return not self.windows or any(
            first <= minute < end if first < end else minute >= first or minute < end for first, end in self.windows
        )

    def _wall_minutes(self, utc: float) -> int:
        """The day and the time of day that the clock on the wall shows, in minutes."""
        shown = datetime.fromtimestamp(utc, self.zone)
        return shown.toordinal() * DAY_MINUTES + shown.hour * 60 + shown.minute

    def _clock(self, utc: float) -> str:
        return f"{datetime.fromtimestamp(utc, self.zone):%Y-%m-%d %H:%M}"


def _next_minute(utc: float) -> float:
    """Clocks are set by whole minutes, and windows are made of them."""
    return (utc // 60 + 1) * 60


def seconds_until_done(hours: Hours, utc: float, sending_s: float) -> float | None:
    """Seconds from ``utc`` until so many have passed in which sending is allowed; None where the run is ended before."""
    at = utc
    for _ in range(SEND_WINDOWS_MAX):
        spell = hours.at(at)
        if spell.over is not None:
            return None
        if spell.allowed:
            if sending_s <= spell.for_s:
                return at + sending_s - utc
            sending_s -= spell.for_s
        at += max(spell.for_s, 1.0)
    return at - utc
