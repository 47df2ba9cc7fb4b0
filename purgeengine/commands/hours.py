"""When a run may send: windows of the day, and an end.

A window is open while the clock on the wall shows a time in it, whatever day it is and however often it shows it: where clocks are
set forward or back, a window is an hour shorter or longer, like the night that it lies in. Everything here is decided from the
seconds since 1970 handed in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, TypeVar

import click

from purgeengine.core.foreign import printable
from purgeengine.core.messages import Spell
from purgeengine.errors import UsageProblem
from purgeengine.seams import Hours

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DAY_MINUTES = 1_440
LOOK_AHEAD_MINUTES = 2 * DAY_MINUTES
"""A window opens and closes within a day and the hour that may be put in; what stays the same for longer is looked at again."""
SPELLS_MAX = 1_000
"""Spells looked ahead for the end of a run: more than a year of nights."""
_WINDOW = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_RULE = re.compile(r"(?:[A-Za-z]{3,10}|<[A-Za-z0-9+-]{3,10}>)[+-]?\d{1,3}(?!\d)")
"""How a zone begins that is written out as POSIX has it: ``CET-1CEST,M3.5.0,M10.5.0/3``."""
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def hour_options(command: Decorated) -> Decorated:
    """``--window``, ``--time-zone`` and ``--until``."""
    for option in (
        click.option("--until", metavar="WHEN", help="Stop then: HH:MM (the next one) or a date and time in ISO 8601."),
        click.option(
            "--time-zone", metavar="NAME", help="Zone of --window and --until, e.g. Europe/Berlin; else this machine's."
        ),
        click.option(
            "--window",
            metavar="HH:MM-HH:MM",
            multiple=True,
            help="Send only at these times of the day; several may be given. The run waits for the next one.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class SendingHours:
    """``windows`` are (first minute, end) of the day, none for all day; ``zone`` None is that of this machine."""

    windows: tuple[tuple[int, int], ...] = ()
    zone: tzinfo | None = None
    until_utc: float | None = None

    def at(self, utc: float) -> Spell:
        """Whether sending is allowed at ``utc`` (seconds since 1970), and for how long that stays so."""
        if self.until_utc is not None and utc >= self.until_utc:
            return Spell(False, 0.0, f"it is {self._clock(self.until_utc)}, the end that --until sets")
        allowed = self._allows(self._wall_minutes(utc))
        change = self._next_change(utc, allowed)
        if allowed and self.until_utc is not None:
            change = min(change, self.until_utc)
        return Spell(allowed, change - utc, None)

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
    for _ in range(SPELLS_MAX):
        spell = hours.at(at)
        if spell.over is not None:
            return None
        if spell.allowed:
            if sending_s <= spell.for_s:
                return at + sending_s - utc
            sending_s -= spell.for_s
        at += max(spell.for_s, 1.0)
    return at - utc


def hours_from(options: Mapping[str, Any], now_utc: float) -> SendingHours | None:
    """The hours that the options of `hour_options` describe; None where any time will do. Raises `UsageProblem`."""
    if not options["window"] and options["until"] is None:
        return None
    zone = _zone(options["time_zone"])
    hours = SendingHours(tuple(map(_window, options["window"])), zone)
    if options["until"] is None:
        return hours
    return SendingHours(hours.windows, zone, _until(options["until"], hours, now_utc))


def _zone(name: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    if name is None:
        return _zone_of_environment(os.environ.get("TZ", ""))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageProblem(
            f"--time-zone knows no zone {name!r}. Name one such as Europe/Berlin; where none is known, install Python's tzdata."
        ) from error


def _zone_of_environment(named: str) -> tzinfo | None:
    """The zone that ``TZ`` names; None where the system's own reading of it holds. Raises `UsageProblem` for one that is not known.

    The system takes UTC for such a zone without a word, and a run would send at other hours than were meant.
    """
    from zoneinfo import ZoneInfo

    name = named.removeprefix(":")
    if not name or name.upper() in ("UTC", "GMT") or _RULE.match(name):
        return None
    if Path(name).is_absolute():
        known = Path(name).is_file()
    else:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            known = False
    if not known:
        raise UsageProblem(
            f"The environment variable TZ is {printable(named, 60)!r}, which is not a known time zone, so --window and --until "
            "would be read as UTC. Nothing was started. Correct TZ, or name the zone with --time-zone, e.g. Europe/Berlin."
        )
    return None


def _window(text: str) -> tuple[int, int]:
    match = _WINDOW.fullmatch(text.strip())
    first, end = (_minutes(match[1], match[2]), _minutes(match[3], match[4])) if match else (None, None)
    if first is None or end is None or first in (end, DAY_MINUTES):
        raise UsageProblem(
            f"--window takes two times of the day such as 20:00-06:00, or 00:00-24:00 for all day, not {text!r}."
        )
    return first, end


def _minutes(hours: str, minutes: str) -> int | None:
    total = int(hours) * 60 + int(minutes)
    return total if int(minutes) < 60 and total <= DAY_MINUTES else None


def _until(text: str, hours: SendingHours, now_utc: float) -> float:
    match = _TIME.fullmatch(text.strip())
    if match:
        minute = _minutes(match[1], match[2])
        if minute is not None:
            return hours.next_time(now_utc, minute % DAY_MINUTES)
    try:
        when = datetime.fromisoformat(text.strip())
        until = (when if when.tzinfo is not None else when.replace(tzinfo=hours.zone)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageProblem(
            f"--until takes a time such as 06:00, or a date and time such as 2026-11-25T06:00, not {text!r}."
        ) from error
    if until <= now_utc:
        raise UsageProblem(f"--until {text} is over. Nothing was sent.")
    return until
