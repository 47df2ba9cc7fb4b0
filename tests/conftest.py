"""Settings for every test: a silent log, reproducible property tests, processes that start quickly, and no wait for the disk."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Iterator

import pytest

import tests.support.properties  # noqa: F401 - the profiles of Hypothesis, before the command line chooses one
from purgeengine import logs
from purgeengine.cli.signals import NAMES

# A shell's background job and nohup start their children with some signals ignored, and so would be every process under
# test.
SIGNALS = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
for number in SIGNALS:
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Hundreds of processes are started, and each would compile the program again if compiled files could not be kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# Half of the time of a test with a ledger would be spent waiting until the disk has it. No test cuts the power: those about its
# loss (tests/disk) play it from what the program asked for. Processes that tests start sync as always.
os.fsync = lambda _: None


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than the number of cores, because many tests wait for processes or for time to pass."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Exclude what is imported from garbage collection, which would otherwise look through it thousands of times."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 50)


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Silences the log; tests of the log set it up themselves."""
    logs.configure_logs("console", quiet=True, stream=io.StringIO())


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Restores the signal handlers.

    A command that is called in this process leaves the handler of a finished run behind: the next SIGINT would raise nothing, and
    would end the whole test process five seconds later.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hook = sys.unraisablehook
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    sys.unraisablehook = hook
