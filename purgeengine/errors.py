"""Every exception of the program, on one screen.

The failure of a single row is an outcome in the ledger, never an exception. An exception here ends a command. Its
message is a sentence for the administrator: what happened, to which file, mailbox or ledger, and what to do next. The
exit codes are a contract (see the README).
"""

from __future__ import annotations


class PurgeEngineError(Exception):
    """A command cannot continue.

    ``str(error)`` is shown to the user as it is; ``exit_code`` is the exit code of the process.
    """

    exit_code = 1


class UsageProblem(PurgeEngineError):
    """The options, the environment or their combination cannot be used. Nothing was sent."""

    exit_code = 2


class InputError(UsageProblem):
    """An input file cannot be used at all (it is missing, unreadable, or lacks a column). Nothing was sent."""


class LedgerMismatch(UsageProblem):
    """The ledger folder belongs to another input, tenant or action. Nothing was sent."""


class TokenError(PurgeEngineError):
    """No token could be had, or Graph refused the token or the app. The ledger can be resumed."""

    exit_code = 3


class RunStopped(PurgeEngineError):
    """A threshold, the user or a lasting outage stopped the run. The same command resumes it."""

    exit_code = 4


class LedgerError(PurgeEngineError):
    """The ledger cannot be read or written (full disk, missing permission, damaged file, lock held by another process)."""

    exit_code = 5


class NotSent(Exception):
    """A batch certainly did not reach Graph: refused connection, failed name look-up or TLS handshake.

    Its rows are not in doubt.
    """


class NoAnswer(Exception):
    """A batch left, and no usable answer came back: time-out, reset, cut or oversized body. Its rows are in doubt."""


class Intercepted(NoAnswer):
    """Somebody between here and Graph answered in Graph's place. Graph may still have got the batch."""
