"""When a run may send: windows of the day, and a time at which it ends.

A window is open while the local time of day lies in it. When clocks change for summer or winter, a window that contains the change
is an hour shorter or longer. All functions take the time as seconds since 1970 and read no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from purgeengine.core.messages import SendWindow
from purgeengine.engine.ports import Hours

DAY_MINUTES = 1_440
LOOK_AHEAD_MINUTES = 2 * DAY_MINUTES
"""How far ahead a change is looked for. A window opens and closes within a day, and a clock change adds an hour at most."""
SEND_WINDOWS_MAX = 1_000
"""Windows looked ahead to estimate the end of a run: more than a year of nights."""


@dataclass(frozen=True, slots=True)
class SendingHours:
    """The hours in which a run may send. Outside them it waits.

    A time of the day is the number of minutes since midnight: 1,200 is 20:00, and 360 is 06:00. So
    ``SendingHours(windows=((1_200, 360),), zone=ZoneInfo("Europe/Berlin"))`` allows 20:00 to 06:00 in Berlin.
    """

    windows: tuple[tuple[int, int], ...] = ()
    """Times of the day as ``(first minute, end)``, each in minutes since midnight, the end excluded. A window may pass midnight.
    Empty allows the whole day."""
    zone: tzinfo | None = None
    """The time zone of the windows. None is that of this machine."""
    until_utc: float | None = None
    """When the run ends, in seconds since 1970. It stops in order and can be resumed. None means never."""
    until_named: str = "until_utc"
    """Internal: how sentences write the setting ``until_utc``."""

    def at(self, utc: float) -> SendWindow:
        """Return whether sending is allowed at ``utc`` (seconds since 1970), and for how many seconds that stays so."""
        if self.until_utc is not None and utc >= self.until_utc:
            return SendWindow(False, 0.0, f"it is {self._clock(self.until_utc)}, the end that {self.until_named} sets")
        allowed = self._allows(self._wall_minutes(utc))
        change = self._next_change(utc, allowed)
        if allowed and self.until_utc is not None:
            change = min(change, self.until_utc)
        return SendWindow(allowed, change - utc, None)

    def next_time(self, utc: float, minute: int) -> float:
        """Return when local time next reaches this minute of the day, in seconds since 1970.

        If the clock is set forward over that minute, it is the moment of the change.
        """
        at = _next_minute(utc)
        before = self._wall_minutes(at - 60) % DAY_MINUTES
        while (shown := self._wall_minutes(at) % DAY_MINUTES) != minute and not before < minute < shown:
            before, at = shown, at + 60
        return at

    def _next_change(self, utc: float, allowed: bool) -> float:
        """Return the first full minute after ``utc`` at which ``allowed`` is no longer true, or the end of looking ahead.

        Nothing changes between two bounds of windows unless the clock is set there. In that case every minute is looked at.
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
        """Return the local date and time as one number of minutes."""
        shown = datetime.fromtimestamp(utc, self.zone)
        return shown.toordinal() * DAY_MINUTES + shown.hour * 60 + shown.minute

    def _clock(self, utc: float) -> str:
        return f"{datetime.fromtimestamp(utc, self.zone):%Y-%m-%d %H:%M}"


class CombinedHours:
    """Allows sending when all of several hours allow it: those that the user has set, and a lease."""

    def __init__(self, *hours: Hours) -> None:
        self._hours = hours

    def at(self, utc: float) -> SendWindow:
        """Return whether all allow sending at ``utc`` (seconds since 1970), and for how many seconds that stays so at least.

        The run is over if one of them says so. The first of them gives the reason.
        """
        windows = [hours.at(utc) for hours in self._hours]
        over = next((window.over for window in windows if window.over is not None), None)
        closed = [window.for_s for window in windows if not window.allowed]
        return SendWindow(not closed, max(closed) if closed else min(window.for_s for window in windows), over)


def combined(*hours: Hours | None) -> Hours | None:
    """Return hours that allow what all given ones allow. None stands for any time."""
    given = [one for one in hours if one is not None]
    return CombinedHours(*given) if len(given) > 1 else next(iter(given), None)


def _next_minute(utc: float) -> float:
    """Return the next full minute. Windows begin and end on one, and clocks are set by whole minutes."""
    return (utc // 60 + 1) * 60


def seconds_until_done(hours: Hours, utc: float, sending_s: float) -> float | None:
    """Return the seconds from ``utc`` until ``sending_s`` seconds of allowed time have passed. None if the run ends first."""
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
