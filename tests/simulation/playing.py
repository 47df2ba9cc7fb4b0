"""Plays some seeds of a campaign in a process of its own."""

from __future__ import annotations

import logging
import signal
import traceback
from collections import Counter
from importlib import import_module

import structlog


def play_some(name: str, seeds: range) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Play some seeds of a campaign. Return what happened, and the seeds that failed with the reason."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    case = import_module(f"tests.campaigns.{name}").case
    counts: Counter[str] = Counter()
    failures = []
    for seed in seeds:
        try:
            counts += case(seed)
        except AssertionError as error:
            failures.append((seed, str(error)))
        except Exception:
            failures.append((seed, traceback.format_exc()))
        counts["seeds"] += 1
    return counts, failures


def turn_deaf() -> None:
    """Ignore signals in such a process. They may reach the whole group, and only the first process knows what they mean."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
