"""`PurgeRequest`: everything that a purge is asked to do, as one frozen value.

It is made once, from the options of the command line or by a caller of the API, and never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

from purgeengine.core.graph.identifiers import user_problem
from purgeengine.core.graph.operations import Action, IdType, Operation, deletion_by
from purgeengine.core.graph.text import escaped, printable
from purgeengine.core.model import Outcome
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
    from purgeengine.edges.ledger import Selection

PROBES_MAX = 100
"""Most mailboxes that ``probe`` may look at. Each look uses up a few of the mailbox's requests."""
ROLES = ("user", "folder", "contact")

Row = tuple[str, str | None, str]
"""User, folder id (empty or None if it is not known), contact id."""
Chosen = TypeVar("Chosen", Action, IdType)


class AccessToken(Protocol):
    """A token and the time at which it expires, in seconds since 1970. ``azure.core.credentials.AccessToken`` is one."""

    @property
    def token(self) -> str: ...  # noqa: D102
    @property
    def expires_on(self) -> int: ...  # noqa: D102


class TokenCredential(Protocol):
    """An object that returns a token for the scopes it is asked for. Every synchronous credential of azure-identity is one."""

    def get_token(self, *scopes: str, claims: str | None = None) -> AccessToken: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRequest:
    """What to purge, how, and what must be true before anything is sent.

        request = purgeengine.PurgeRequest(
            inputs="contacts.csv", ledger="cleanup", exclude_users=["ceo@contoso.com"], max_items=50_000, max_failures="2%"
        )

    Only ``ledger`` is always needed for a purge, and for a new ledger ``inputs`` or ``retry_of``. A request is checked when it
    is made; reading files, signing in and sending happen in `plan` and `purge`. ``dataclasses.replace`` makes a changed copy.

    Raises `UsageProblem`, which names the field, for a value that cannot be used.
    """

    inputs: str | Path | Iterable[str | Path] | Iterable[Row] | pa.Table = ()
    """The contacts to purge, in one of three forms: paths of CSV, JSON or Parquet files, or of folders of them; an iterable of
    ``(user, folder, contact)`` rows, with None where the folder is not known; or a pyarrow Table with such columns. Leave it
    empty to resume an existing ledger without its input."""
    ledger: str | Path | None = None
    """The folder of the ledger. A purge creates it if it does not exist, and resumes it if it does. It must be on a local disk.
    `plan` does not need one."""

    retry_of: str | Path | None = None
    """The folder of an earlier ledger whose failed rows are to be purged again, instead of ``inputs``. ``ledger`` names another
    folder, for the ledger of the retry. Users, ids and columns are read from the earlier ledger, which is not changed."""
    only: Iterable[Outcome | str] | None = None
    """With ``retry_of``: the outcomes of the rows to retry, such as ``{"exhausted"}``. None takes refused, exhausted and skipped
    rows."""
    codes: Iterable[str | int] | None = None
    """With ``retry_of``: of these rows, take only those whose last answer is one of these: error codes or statuses, such as
    ``["ErrorAccessDenied", 429, "5xx"]``, or ``"none"`` for rows without an answer. None takes all."""
    unfinished: bool = False
    """With ``retry_of``: True retries rows of a ledger in which other rows have no outcome yet. False refuses such a ledger."""

    columns: Mapping[str, str] | None = None
    """Names of the input's columns by role (``user``, ``folder``, ``contact``), such as ``{"user": "Owner"}``. Give them only if
    the names are unusual. ``{"folder": ""}`` ignores the folder column. None finds the columns by their usual names."""
    user: str | None = None
    """The user of every row, for a list of one mailbox that has no user column: a user principal name or an object id."""
    clean: bool = False
    """True corrects names and ids whose meaning is certain: invisible characters, ``SMTP:`` or ``mailto:`` before an address,
    braces around a GUID. False leaves such rows invalid."""
    allow_unread: bool = False
    """With ``yes``: True accepts an input folder in which some files cannot be read as input. False refuses it."""

    action: Action | Literal["permanentDelete", "delete"] | None = None
    """``"permanentDelete"`` moves each contact to the Purges folder, where its user cannot reach it. ``"delete"`` moves it to
    Deleted Items, where its user can restore it. None means ``"permanentDelete"``; with ``retry_of``, the action of the earlier
    ledger."""
    id_type: IdType | Literal["default", "immutable"] | None = None
    """The kind of contact ids in the input: ``"immutable"`` if they were listed with ``Prefer: IdType="ImmutableId"``. None
    means ``"default"``; with ``retry_of``, the kind of the earlier ledger."""

    cloud: str | None = None
    """The name of a Microsoft cloud (``global``, ``usgov``, ``dod``, ``china``, ``bleu``, ``delos``). None takes the cloud that
    ``graph_url`` belongs to, or the global one."""
    graph_url: str | None = None
    """The root address of Graph. None takes the cloud's."""
    authority_url: str | None = None
    """The root address of the login. None takes the cloud's."""
    ca_file: str | Path | None = None
    """A PEM file with the certificates to trust for the login and Graph. None trusts the usual ones."""
    auth: Auth = "auto"
    """How to sign in from environment variables: ``token``, ``secret``, ``certificate``, ``federated``, ``managed-identity`` or
    ``device-code``. ``auto`` takes the first that the environment offers. Leave it if you give ``access_token`` or
    ``credential``."""
    access_token: str | None = field(default=None, repr=False)
    """A ready access token for Graph. It cannot be renewed: when it expires, the run stops with `Summary.exit_code` 3, and a
    request with a new token resumes it."""
    credential: TokenCredential | None = field(default=None, repr=False)
    """An object with ``get_token(*scopes)``, such as a synchronous credential of azure-identity. It is called in its own thread,
    before each token expires."""

    protected_users: Iterable[str] = ()
    """Users whose mailboxes are never touched: user principal names, object ids, or patterns such as ``*@board.contoso.com``.
    ``only_users`` does not overrule it."""
    exclude_users: Iterable[str] = ()
    """Users to leave out, in the same forms."""
    only_users: Iterable[str] | None = None
    """The only users to purge from, in the same forms. None means all users of the input."""
    resolve_users: bool = False
    """True looks up every user in Graph when a new ledger is made, so that a mailbox that the input names in two ways counts as
    one. The app needs the permission User.ReadBasic.All."""
    probe: int | None = None
    """The number of mailboxes to look at before anything is deleted, 1 to 100. If none of them can be purged, the purge is refused.
    None looks at none."""

    max_items: int | None = None
    """Refuse the purge if more rows than this are to be purged. None sets no limit."""
    max_items_per_mailbox: int | None = None
    """Refuse the purge if more rows than this are to be purged in any one mailbox. None sets no limit."""
    max_failures: int | str | None = None
    """Stop the run when more of its rows than this have failed: a number (``50``), or a share of the rows that it has settled
    (``"2%"``, once it has settled 100). None sets no limit."""
    auto_stop: bool = True
    """True stops a run that looks wrong, for example because many mailboxes in a row deny access or most rows fail."""
    yes: bool = False
    """True confirms the purge. If False, nothing is sent unless the callback ``confirm`` returns True."""

    limits: Limits = field(default_factory=Limits)
    """How fast to send and how long to wait, such as ``Limits(connections=16, requests_per_s=200)``. The default stays within
    Graph's own limits."""
    hours: SendingHours | None = None
    """When the run may send, and when it must end. None allows any time."""
    seed: int | None = None
    """A seed that makes the random choices repeatable. None draws a new one."""
    spelling: Spelling = field(default=as_fields, repr=False, compare=False)
    """Internal: how error sentences write the name of a setting (``max_items`` or ``--max-items``). Leave it."""

    def __post_init__(self) -> None:
        refuse_odd_types(self)
        for name in USERS:
            object.__setattr__(self, name, users_of(self, name))
        if isinstance(self.inputs, str | Path):
            object.__setattr__(self, "inputs", (self.inputs,))
        elif isinstance(self.inputs, list):  # the caller may change it later
            object.__setattr__(self, "inputs", tuple(self.inputs))
        for name in ("only", "codes"):
            object.__setattr__(self, name, _words(getattr(self, name)))
        if self.retry_of is None:  # a retry learns what is not given from the earlier ledger
            object.__setattr__(self, "action", Action.PERMANENT_DELETE if self.action is None else self.action)
            object.__setattr__(self, "id_type", IdType.DEFAULT if self.id_type is None else self.id_type)
        if self.user is not None:
            object.__setattr__(self, "user", self.user.strip())
        self.validate()

    def validate(self) -> None:
        """Raise `UsageProblem` for the first field that cannot be used. Making a request calls this."""
        spell = self.spelling
        self._refuse_retry()
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

    def _refuse_retry(self) -> None:
        spell = self.spelling
        if self.retry_of is not None and self.has_input:
            raise UsageProblem(
                f"{spell('inputs')} and {spell('retry_of')} both say which rows to purge: those of an input, or those of an "
                "earlier ledger. Give one of them."
            )
        for name in ("only", "codes", "unfinished"):
            if self.retry_of is None and getattr(self, name) not in (None, False):
                raise UsageProblem(
                    f"{spell(name)} is of use only with {spell('retry_of')}, which names an earlier ledger. Name one, or leave "
                    f"{spell(name)} out."
                )
        if self.only is not None or self.codes is not None:
            self.selection()

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
        """True if the request has an input. False if it only resumes a ledger."""
        return not (isinstance(self.inputs, list | tuple) and not self.inputs)

    @property
    def folder(self) -> Path | None:
        """The folder of the ledger as a path. None if there is none."""
        return None if self.ledger is None else Path(self.ledger)

    @property
    def given(self) -> dict[str, Any]:
        """The fields that change how rows are read. They must be the same each time that a ledger is opened with its input."""
        return {"user": self.user, "clean": self.clean}

    def deletion(self) -> Operation:
        """Return the operation on each contact. Raises `UsageProblem` for an unknown action or type of ids."""
        return deletion_by(
            self._one_of("action", Action, Action.PERMANENT_DELETE), self._one_of("id_type", IdType, IdType.DEFAULT)
        )

    def selection(self) -> Selection:
        """Return the choice of rows that a retry takes. Raises `UsageProblem` for an unknown outcome or an unusable code."""
        from purgeengine.edges.ledger import Selection  # loads pyarrow

        only, codes = (None if words is None else ",".join(map(str, words)) for words in (self.only, self.codes))
        return Selection.parse(only, codes, self.spelling)

    def endpoint(self) -> GraphEndpoint:
        """Return where Graph and its login are. Raises `UsageProblem` as `endpoint_of` does."""
        return endpoint_of(
            cloud=self.cloud,
            graph_url=self.graph_url,
            authority_url=self.authority_url,
            ca_file=self.ca_file,
            auth=self.auth,
            spelling=self.spelling,
        )

    def threshold(self) -> FailureThreshold | None:
        """Return how many rows may fail. Raises `UsageProblem` if ``max_failures`` is neither a number nor a share."""
        if self.max_failures is None:
            return None
        from purgeengine.core.policy.auto_stop import FailureThreshold  # not needed to answer --help

        return FailureThreshold.parse(str(self.max_failures), self.spelling)

    def user_filter(self) -> UserFilter:
        """Return the filter that says which mailboxes are left out."""
        return UserFilter(
            protected=UserList.of(self.protected_users),
            excluded=UserList.of(self.exclude_users),
            only=None if self.only_users is None else UserList.of(self.only_users),
        )

    def _one_of(self, name: str, kind: type[Chosen], default: Chosen) -> Chosen:
        given = getattr(self, name)
        if given is None:
            return default
        try:
            return kind(given)
        except ValueError:
            words = ", ".join(one.value for one in kind)
            raise UsageProblem(f"{self.spelling(name)} must be one of {words}, not {printable(given, 40)!r}.") from None


def _words(given: Iterable[str | int] | None) -> tuple[str, ...] | None:
    """Return a copy as texts. A set is sorted, so that equal requests stay equal. One text alone counts as a list of one."""
    if given is None:
        return None
    words = [given] if isinstance(given, str | int) else sorted(given, key=str) if isinstance(given, Set) else given
    return tuple(str(word) for word in words)
