"""Limits of a run, with units in their names. Graph's own limits have their source; ours have their reason."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields

Fanout = Literal["auto", 4, 20]
Auth = Literal["auto", "token", "secret", "certificate", "federated", "managed-identity", "device-code"]
"""Ways to sign in."""

QUARANTINE_S_MAX = 3_600.0
"""Longest cooldown in seconds. No service runs twenty deletions for an hour, and with longer waits a run would not end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that the scheduler must stay within. Call `validate` to check the values."""

    connections: int = 64
    """Most batches in flight at once. A run begins with 16 (about 300 rows/s), and adds more while Graph keeps up."""
    batch_items_max: int = 20
    """Most sub-requests in one batch (Graph's limit; json-batching)."""
    fanout: Fanout = "auto"
    """Rows of one mailbox in one batch.

    4 is safe everywhere; 20 needs a service that runs a batch four at a time; auto finds out.
    """
    serial_lanes: bool = True
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
    """Length in seconds of the cooldown: how long the service may still be running a batch whose answer was lost.

    The batch's mailboxes wait that long. The value is used until enough answers have been timed, and is never
    exceeded.
    """
    quarantine_s_min: float = 5.0
    """Shortest cooldown in seconds, however fast the service has answered. Never more than ``quarantine_s``."""
    fill_wait_s: float = 0.05
    """Seconds that a partly filled batch waits for more rows while others are in flight: 13 % fewer calls for 0.3 % more time."""
    retry_after_s_max: float = 21_600.0
    """Longest wait in seconds that Graph may ask for.

    A longer one closes the mailbox (or ends the run); it is never cut short.
    """
    own_wait_s_max: float = inf
    """Longest wait that Graph did not ask for, where each kind of failure has none that is shorter."""
    outage_s_max: float = 900.0
    """Seconds without any usable answer after which the run stops. It can be resumed."""
    first_outage_s_max: float = inf
    """The same while Graph has not answered at all since the run began, where that is shorter."""
    walled_off_s_max: float = 30.0
    """Seconds after which the run stops if somebody between here and Graph has answered every call since it began.

    The cause is a block page or a network's sign-in page. A person must deal with it, and is probably waiting.
    """
    open_per_connection: int = 8
    """Mailboxes held open for each connection: with 4 to 8 no connection starves, more only costs memory."""
    open_mailboxes_max: int = 10_000
    """Mailboxes held in memory at once, including throttled ones: about 1 KB each."""
    suspects_max: int = 10
    """Mailboxes that a fresh token is refused for, nothing going through, before the run stops: it is the token, or the app."""

    def validate(self, spelling: Spelling = as_fields) -> None:
        """Raise `UsageProblem` naming the first setting that cannot be used, in the words of ``spelling``."""
        positive = (
            ("connections", self.connections),
            ("mailbox_requests", self.mailbox_requests),
            ("mailbox_window_s", self.mailbox_window_s),
            ("requests_per_s", self.requests_per_s),
            ("quarantine_s", self.quarantine_s),
        )
        for name, value in positive:
            if not 0 < value < inf:
                raise UsageProblem(f"{spelling(name)} must be greater than zero, not {value}.")
        if self.connections > 512:
            raise UsageProblem(
                f"{spelling('connections')} {self.connections} is more than the 512 that one process should open."
            )
        if self.quarantine_s > QUARANTINE_S_MAX:
            raise UsageProblem(
                f"{spelling('quarantine_s')} {self.quarantine_s:g} is more than {QUARANTINE_S_MAX:g}, and after each lost call its "
                "mailboxes would wait so long."
            )
        if self.fanout not in ("auto", 4, 20):
            raise UsageProblem(f"{spelling('fanout')} must be auto, 4 or 20, not {self.fanout}.")


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
