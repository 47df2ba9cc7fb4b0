"""Shares out the rate and the connections of one app among the shards that are being purged.

The sum of what is *reserved* never exceeds the total. A quota is lowered first; what it has lost is given to others only when its
holder has confirmed that it uses less. A lost holder's quota stays reserved until the holder is fenced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class AppQuota(NamedTuple):
    """So much of what an app may use. Nothing may be sent while either number is 0."""

    requests_per_s: int
    connections: int

    @property
    def empty(self) -> bool:
        """True if nothing may be sent with it."""
        return not self.requests_per_s or not self.connections


NO_QUOTA = AppQuota(0, 0)


@dataclass(slots=True)
class _Holding:
    reserved: AppQuota | None
    """The most that the holder may be using; None if that is not known."""
    wants: bool


class QuotaBook:
    """The quotas of one app. Holders go by the number of their shard."""

    def __init__(self, total: AppQuota) -> None:
        self._total = total
        self._holdings: dict[int, _Holding] = {}

    @property
    def reserved(self) -> AppQuota:
        """The most that all holders may be using together. The total while it is not known of one of them."""
        known = [holding.reserved for holding in self._holdings.values()]
        if None in known:
            return self._total
        quotas = [quota for quota in known if quota is not None]
        return AppQuota(sum(quota[0] for quota in quotas), sum(quota[1] for quota in quotas))

    def expect(self, holder: int) -> None:
        """Keep a quota for a holder that will ask soon, so that the first to ask does not get everything."""
        self._holdings.setdefault(holder, _Holding(NO_QUOTA, wants=True))

    def find(self, holder: int) -> None:
        """Take in a holder that somebody else gave a quota of unknown size. Until it is heard or freed, no quota grows."""
        self._holdings[holder] = _Holding(None, wants=True)

    def free(self, holder: int) -> None:
        """Take back the quota of a holder that sends no more: it has ended, or it is fenced."""
        self._holdings.pop(holder, None)

    def ask(self, holder: int, holds: AppQuota, *, wants: bool) -> AppQuota:
        """Return the quota that the holder may use from now on. ``holds`` is what it uses at most until it hears that.

        A holder that does not want to send, because its mailboxes only wait, gets none.
        """
        if holder not in self._holdings:  # it was fenced, so that its lease had ended: its question may be an old one
            holds = NO_QUOTA
        mine = self._holdings.setdefault(holder, _Holding(NO_QUOTA, wants))
        mine.wants = wants
        mine.reserved = NO_QUOTA
        taken = self.reserved
        wanting = sum(holding.wants for holding in self._holdings.values())
        if wants and wanting:
            rate, connections = (
                min(max(1, total // wanting), max(held, total - used))
                for total, used, held in zip(self._total, taken, holds, strict=True)
            )
            granted = AppQuota(rate, connections)
        else:
            granted = NO_QUOTA
        mine.reserved = AppQuota(max(holds[0], granted[0]), max(holds[1], granted[1]))
        return granted
