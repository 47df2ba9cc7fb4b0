"""Every exception of the program, on one screen.

The failure of a single row is an outcome in the ledger, never an exception. An exception here ends a command. Its
message is a sentence for the administrator: what happened, to which file, mailbox or ledger, and what to do next. The
exit codes are a contract (see the README).
"""

from __future__ import annotations

from typing import ClassVar, Literal

ErrorKind = Literal["usage", "input", "ledger_mismatch", "sign_in", "unreachable", "stopped", "ledger", "failed"]
"""The names of the kinds of errors, as ``--json`` tells them."""


class PurgeEngineError(Exception):
    """A command or a call of the API cannot continue. All other errors that a caller meets derive from this one.

    ``str(error)`` is a sentence for an administrator: what happened, and what to do next. ``exit_code`` is the exit code with which
    the command line ends for this error, and ``kind`` the name that ``--json`` gives it.
    """

    exit_code = 1
    kind: ClassVar[ErrorKind] = "failed"


class UsageProblem(PurgeEngineError):
    """A field of the request, an option, the environment or their combination cannot be used. Nothing was sent. Change it."""

    exit_code = 2
    kind: ClassVar[ErrorKind] = "usage"


class InputError(UsageProblem):
    """An input file cannot be used at all: it is missing, unreadable, or lacks a column. Nothing was sent. Correct the file."""

    kind = "input"


class LedgerMismatch(UsageProblem):
    """The ledger folder belongs to another input, tenant or action. Nothing was sent. Use another folder, or the first input."""

    kind = "ledger_mismatch"


class TokenError(PurgeEngineError):
    """No token could be obtained, or Graph refused the token or the app. Correct the sign-in, then resume the ledger."""

    exit_code = 3
    kind: ClassVar[ErrorKind] = "sign_in"


class LoginUnreachable(TokenError):
    """The login could not be reached, or did not answer properly: name, connection, proxy or certificate.

    The credential is not the cause. Mend what the message names, then resume the ledger.
    """

    kind = "unreachable"


class RunStopped(PurgeEngineError):
    """A threshold, the user or a lasting outage stopped the run. Give the same command or request again to resume it."""

    exit_code = 4
    kind: ClassVar[ErrorKind] = "stopped"


class GraphUnreachable(RunStopped):
    """Graph could not be reached, or did not answer properly: name, connection, proxy, certificate or an outage.

    Mend what the message names, or wait. Then give the same command or request again to resume.
    """

    kind = "unreachable"


class LedgerError(PurgeEngineError):
    """The ledger cannot be read or written: full disk, missing permission, damaged file, or in use by another process.

    Free space, correct the permission or end the other process, then resume the ledger.
    """

    exit_code = 5
    kind = "ledger"


class NotSent(Exception):
    """A batch certainly did not reach Graph: refused connection, failed name look-up or TLS handshake.

    Its rows are not in doubt.
    """


class HeldBack(NotSent):
    """A batch certainly did not reach Graph, because we ourselves may not send any more: the lease of its shard has ended."""


class NoAnswer(Exception):
    """A batch left, and no usable answer came back: time-out, reset, cut or oversized body. Its rows are in doubt."""


class Intercepted(NoAnswer):
    """Somebody between here and Graph answered in Graph's place. Graph may still have got the batch."""
