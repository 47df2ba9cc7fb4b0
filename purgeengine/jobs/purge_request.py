"""Everything that a purge is asked, as one frozen value: made once, from options or by a caller of the API, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from purgeengine.core.graph.identifiers import user_problem
from purgeengine.core.graph.operations import Action, IdType, Operation, deletion_by
from purgeengine.core.graph.text import escaped, printable
from purgeengine.core.policy.filters import UserFilter, UserList, entry_problem
from purgeengine.errors import UsageProblem
from purgeengine.jobs.graph_endpoint import GraphEndpoint, endpoint_of
from purgeengine.jobs.request_types import USERS, refuse_odd_types, users_of
from purgeengine.jobs.sending_hours import DAY_MINUTES, SendingHours
from purgeengine.run_limits import Auth, Limits
from purgeengine.words import Spelling, as_fields, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from purgeengine.core.policy.auto_stop import FailureThreshold

PROBES_MAX = 100
"""Mailboxes that may be looked at first; each costs it a few requests."""
ROLES = ("user", "folder", "contact")

Row = tuple[str, str | None, str]
"""User, folder id (empty or None where it is not known), contact id."""
Chosen = TypeVar("Chosen", Action, IdType)


class AccessToken(Protocol):
    """A token and when it runs out, in seconds since 1970, as ``azure.core.credentials.AccessToken`` has them."""

    @property
    def token(self) -> str: ...  # noqa: D102
    @property
    def expires_on(self) -> int: ...  # noqa: D102


class TokenCredential(Protocol):
    """What every credential of azure-identity is: an object that gives a token for scopes."""

    def get_token(self, *scopes: str, claims: str | None = None) -> AccessToken: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRequest:
    """What to purge, how, and what must be true before anything is sent.

    Raises `UsageProblem`, which names the field, for a value that cannot be used. No file is read and nothing is asked for before
    the request is carried out.
    """

    inputs: str | Path | Iterable[str | Path] | Iterable[Row] | pa.Table = ()
    """The rows: files or folders of CSV, JSON or Parquet; or (user, folder, contact) rows; or a pyarrow Table with such columns.
    Empty to go on with the rows of a ledger that exists."""
    ledger: str | Path | None = None
    """Folder of the ledger, made when it is new. The same request with the same folder resumes. Only `plan` needs none."""

    columns: Mapping[str, str] | None = None
    """Columns of the input by role (``user``, ``folder``, ``contact``), where they are not called as expected; an empty name leaves
    the folder out."""
    user: str | None = None
    """The user of every row, for a list of one mailbox without such a column."""
    clean: bool = False
    """True if names and ids are mended where their meaning is certain."""
    allow_unread: bool = False
    """With ``yes``: whether a folder is taken although not all in it can be read."""

    action: Action | Literal["permanentDelete", "delete"] = Action.PERMANENT_DELETE
    """What is done to each contact. ``delete`` moves it to Deleted Items."""
    id_type: IdType | Literal["default", "immutable"] = IdType.DEFAULT
    """Which ids the input holds."""

    cloud: str | None = None
    """A national cloud by name (``global``, ``usgov``, ``china`` and others); that of ``graph_url``, or global, where None."""
    graph_url: str | None = None
    """Graph's root, instead of the cloud's."""
    authority_url: str | None = None
    """The login's root, instead of the cloud's."""
    ca_file: str | Path | None = None
    """Certificates (PEM) to trust for the login and Graph, instead of the usual ones."""
    auth: Auth = "auto"
    """How to sign in by what the environment offers, where neither ``access_token`` nor ``credential`` is given."""
    access_token: str | None = field(default=None, repr=False)
    """A ready token. It cannot be renewed: when it runs out, the run stops, and resumes with another."""
    credential: TokenCredential | None = field(default=None, repr=False)
    """An object with ``get_token(*scopes)``, such as a credential of azure-identity. It is asked in a thread of its own."""

    protected_users: Iterable[str] = ()
    """Users that are never touched: user principal names, object ids, or patterns such as ``*@board.contoso.com``."""
    exclude_users: Iterable[str] = ()
    """Users that are left out."""
    only_users: Iterable[str] | None = None
    """The only users that are wanted; None for all."""
    resolve_users: bool = False
    """Whether users are looked up first, so that a mailbox under two names is one. Needs User.ReadBasic.All."""
    probe: int | None = None
    """How many mailboxes to look at before anything is sent, 1 to 100; None for none."""

    max_items: int | None = None
    """Refuse an input with more rows to purge than this."""
    max_items_per_mailbox: int | None = None
    """Refuse an input with more rows to purge than this in any mailbox."""
    max_failures: int | str | None = None
    """Stop when more rows than this (50), or a larger share of them (``"2%"``), have failed."""
    auto_stop: bool = True
    """Whether a run that looks wrong stops by itself: denials in a row, most rows failing."""
    yes: bool = False
    """Whether the purge is confirmed. Without it, nothing is sent unless a callback confirms."""

    limits: Limits = field(default_factory=Limits)
    """Graph's limits, and how gentle to be."""
    hours: SendingHours | None = None
    """When sending is allowed; None for any time."""
    seed: int | None = None
    """Repeats the same random choices; None for new ones."""
    spelling: Spelling = field(default=as_fields, repr=False, compare=False)
    """How the front end that made the request writes a setting, for sentences that name one."""

    def __post_init__(self) -> None:
        refuse_odd_types(self)
        for name in USERS:
            object.__setattr__(self, name, users_of(self, name))
        if isinstance(self.inputs, str | Path):
            object.__setattr__(self, "inputs", (self.inputs,))
        if self.user is not None:
            object.__setattr__(self, "user", self.user.strip())
        self.validate()

    def validate(self) -> None:
        """Raise `UsageProblem` naming the first field that cannot be used."""
        spell = self.spelling
        self._refuse_columns()
        if self.user is not None and (problem := user_problem(self.user)):
            raise UsageProblem(f"{spell('user')}: {problem} ('{escaped(self.user)}').")
        self.deletion()
        if self.auth not in get_args(Auth):
            raise UsageProblem(f"{spell('auth')} must be one of {', '.join(get_args(Auth))}, not {shown(self.auth)}.")
        if self.access_token is not None and self.credential is not None:
            raise UsageProblem("access_token and credential are two ways to sign in. Give one of them.")
        if self.auth != "auto" and (self.access_token is not None or self.credential is not None):
            raise UsageProblem(
                f"{spell('auth')} says how to sign in from the environment, and a token is given. Give one of them."
            )
        for name in USERS:
            for entry in getattr(self, name) or ():
                if problem := entry_problem(entry):
                    raise UsageProblem(f"{spell(name)} holds {printable(entry, 100)!r}: {problem}.")
        if self.only_users is not None and not self.only_users:
            raise UsageProblem(f"{spell('only_users')} lists no user. Name at least one, or leave it out.")
        if self.probe is not None and not 1 <= self.probe <= PROBES_MAX:
            raise UsageProblem(f"{spell('probe')} must be from 1 to {PROBES_MAX}, not {self.probe}.")
        for name in ("max_items", "max_items_per_mailbox"):
            if (most := getattr(self, name)) is not None and most < 0:
                raise UsageProblem(f"{spell(name)} must not be negative, and is {most}.")
        for window in self.hours.windows if self.hours is not None else ():
            first, end = window
            if not (0 <= first < DAY_MINUTES and 0 <= end <= DAY_MINUTES and first != end):
                raise UsageProblem(
                    f"{spell('hours')} has the window {window}. A window is two minutes of the day, such as (1200, 360) for 20:00 "
                    f"to 06:00: the first from 0 to {DAY_MINUTES - 1}, the end up to {DAY_MINUTES}, and not the same."
                )
        self.threshold()

    def _refuse_columns(self) -> None:
        spell = self.spelling
        for role, name in (self.columns or {}).items():
            if role not in ROLES:
                raise UsageProblem(f"{spell('columns')} knows the roles user, folder and contact, not {role!r}.")
            if not name and role != "folder":
                raise UsageProblem(f"{spell('columns')} can leave out the folder only, not the {role}.")
        if self.user is not None and "user" in (self.columns or {}):
            raise UsageProblem(
                f"{spell('user')} names the one mailbox of the list, and {spell('columns')} a column for it. Give one of them."
            )

    @property
    def has_input(self) -> bool:
        """Whether rows are given, and not only a ledger to go on with."""
        return not (isinstance(self.inputs, list | tuple) and not self.inputs)

    @property
    def folder(self) -> Path | None:
        """The folder of the ledger."""
        return None if self.ledger is None else Path(self.ledger)

    @property
    def given(self) -> dict[str, Any]:
        """What changes the input's rows and must be the same each time."""
        return {"user": self.user, "clean": self.clean}

    def deletion(self) -> Operation:
        """What is done to each contact. Raises `UsageProblem` for a word that means nothing."""
        return deletion_by(self._one_of("action", Action), self._one_of("id_type", IdType))

    def endpoint(self) -> GraphEndpoint:
        """Where Graph and its login are. Raises `UsageProblem` as `endpoint_of` does."""
        return endpoint_of(
            cloud=self.cloud,
            graph_url=self.graph_url,
            authority_url=self.authority_url,
            ca_file=self.ca_file,
            auth=self.auth,
            spelling=self.spelling,
        )

    def threshold(self) -> FailureThreshold | None:
        """How many rows may fail. Raises `UsageProblem` for what is neither a number nor a share."""
        if self.max_failures is None:
            return None
        from purgeengine.core.policy.auto_stop import FailureThreshold  # not needed to answer --help

        return FailureThreshold.parse(str(self.max_failures), self.spelling)

    def user_filter(self) -> UserFilter:
        """Which mailboxes are left alone."""
        return UserFilter(
            protected=UserList.of(self.protected_users),
            excluded=UserList.of(self.exclude_users),
            only=None if self.only_users is None else UserList.of(self.only_users),
        )

    def _one_of(self, name: str, kind: type[Chosen]) -> Chosen:
        try:
            return kind(getattr(self, name))
        except ValueError:
            words = ", ".join(one.value for one in kind)
            raise UsageProblem(
                f"{self.spelling(name)} must be one of {words}, not {printable(getattr(self, name), 40)!r}."
            ) from None
