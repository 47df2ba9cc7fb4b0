"""Options that say when a run may send and when it ends."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, TypeVar

import click

from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem
from purgeengine.jobs.sending_hours import DAY_MINUTES, SendingHours

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_WINDOW = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_RULE = re.compile(r"(?:[A-Za-z]{3,10}|<[A-Za-z0-9+-]{3,10}>)[+-]?\d{1,3}(?!\d)")
"""Beginning of a time zone in the POSIX form: ``CET-1CEST,M3.5.0,M10.5.0/3``."""
_TIME = re.compile(r"(\d{1,2}):(\d{2})")


def hour_options(command: Decorated) -> Decorated:
    """Add ``--window``, ``--time-zone`` and ``--until``."""
    for option in (
        click.option(
            "--until", metavar="WHEN", help="Stop at this time: HH:MM (the next one) or a date and time (ISO 8601)."
        ),
        click.option(
            "--time-zone",
            metavar="NAME",
            help="Time zone of --window and --until, e.g. Europe/Berlin. If left out, this machine's.",
        ),
        click.option(
            "--window",
            metavar="HH:MM-HH:MM",
            multiple=True,
            help="Send only at these times of the day. The run waits for the next window. May be given several times.",
        ),
    ):
        command = option(command)
    return command


def hours_from(options: Mapping[str, Any], now_utc: float) -> SendingHours | None:
    """Return the hours that the options of `hour_options` describe. None means any time. Raises `UsageProblem`."""
    if not options["window"] and options["until"] is None:
        return None
    zone = _zone(options["time_zone"])
    hours = SendingHours(tuple(map(_window, options["window"])), zone)
    if options["until"] is None:
        return hours
    return SendingHours(hours.windows, zone, _until(options["until"], hours, now_utc), "--until")


def _zone(name: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    if name is None:
        return _zone_of_environment(os.environ.get("TZ", ""))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageProblem(
            f"--time-zone knows no zone {name!r}. Name one such as Europe/Berlin. If this machine knows no zone at all, install "
            "Python's package tzdata."
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
