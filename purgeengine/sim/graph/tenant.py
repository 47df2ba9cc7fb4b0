"""A simulated tenant behind ``$batch``: pure, with ``now`` (tenant time in seconds, from 0) as an argument.

`Tenant.begin` accepts a call, `Tenant.advance` lets time pass, and the call's ``ending`` tells what the client sees.
The tenant never sleeps, reads a clock or uses a socket, so the same object serves a real server and a virtual clock.
It does not know connections, the content of tokens (see `purgeengine.sim.login.login_endpoint`), or the program's own
scheduling.

The life of a call: it begins; it is refused, or starts after half of the overhead; its sub-requests start one by one,
four at a time or all at once; each is refused by its mailbox, or ends after its latency; the call is answered after
the other half of the overhead.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

from purgeengine.sim.graph.app_window import AppWindow
from purgeengine.sim.graph.call import Call, CallFate, Ending, EndKind
from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.graph.courses import course_of, course_of_outage, refused
from purgeengine.sim.graph.faults import CallFault, Chance, Faults
from purgeengine.sim.graph.rendering import Rendered, outer_error, render, render_one
from purgeengine.sim.graph.request_log import RequestLog
from purgeengine.sim.graph.simulated_mailbox import SimulatedMailbox
from purgeengine.sim.graph.token_uses import TokenUses
from purgeengine.sim.graph.truth import Truth
from purgeengine.sim.graph.waits import Waits
from purgeengine.sim.graph.work import Work
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import BAD_TOKEN, CHALLENGE, NO_TOKEN, SubResponse, Wait, http_date
from purgeengine.sim.wire.batch import BatchRefused, ParsedBatch, SubRequest, parse_batch, target_of, with_user
from purgeengine.sim.wire.routes import DEEDS, OF_DIRECTORY, BadUrl

VIOLATIONS_MAX = 1_000
"""Violations kept as text, which is enough to find the mistake. All of them are counted."""
_JSON = "application/json"


class Caller(NamedTuple):
    """What the login says about a call's token.

    ``refusal`` is the reply to a bad token, or None. ``user`` is the person in whose name it was issued, or None.
    """

    refusal: SubResponse | None = None
    user: str | None = None


class Tenant:
    """A tenant that knows the truth.

    ``truth``, ``counters``, ``log`` and ``violations`` are for reading; ``truth`` also sets up mailboxes. The time
    passed to its methods must not run backwards.
    """

    def __init__(
        self,
        settings: TenantSettings | None = None,
        *,
        contacts: Iterable[tuple[str, str, str]] = (),
        faults: Faults | None = None,
        seed: int = 0,
    ) -> None:
        self.settings = settings or TenantSettings()
        self.counters = Counters()
        self.truth = Truth(self.settings, self.counters)
        self.truth.seed(contacts)
        self.violations: list[str] = []
        self._chance = Chance(faults or Faults(), seed)
        self._app_window = AppWindow(self.settings, self.counters)
        self._work = Work(self.settings, self.truth, self._chance, self._end_call, self._app_window)
        self._tokens = TokenUses()
        self._waits = Waits()

    def __repr__(self) -> str:
        return f"Tenant({self.counters!r}, {self._chance!r}, {self._work!r})"

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def now(self) -> float:
        """The latest tenant time that was reached."""
        return self._work.now

    @property
    def next_event_at(self) -> float | None:
        """The tenant time of the next event, or None if nothing is pending."""
        return self._work.next_event_at

    @property
    def log(self) -> RequestLog:
        """Every sub-request seen, in the order in which they ended. Empty unless ``settings.log`` is set."""
        return self._work.log

    @property
    def faults_drawn(self) -> dict[str, int]:
        """How often each fault occurred, by its name."""
        return dict(sorted(self._chance.drawn.items()))

    def summary(self) -> dict[str, int]:
        """Return the counters and, as ``fault_…``, how often each fault occurred."""
        return asdict(self.counters) | {f"fault_{name}": count for name, count in self.faults_drawn.items()}

    # ------------------------------------------------------------------------------------------------- setting

    def set_app_denied(self, denied: bool) -> None:
        """Take the app's permission away, or give it back.

        While it is away, every request is refused with 403: by Exchange with ErrorAccessDenied, by the directory with
        Authorization_RequestDenied.
        """
        self._work.app_denied = denied

    def set_faults(self, faults: Faults) -> None:
        """Use other faults from now on, drawn from the same generator. For runs in which the trouble ends."""
        self._chance.set_faults(faults)

    def set_app_limit(self, requests: int | None) -> None:
        """Allow the app another number of requests in its window from now on. None for any number."""
        self._app_window.allow(requests)

    def note_others(self, requests: int) -> None:
        """Count requests that another program sends now as the same app."""
        self._app_window.note_others(self.now, requests)

    @property
    def utc_at_zero_s(self) -> float:
        """The wall-clock time at tenant time 0, in seconds since 1970."""
        return self._work.utc_at_zero_s

    def set_graph_root(self, url: str) -> None:
        """Set the root of the links in answers, including the version. A server tells where it listens."""
        self._work.reads.graph_root = url

    def set_utc_at_zero(self, utc_s: float) -> None:
        """Tie tenant time to the wall clock. A server does so when it starts."""
        self._work.utc_at_zero_s = utc_s

    # ------------------------------------------------------------------------------------------------- calls

    def begin(
        self, body: bytes, now: float, *, client_request_id: str = "", token: str = "", token_ok: bool = True,
        caller: Caller | None = None,
    ) -> Call:  # fmt: skip
        """Accept a batch that arrives now.

        ``token_ok`` is what the login says about ``token``. ``caller`` says more about it, if more is known.
        """
        caller = caller or Caller(None if token_ok else BAD_TOKEN if token else NO_TOKEN)
        return self._begin(partial(parse_batch, body), now, client_request_id, token, caller)

    def begin_one(
        self, method: str, url: str, headers: Mapping[str, str], now: float, *, client_request_id: str = "",
        token: str = "", caller: Caller | None = None,
    ) -> Call:  # fmt: skip
        """Accept a single request that arrives now. ``url`` is relative to the version root, as in a batch."""
        items = (SubRequest("", target_of(url, method, headers)),)
        read = partial(ParsedBatch, items, sequential=False)
        return self._begin(read, now, client_request_id, token, caller or Caller(), single=True)

    def _begin(
        self, read: Callable[[], ParsedBatch], now: float, client_request_id: str, token: str, caller: Caller,
        *, single: bool = False,
    ) -> Call:  # fmt: skip
        self.advance(now)
        call = Call(self.counters.calls, client_request_id, self._request_id(), self.now)
        call.single = single
        self.counters.calls += 1
        self.counters.early_calls += self._waits.is_early(now)
        course = self._course(call, read, token, caller)
        call.plan = course.plan
        if course.runs:
            self._note_arrivals(call)
            self._work.start_at(self.now + self.settings.overhead_s / 2, call)
        if course.early or not course.runs:
            self._work.end_at(self.now + self.settings.overhead_s, call)
        return call

    def advance(self, now: float) -> None:
        """Let everything happen, in order, that happens up to now."""
        self._work.advance(now)

    def _course(self, call: Call, read: Callable[[], ParsedBatch], token: str, caller: Caller) -> CallFate:
        """Decide what becomes of a call. An outage comes first, then a bad token, an unacceptable batch, and a fault."""
        problem = self._read(call, read, caller.user)
        outage = self._chance.faults.outage
        if outage is not None and outage[0] <= self.now < outage[1]:
            self._chance.drawn["outage"] += 1
            return course_of_outage(self._chance)
        fault = self._chance.call_fault(may_expire=self._tokens.may_expire(token))
        if fault is CallFault.EXPIRED_TOKEN:
            self._tokens.expire(token)
        no_good = caller.refusal or (BAD_TOKEN if self._tokens.is_expired(token) else None)
        if no_good is not None:
            self.counters.refused_tokens += 1
            return refused(no_good)
        if problem is not None:
            self.counters.refused_batches += 1
            return refused(problem)
        self._tokens.count_use(token)
        return course_of(fault, self._chance, self.now, self.utc_at_zero_s)

    def _read(self, call: Call, read: Callable[[], ParsedBatch], user: str | None) -> SubResponse | None:
        """Read the batch into the call, or return why Graph refuses all of it. Report what no careful client sends."""
        try:
            batch = read()
        except BatchRefused as problem:
            self._report(call, problem.message)
            return SubResponse(400, "BadRequest", problem.message)
        boxes: list[SimulatedMailbox | None] = []
        items = tuple(with_user(item, user) for item in batch.items)
        for item in items:
            if isinstance(item.target, BadUrl):
                if item.target.violation:
                    self._report(call, item.target.violation)
                boxes.append(None)
            elif item.target.ask in OF_DIRECTORY:
                boxes.append(None)
            else:
                boxes.append(self.truth.mailbox(item.target.user))
        call.take(items, boxes, batch.sequential)
        return None

    def _report(self, call: Call, violation: str) -> None:
        self.counters.violations += 1
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(
                f"call {call.number} ({call.client_request_id or 'no client-request-id'}): {violation}"
            )

    def _note_arrivals(self, call: Call) -> None:
        self.counters.requests += len(call.items)
        self.counters.reads += sum(
            not isinstance(item.target, BadUrl) and item.target.ask not in DEEDS for item in call.items
        )
        for box in call.boxes:
            if box is not None:
                box.note_arrival(self.now)

    # ------------------------------------------------------------------------------------------------- the end

    def _end_call(self, call: Call, now: float) -> None:
        """Show the client the end of its call. Waits in it are remembered, to count requests that come too early."""
        plan = call.plan
        if plan is None or plan.half:
            utc_s = self.utc_at_zero_s + now
            rendered = render_one(call, utc_s) if call.single else render(call, self._chance, utc_s)
            if plan is None:
                self._note_told(call, rendered, now)
                call.ending = self._ending(call, EndKind.ANSWERED, rendered.status, rendered.body, now, rendered.wait)
            else:
                body = rendered.body if plan.kind is EndKind.CUT else rendered.body[: len(rendered.body) // 2]
                call.ending = self._ending(call, plan.kind, rendered.status, body, now)
        elif plan.said is not None:
            self._note_outer_wait(call, plan.said.wait, now)
            body = outer_error(call, plan.said, self.utc_at_zero_s + now)
            call.ending = self._ending(call, plan.kind, plan.said.status, body, now, plan.said.wait)
        elif plan.kind is EndKind.ANSWERED:
            call.ending = self._ending(call, plan.kind, plan.status, plan.body, now)
        else:
            call.ending = Ending(plan.kind)

    def _note_told(self, call: Call, rendered: Rendered, now: float) -> None:
        """Note that the client has an intact answer: mark it in the log, and remember its waits."""
        if call.abandoned:
            return
        for index, said in rendered.shown:
            self.log.mark_answered(call.entries[index])
            box = call.boxes[index]
            if said.wait is not None and box is not None:
                box.waits.tell(said.wait.ends_at(now), now)

    def _note_outer_wait(self, call: Call, wait: Wait | None, now: float) -> None:
        if wait is not None and not call.abandoned:
            self._waits.tell(wait.ends_at(now), now)

    def _ending(
        self, call: Call, kind: EndKind, status: int, body: bytes, now: float, wait: Wait | None = None
    ) -> Ending:
        date = ("Date", http_date(self.utc_at_zero_s + now))
        if body.startswith(b"<"):  # a gateway said it, and knows no request ids
            return Ending(kind, status, (("Content-Type", "text/html"), ("Server", "gateway"), date), body)
        headers = [
            ("request-id", call.request_id),
            ("client-request-id", call.client_request_id or call.request_id),
            date,
        ]
        if status != 204:
            headers.append(("Content-Type", _JSON))
        if status == 401:
            headers.append(("WWW-Authenticate", CHALLENGE))
        if wait is not None:
            headers.append(("Retry-After", wait.text))
        return Ending(kind, status, tuple(headers), body)

    def _request_id(self) -> str:
        return str(uuid.UUID(int=self._chance.rng.getrandbits(128), version=4))
