"""Frozen settings with units in their names. Graph's own limits carry their source; ours carry their reason."""

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
"""No service runs twenty deletions for an hour, and a run that waits so long after each lost call does not end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything the scheduler must stay within. Raises `UsageProblem` from `validate` when a value makes no sense."""

    connections: int = 64
    """Most batches in flight at once over the whole run: it begins with 16, about 300 items/s, and grows while Graph keeps up."""
    batch_items_max: int = 20
    """Sub-requests in one batch; Graph's limit (json-batching)."""
    fanout: Fanout = "auto"
    """Rows of one mailbox in one batch. 4 is safe on any service, 20 needs one that runs a batch four at a time, auto finds out."""
    serial_lanes: bool = True
    """Whether mailboxes that would end last may use batches whose rows depend each on the one before (``dependsOn``)."""
    mailbox_concurrent_max: int = 4
    """Requests of one app to one mailbox at once; Graph's limit (throttling-limits, Outlook)."""
    mailbox_requests: int = 10_000
    """Requests of one app to one mailbox in ``mailbox_window_s``; Graph's limit. Refused requests count as well."""
    mailbox_window_s: float = 600.0
    """The window of ``mailbox_requests``."""
    window_slack_s: float = 1.0
    """Added to the window for the difference between our clock and the service's."""
    requests_per_s: int = 12_000
    """Sub-requests a second over all mailboxes; Graph allows an app 130,000 in 10 s, and others may share the app."""
    burst_s: float = 0.5
    """How much of a second's requests may leave at once; 12,000 a second and 6,000 at once stay under 130,000 in any 10 s."""
    attempts_max: int = 8
    """Attempts of a row that ended in a fault of the service before the row is given up as exhausted."""
    unclear_attempts_max: int = 4
    """The same for 409, 412, 423 and a 404 without its error, while nothing can have been done."""
    sends_max: int = 100
    """Sendings of a row over all causes, throttling included: the bound of a mailbox that refuses for ever."""
    quarantine_s: float = 40.0
    """How long the service may still be running a batch whose answer was lost; its mailboxes wait that long. Used until
    enough answers have been timed, and never exceeded."""
    quarantine_s_min: float = 5.0
    """Shortest quarantine, however fast the service has answered so far; never more than ``quarantine_s``."""
    fill_wait_s: float = 0.05
    """How long a partly filled batch waits for company while others are in flight: 13 % fewer calls for 0.3 % of time."""
    retry_after_s_max: float = 21_600.0
    """A longer wait asked for by Graph ends the mailbox (or the run) instead: nobody waits for it, and it is not undercut."""
    own_wait_s_max: float = inf
    """Longest wait that Graph did not ask for, where each kind of failure has none that is shorter."""
    outage_s_max: float = 900.0
    """No usable answer for so long stops the run, resumable."""
    first_outage_s_max: float = inf
    """The same while Graph has not answered at all since the run began, where that is shorter."""
    walled_off_s_max: float = 30.0
    """The same where something between here and Graph has answered every call since the run began: a block page or a network's
    sign-in page, which a person must see to, and who is likely to be waiting."""
    open_per_connection: int = 8
    """Mailboxes held open for each connection: with 4 to 8 no connection starves, more only costs memory."""
    open_mailboxes_max: int = 10_000
    """Mailboxes held in memory at once, throttled ones included; about 1 KB each."""
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
    """Where a national cloud's login and Graph live (graph-contract, deployments; Graph's metadata for the sovereign ones)."""

    name: str
    authority_url: str
    graph_url: str
    has_permanent_delete: bool | None
    """Whether contacts have the action there; None where nobody knows."""
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
"""That of a Graph address which is none of Microsoft's, where the user names no cloud; the login is the usual one."""
LOGIN_ALIASES = {
    "login.windows.net": "https://login.microsoftonline.com",
    "login.microsoft.com": "https://login.microsoftonline.com",
    "sts.windows.net": "https://login.microsoftonline.com",
    "login.usgovcloudapi.net": "https://login.microsoftonline.us",
    "login.chinacloudapi.cn": "https://login.partner.microsoftonline.cn",
}
"""Other hosts of the same logins (Entra ID's discovery lists them), by the address that `CLOUDS` has."""
