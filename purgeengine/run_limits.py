"""Limits of a run, with units in their names. Graph's own limits have their source; ours have their reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Literal, NamedTuple

from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields, number, shown

Fanout = Literal["auto", 4, 20]
Auth = Literal["auto", "token", "secret", "certificate", "federated", "managed-identity", "device-code"]
"""Ways to sign in."""

QUARANTINE_S_MAX = 3_600.0
"""Longest cooldown in seconds. No service runs twenty deletions for an hour, and with longer waits a run would not end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a run: what Graph allows, and what the run itself never exceeds, such as calls at once, attempts and waits.

    Raises `UsageProblem`, which names the field, for a value that is not within its range (see `RANGES`).
    """

    connections: int = 64
    """Most batches in flight at once. A run begins with 16 (about 300 rows/s), and adds more while Graph keeps up."""
    batch_items_max: int = 20
    """Most sub-requests in one batch (Graph's limit; json-batching)."""
    fanout: Fanout = "auto"
    """Rows of one mailbox in one batch.

    4 is safe everywhere; 20 needs a service that runs a batch four at a time; auto finds out.
    """
    lanes: bool = True
    """True if mailboxes that would end last may use lanes: batches whose rows each depend on the one before (``dependsOn``)."""
    mailbox_concurrent_max: int = 4
    """Requests of one app to one mailbox at once (Graph's limit; throttling-limits, Outlook)."""
    mailbox_requests: int = 10_000
    """Requests of one app to one mailbox in ``mailbox_window_s`` (Graph's limit). Refused requests count as well."""
    mailbox_window_s: float = 600.0
    """Length of the request window of ``mailbox_requests``, in seconds."""
    window_slack_s: float = 1.0
    """Seconds added to the request window, for the difference between our clock and the service's."""
    requests_per_s: int = 12_000
    """Sub-requests per second over all mailboxes.

    Graph allows an app 130,000 in 10 s, and other programs may use the same app.
    """
    burst_s: float = 0.5
    """Seconds' worth of requests that may leave at once: 12,000 a second and 6,000 at once stay below 130,000 in any 10 s."""
    attempts_max: int = 8
    """Attempts of a row that end in a fault of the service before the row is given up as exhausted."""
    unclear_attempts_max: int = 4
    """Attempts of a row that end in 409, 412, 423, or a 403 or 404 without a code, while none can have been carried out."""
    sends_max: int = 100
    """Sendings of a row for any cause, throttling included. This ends the rows of a mailbox that refuses for ever."""
    quarantine_s: float = 40.0
    """The longest cooldown: seconds after its sending in which a lost call may still be running and hold slots of its mailboxes.

    The value is used until enough answers have been timed. After that the cooldown is learned, and never longer. A call that was
    given up holds its slots from then on for as long again as its answer was waited for, and for this many seconds at most.
    """
    quarantine_s_min: float = 5.0
    """Shortest cooldown in seconds, however fast the service has answered. ``quarantine_s`` counts if it is less."""
    fill_wait_s: float = 0.05
    """Seconds that a partly filled batch waits for more rows while others are in flight: 13 % fewer calls for 0.3 % more time."""
    retry_after_s_max: float = 21_600.0
    """Longest wait in seconds that Graph may ask for.

    A longer one closes the mailbox (or ends the run); it is never cut short.
    """
    own_wait_s_max: float = 1_800.0
    """Longest wait in seconds that Graph did not ask for. Most kinds of failure have a shorter one."""
    outage_s_max: float = 900.0
    """Seconds without any usable answer after which the run stops. It can be resumed."""
    first_outage_s_max: float = 21_600.0
    """Seconds after which the run stops if Graph has never answered since it began. ``outage_s_max`` counts if it is less."""
    walled_off_s_max: float = 30.0
    """Seconds after which the run stops if somebody between here and Graph has answered every call since it began.

    The cause is a block page or a network's sign-in page. A person must deal with it, and is probably waiting.
    """
    open_per_connection: int = 8
    """Mailboxes held open for each connection: with 4 to 8 no connection starves, more only costs memory."""
    open_mailboxes_max: int = 10_000
    """Mailboxes held in memory at once, including throttled ones: about 1 KB each."""
    suspects_max: int = 10
    """The run stops when this many mailboxes refuse a fresh token and none accepts it. Then the token or the app is at fault."""

    def __post_init__(self) -> None:
        refuse_unusable({field.name: getattr(self, field.name) for field in fields(self)})


class LimitRange(NamedTuple):
    """The smallest and the largest value of a limit, and why there is no larger one (or smaller one, where that matters)."""

    least: float
    most: float
    why: str
    whole: bool = True
    """True if the value is a whole number."""

    def problem(self, value: object) -> str | None:
        """Return what is wrong with the value, as the end of a sentence that begins with its name, or None."""
        kinds = int if self.whole else (int, float)
        if isinstance(value, kinds) and not isinstance(value, bool) and self.least <= value <= self.most:
            return None
        kind = "whole number" if self.whole else "number"
        bounds = f"of at least {_in_words(self.least)}"
        if self.most < inf:
            bounds = f"from {_in_words(self.least)} to {_in_words(self.most)}"
        return f"must be a {kind} {bounds}, not {shown(value)}. {self.why}"


RANGES: Mapping[str, LimitRange] = {
    "connections": LimitRange(1, 512, "One process should not open more connections."),
    "batch_items_max": LimitRange(1, 20, "Graph refuses a batch of more than 20 requests."),
    "mailbox_concurrent_max": LimitRange(1, 4, "Graph allows an app four requests to one mailbox at once."),
    "mailbox_requests": LimitRange(
        1, 1_000_000, "With none, nothing could be sent; no service is known to allow a mailbox so many."
    ),
    "mailbox_window_s": LimitRange(
        1, 86_400, "Requests are counted by the second, and remembered for this long.", whole=False
    ),
    "window_slack_s": LimitRange(
        0, 3_600, "Two clocks never drift apart by more than 3,600 seconds within one window.", whole=False
    ),
    "requests_per_s": LimitRange(1, 1_000_000, "With none, nothing could be sent; one process cannot send so many."),
    "burst_s": LimitRange(0, 10, "Graph counts the requests of an app in ten seconds.", whole=False),
    "attempts_max": LimitRange(1, 1_000, "Each row needs one attempt, and a run must end."),
    "unclear_attempts_max": LimitRange(1, 1_000, "Each row needs one attempt, and a run must end."),
    "sends_max": LimitRange(1, 1_000, "Each row must be sent once, and a run must end."),
    "quarantine_s": LimitRange(
        0.01,
        QUARANTINE_S_MAX,
        "A lost call may hold slots of its mailboxes for this many seconds, so a larger value would stall the run.",
        whole=False,
    ),
    "quarantine_s_min": LimitRange(
        0,
        QUARANTINE_S_MAX,
        "A lost call may hold slots of its mailboxes for this many seconds, so a larger value would stall the run.",
        whole=False,
    ),
    "fill_wait_s": LimitRange(
        0, 60, "A batch that waits longer for more rows only delays those that it has.", whole=False
    ),
    "retry_after_s_max": LimitRange(
        0, 604_800, "A run does not wait for longer than a week: resume it after that.", whole=False
    ),
    "own_wait_s_max": LimitRange(
        0.5, inf, "With shorter waits, a service in trouble would be asked without a pause.", whole=False
    ),
    "outage_s_max": LimitRange(0, inf, "inf is for a run that never stops by itself.", whole=False),
    "first_outage_s_max": LimitRange(0, inf, "With inf, only outage_s_max stops the run.", whole=False),
    "walled_off_s_max": LimitRange(0, inf, "With inf, only outage_s_max stops the run.", whole=False),
    "open_per_connection": LimitRange(1, 1_000, "With none, no mailbox would be opened; more only costs memory."),
    "open_mailboxes_max": LimitRange(
        1, 1_000_000, "With none, no mailbox would be opened; so many take a gigabyte of memory."
    ),
    "suspects_max": LimitRange(
        1,
        10_000,
        "With 0, the run would stop before a mailbox refused the token. With more, a refused token would go to too many mailboxes.",
    ),
}
"""The range of every limit that is a number, each with its reason. What Graph says for certain is never exceeded."""


def refuse_unusable(limits: Mapping[str, object], spelling: Spelling = as_fields) -> None:
    """Raise `UsageProblem` naming the first of these limits (given by field) that cannot be used, in the words of ``spelling``."""
    for name, value in limits.items():
        if name == "fanout":
            problem = None if _is_fanout(value) else f"must be auto, 4 or 20, not {shown(value)}."
        elif name == "lanes":
            problem = None if isinstance(value, bool) else f"must be True or False, not {shown(value)}."
        else:
            problem = RANGES[name].problem(value)
        if problem is not None:
            raise UsageProblem(f"{spelling(name)} {problem}")


def _is_fanout(value: object) -> bool:
    return value in ("auto", 4, 20) if type(value) in (str, int) else False


def _in_words(value: float) -> str:
    return number(value) if isinstance(value, int) else f"{value:,g}"


@dataclass(frozen=True, slots=True)
class Cloud:
    """Addresses of a cloud's login and Graph. Sources: Microsoft's page on national clouds; Graph's metadata."""

    name: str
    authority_url: str
    graph_url: str
    has_permanent_delete: bool | None
    """True if contacts have this action in the cloud. None if nobody knows."""
    has_contacts: bool = True


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud("global", "https://login.microsoftonline.com", "https://graph.microsoft.com", True),
        Cloud("usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us", False),
        Cloud("dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", False),
        Cloud("china", "https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", False),
        Cloud("bleu", "https://login.sovcloud-identity.fr", "https://graph.svc.sovcloud.fr", False),
        Cloud("delos", "https://login.sovcloud-identity.de", "https://graph.svc.sovcloud.de", False),
        Cloud(
            "govsg", "https://login.sovcloud-identity.sg", "https://graph.svc.sovcloud.sg", False, has_contacts=False
        ),
    )
}
UNKNOWN_CLOUD = Cloud("unknown", CLOUDS["global"].authority_url, "", None)
"""The cloud of a Graph address that is not Microsoft's, if the user names no cloud. Its login is the usual one."""
LOGIN_ALIASES = {
    "login.windows.net": "https://login.microsoftonline.com",
    "login.microsoft.com": "https://login.microsoftonline.com",
    "sts.windows.net": "https://login.microsoftonline.com",
    "login.usgovcloudapi.net": "https://login.microsoftonline.us",
    "login.chinacloudapi.cn": "https://login.partner.microsoftonline.cn",
}
"""Other hosts of the same logins (as Entra ID's discovery lists them), with the address in `CLOUDS`."""
