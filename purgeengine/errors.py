"""Every exception of the program, on one screen.

Misfortune of a single row is an outcome in the ledger, never an exception; what stands here ends a command. The message
is a sentence for the administrator: what happened, to which file, mailbox or ledger, and what to do next. The exit codes
are a contract (see the README).
"""

from __future__ import annotations


class PurgeEngineError(Exception):
    """A command cannot go on; ``str(error)`` is shown to the user as it is, and ``exit_code`` is returned."""

    exit_code = 1


class UsageProblem(PurgeEngineError):
    """The options, the environment or their combination cannot be used; nothing was sent."""

    exit_code = 2


class InputError(UsageProblem):
    """An input file cannot be used at all (missing, unreadable, lacking a column); nothing was sent."""


class LedgerMismatch(UsageProblem):
    """The ledger folder belongs to another input, tenant or action; nothing was sent."""


class TokenError(PurgeEngineError):
    """No token could be had, or Graph refused it or the app; the ledger is resumable."""

    exit_code = 3


class RunStopped(PurgeEngineError):
    """A threshold, the user or a lasting outage stopped the run; the same command resumes it."""

    exit_code = 4


class LedgerError(PurgeEngineError):
    """The ledger cannot be read or written (disk full, no permission, damaged file, lock held by another process)."""

    exit_code = 5


class NotSent(Exception):
    """A batch certainly did not reach Graph: refused connection, failed name or TLS handshake. Its rows are not in doubt."""


class NoAnswer(Exception):
    """A batch left and no usable answer came back: timeout, reset, cut or oversized body. Its rows are in doubt."""


class Intercepted(NoAnswer):
    """Something between here and Graph answered in Graph's place, and Graph may have got the batch all the same."""
