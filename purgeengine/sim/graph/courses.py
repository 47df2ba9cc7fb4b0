"""What each fault of a whole call does to it: what the client sees, whether the work is done, and which comes first."""

from __future__ import annotations

from purgeengine.sim.graph.call import CallFate, CallPlan, EndKind
from purgeengine.sim.graph.faults import CallFault, Chance
from purgeengine.sim.wire.answers import SubResponse

_HTML_PAGE = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)


def refused(said: SubResponse) -> CallFate:
    """Return the fate of a call that is refused as a whole, so that nothing is carried out."""
    return CallFate(CallPlan(EndKind.ANSWERED, said), runs=False)


def course_of_outage(chance: Chance) -> CallFate:
    """Return the fate of a call during an outage: 503 or a reset connection, equally often. Nothing is carried out."""
    if chance.evenly():
        return CallFate(CallPlan(EndKind.RESET), runs=False)
    return refused(SubResponse(503, "serviceNotAvailable", "The service is temporarily unavailable."))


def course_of(fault: CallFault | None, chance: Chance, now: float, utc_at_zero_s: float) -> CallFate:
    """Return what becomes of an acceptable call with this fault, or with none.

    If the work is done and the client does not learn it, half of the calls end for the client while the work still
    runs. So a mailbox stays busy without the client's knowledge.
    """
    match fault:
        case None | CallFault.EXPIRED_TOKEN:  # an expired token was refused before this point
            return CallFate(None, runs=True)
        case CallFault.UNREACHABLE:
            return CallFate(CallPlan(EndKind.UNREACHABLE), runs=False)
        case CallFault.RESET_BEFORE:
            return CallFate(CallPlan(EndKind.RESET), runs=False)
        case CallFault.RESET_AFTER:
            return CallFate(CallPlan(EndKind.RESET), runs=True, early=chance.evenly())
        case CallFault.HANG_BEFORE:
            return CallFate(CallPlan(EndKind.HANG), runs=False)
        case CallFault.HANG_AFTER:
            return CallFate(CallPlan(EndKind.HANG), runs=True, early=True)
        case CallFault.CALL_THROTTLED:
            return refused(chance.throttled(now, utc_at_zero_s))
        case CallFault.CALL_ERROR_BEFORE:
            return refused(chance.call_error())
        case CallFault.CALL_ERROR_AFTER:
            return CallFate(CallPlan(EndKind.ANSWERED, chance.call_error()), runs=True, early=chance.evenly())
        case CallFault.HTML_PAGE:
            return CallFate(CallPlan(EndKind.ANSWERED, status=502, body=_HTML_PAGE), runs=chance.evenly())
        case CallFault.EMPTY_BODY:
            return CallFate(CallPlan(EndKind.ANSWERED), runs=True)
        case CallFault.TRUNCATED:
            kind = EndKind.ANSWERED if chance.evenly() else EndKind.CUT
            return CallFate(CallPlan(kind, half=True), runs=True)
