"""Where an event goes and in which form: to standard error as a line or as a sentence, and to the log file as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any, Literal, TextIO

from purgeengine import log_events
from purgeengine.hidden_import import hidden_import
from purgeengine.log_file import LogFile
from purgeengine.log_flood import FloodGuard

with hidden_import("rich"):  # rich would take a sixth of a second of every start
    import structlog

EventDict = MutableMapping[str, Any]
Sentences = Callable[[Mapping[str, Any]], str | None]
"""Returns what a person at a terminal is told of an event. None if they need not know it."""

DEBUG, INFO, WARNING = 10, 20, 30
LEVELS = {"debug": DEBUG, "info": INFO}
"""Levels by their names in an event. All others are warnings, or worse."""
FILE_ONLY = "file_only"
"""The name of a value that keeps an event off standard error if it is true. The log file gets the event without this value."""
MORE = "more"
"""The name of the value that counts the events of this kind that were not logged since the last one."""
OF_AN_END = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "rows",
        "outcomes",
        "waiting",
        "in_doubt",
        "duration_s",
        "exit_code",
        "stopped",
        "reason",
        "status",
        "code",
        "message",
    }
)
"""The values of the events that end a run which a line for people has. Its JSON has many more."""
ENDS = frozenset({log_events.RUN_ENDED, log_events.RUN_STOPPED})
_SIMPLE = (bool, int, float, str)


class Outputs:
    """The last step of the log: it renders an event, and drops it where it is not to be shown."""

    def __init__(
        self,
        form: Literal["console", "json"],
        stream: TextIO,
        *,
        level: int,
        file: LogFile | None = None,
        file_level: int = INFO,
        numerous: Collection[str] = (),
        sentences: Sentences | None = None,
    ) -> None:
        """``numerous`` are the events that are limited. ``sentences`` replaces lines for people at a terminal."""
        self._as_json = structlog.processors.JSONRenderer(ensure_ascii=True, sort_keys=False)
        self._render = self._as_json if form == "json" else _console(stream)
        self._is_console = form == "console"
        self._level = level
        self.file = file
        self._file_level = file_level
        self._numerous = frozenset(numerous)
        self._sentences = sentences
        self._guard = FloodGuard()

    def __call__(self, logger: object, method: str, event: EventDict) -> str:
        """Write the event to the file, and return its line for standard error. Raises `structlog.DropEvent` if there is none."""
        file_only = event.pop(FILE_ONLY, False)
        level = LEVELS.get(event["level"], WARNING)
        if self.file is not None and level >= self._file_level:
            self.file.write(str(self._as_json(logger, method, dict(event))))
        if file_only or level < self._level:
            raise structlog.DropEvent
        if self._sentences is not None:
            sentence = self._sentences(event)
            if sentence is None:
                raise structlog.DropEvent
            return sentence
        if event["event"] in self._numerous:
            more = self._guard.admit(event["event"])
            if more is None:
                raise structlog.DropEvent
            if more:
                event[MORE] = more
        return str(self._render(logger, method, in_a_line(event) if self._is_console else event))

    def counts(self) -> dict[str, int]:
        """Return how many events of each kind were not logged on standard error because there were too many."""
        return self._guard.counts()


def in_a_line(event: Mapping[str, Any]) -> EventDict:
    """Return the event for a line that people read: nested counts stand beside the other values, and nothing is missing."""
    is_end = event.get("event") in ENDS
    found: EventDict = {}
    for key, value in event.items():
        if value is None or (is_end and key not in OF_AN_END):
            continue
        if isinstance(value, Mapping) and all(isinstance(inner, _SIMPLE) for inner in value.values()):
            found.update({name: inner for name, inner in value.items() if inner})
        elif isinstance(value, list | tuple) and all(isinstance(inner, _SIMPLE) for inner in value):
            found[key] = "; ".join(map(str, value))
        else:
            found[key] = value
    return found


def _console(stream: TextIO) -> Any:
    colours = not os.environ.get("NO_COLOR") and getattr(stream, "isatty", bool)()
    return structlog.dev.ConsoleRenderer(
        colors=colours, pad_event_to=20, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )
