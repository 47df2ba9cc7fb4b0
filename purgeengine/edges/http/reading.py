"""Asks Graph harmless questions, twenty in a call, and is as patient and as polite about it as a purge is.

A question that is throttled, lost or met with the service's trouble is asked again a few times, never before a ``Retry-After`` is
over; what is still unanswered then comes back as it was. Nothing here is recorded, since nothing is changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.core.graph.encode import BATCH_ITEMS_MAX
from purgeengine.core.graph.operations import IdType
from purgeengine.core.graph.queries import Body, ReadAnswer, decode_reads, encode_reads
from purgeengine.core.graph.retry_after import http_date_utc
from purgeengine.core.graph.verdicts import Verdict, judge, judge_batch, unwrapped
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.model import Answer, Reply
from purgeengine.edges.clock import SystemClock
from purgeengine.engine.ports import Clock, Tokens, Transport
from purgeengine.errors import Intercepted, NoAnswer, NotSent, RunStopped, TokenError
from purgeengine.run_limits import Limits

TRIES_MAX = 8
"""Times a question is asked: the waits between grow to a minute, so that an unlucky one takes a few."""
FIRST_TRIES_MAX = 3
"""The same while Graph has never been reached: a wrong address is likelier then than an outage, and somebody waits."""
HASTY_TRIES_MAX = 3
"""The same for a look that somebody sits and waits for: one mailbox in trouble must not keep the others from being shown."""
HASTY_OWN_WAIT_S = 2.0
"""The longest wait of such a look that Graph did not ask for; a hundred mailboxes are ten calls with two such waits each."""
HASTY_WAIT_S_MAX = 10.0
"""A mailbox that asks for a longer wait is not asked again by such a look."""
WAIT_S_MAX = 120.0
"""A longer wait is not sat out for a question; the command is given again when it is over."""
LOST_WAIT_S = 5.0
"""After a lost answer, at least so long: the service may still be reading, and a mailbox bears four requests at once."""

_AGAIN = frozenset(
    {
        Verdict.THROTTLED,
        Verdict.FAULT,
        Verdict.UNREACHED,
        Verdict.UNCLEAR,
        Verdict.NOT_ATTEMPTED,
        Verdict.TOKEN_REFUSED,
    }
)
_LOST = Reply(0, message="no answer came")


class QueryAnswer(NamedTuple):
    """The last reply to a question (status 0 where none came), and what was found where it went well."""

    reply: Reply
    body: Body

    @property
    def went_well(self) -> bool:
        """Whether Graph answered the question."""
        return 200 <= self.reply.status < 300


class GraphReader:
    """Asks one batch of questions at a time. All methods belong to one event loop."""

    def __init__(
        self,
        transport: Transport,
        tokens: Tokens,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._backoff = Backoff(Limits(), self._rng)
        self._renewed = False
        """Whether the token was renewed because of a 401 for a single question: the next one is about its mailbox."""
        self.latency_s: float | None = None
        """How long the latest answer took."""
        self.skew_s: float | None = None
        """How far this machine's clock is ahead of Graph's (less than zero: behind), within a second, by the latest answer."""

    async def read(
        self, urls: Sequence[str], id_type: IdType = IdType.DEFAULT, *, hasty: bool = False
    ) -> list[QueryAnswer]:
        """Ask all of these, and answer in their order. ``hasty`` gives up on a mailbox in trouble within seconds.

        Nothing may be sent to these mailboxes right after a hasty look: one of them may have asked for a longer wait than it took.

        A 401 that lasts with a renewed token comes back as it was where any other question was answered otherwise: it is about its
        mailbox. Raises `TokenError` when Graph refuses the token or the app as a whole, and `RunStopped` when it cannot be reached
        or asks for a longer wait than a question is worth.
        """
        found: list[QueryAnswer] = []
        for start in range(0, len(urls), BATCH_ITEMS_MAX):
            found += await self._read_batch(urls[start : start + BATCH_ITEMS_MAX], id_type, hasty=hasty)
        if found and all(judge(one.reply, id_type) is Verdict.TOKEN_REFUSED for one in found):
            raise TokenError(
                f"Graph answered 401 to every question, with a renewed token as well: {told(found[-1].reply).rstrip('.')}. "
                "Either the app's token is refused (check the app and the tenant), or Graph cannot reach these mailboxes: "
                "on premises in a hybrid tenant, or missing. Try a mailbox that is known to work."
            )
        return found

    async def _read_batch(self, urls: Sequence[str], id_type: IdType, *, hasty: bool) -> list[QueryAnswer]:
        said: list[QueryAnswer] = [QueryAnswer(_LOST, {})] * len(urls)
        left = list(range(len(urls)))
        tries_max = HASTY_TRIES_MAX if hasty else TRIES_MAX
        for tries in range(1, tries_max + 1):
            wait_s, left = await self._ask(urls, left, said, tries, id_type, hasty=hasty)
            if wait_s > WAIT_S_MAX:
                raise RunStopped(
                    f"Graph asks to wait {wait_s:.0f} s before it answers questions about mailboxes and users. Nothing was "
                    "deleted. Give the same command again after that."
                )
            if wait_s:
                await self._sleep(
                    wait_s
                )  # also when there is nothing left to ask: whoever comes next must not be early
            if not left:
                break
        return said

    async def _ask(
        self,
        urls: Sequence[str],
        asked: list[int],
        said: list[QueryAnswer],
        tries: int,
        id_type: IdType,
        *,
        hasty: bool,
    ) -> tuple[float, list[int]]:
        """Ask what is left once; answers the wait before the next try and what is left then."""
        tries_max = HASTY_TRIES_MAX if hasty else TRIES_MAX
        is_last = tries == (FIRST_TRIES_MAX if self.latency_s is None else tries_max)
        token = await self._tokens.token()
        try:
            answer, bodies = await self._call([urls[index] for index in asked], id_type, token)
        except Intercepted as error:
            if is_last:
                raise RunStopped(f"{error}, then give the same command again. Nothing was deleted.") from error
            return self._backoff.call_wait_s(tries, _LOST), asked
        except NotSent as error:
            if is_last:
                raise RunStopped(
                    f"Graph could not be reached: {error}. Nothing was deleted. Check the network and the proxy settings "
                    "(HTTPS_PROXY), then give the same command again."
                ) from error
            return self._backoff.call_wait_s(tries, _LOST), asked
        except NoAnswer as error:
            lost = Reply(0, message=str(error))
            for index in asked:
                said[index] = QueryAnswer(lost, {})
            return max(LOST_WAIT_S, self._backoff.call_wait_s(tries, lost)), asked
        if not answer.outer.from_graph and judge_batch(answer.outer) is Verdict.INTERCEPTED:
            if is_last:
                raise RunStopped(f"{answer.outer.message}, then give the same command again. Nothing was deleted.")
            return max(self._backoff.call_wait_s(tries, answer.outer), answer.outer.retry_after_s or 0.0), asked
        replies = _replies_of(answer, len(asked))
        left, waits, refused = [], [answer.outer.retry_after_s or 0.0], None
        resting = set[str]()
        """Mailboxes that ask a hasty look for more than it waits."""
        for place, index in enumerate(asked):
            reply = replies.get(place) or _LOST
            said[index] = QueryAnswer(reply, bodies.get(place, {}))
            asked_s = max(reply.retry_after_s or 0.0, answer.waits.get(place, 0.0))
            if hasty and answer.replies is not None and asked_s > HASTY_WAIT_S_MAX:
                resting.add(_mailbox_of(urls[index]))
                continue
            waits.append(asked_s)
            verdict = judge(reply, id_type)
            lasting = verdict is Verdict.TOKEN_REFUSED and self._renewed and answer.replies is not None
            if said[index].went_well or verdict not in _AGAIN or lasting:
                continue
            left.append(index)
            if verdict is Verdict.TOKEN_REFUSED:
                refused = reply
            else:
                own_s = self._wait_s(verdict, tries, reply)
                waits.append(min(own_s, max(asked_s, HASTY_OWN_WAIT_S)) if hasty else own_s)
        if refused is not None:
            if tries == tries_max:
                wanted = in_words(refused.message, answer.claims)
                raise TokenError(
                    f"Graph refused the token: {told(refused).rstrip('.')}."
                    + (f" This is continuous access evaluation ({wanted})." if wanted else "")
                    + " Check the app and the tenant."
                )
            await self._renew(token, answer.claims, single=answer.replies is not None)
        return max(waits), [index for index in left if _mailbox_of(urls[index]) not in resting]

    async def _renew(self, stale: str, claims: str, *, single: bool) -> None:
        """Get another token; where only a ``single`` question was refused, the present one does if there is no other."""
        try:
            await self._tokens.renew(stale, claims)
        except TokenError:
            if not single:
                raise
        self._renewed = self._renewed or single

    def _wait_s(self, verdict: Verdict, tries: int, reply: Reply) -> float:
        if verdict is Verdict.THROTTLED:
            return self._backoff.throttled_wait_s(tries, reply)
        return self._backoff.item_wait_s(tries, reply)

    async def _call(self, urls: Sequence[str], id_type: IdType, token: str) -> ReadAnswer:
        started = self._clock.monotonic()
        request_id = str(UUID(int=self._rng.getrandbits(128), version=4))
        raw = await self._transport.post(encode_reads(urls, id_type), request_id, token)
        latency_s = self._clock.monotonic() - started
        read = decode_reads(raw.status, raw.headers, raw.body, len(urls), raw.received_utc)
        if not read.answer.outer.from_graph:
            return read
        self.latency_s = latency_s
        date_utc = http_date_utc(raw.headers.get("date"))
        if date_utc is not None:  # written somewhere between the question and the answer, and cut to a whole second
            self.skew_s = raw.received_utc - self.latency_s / 2 - (date_utc + 0.5)
        return read


def _mailbox_of(url: str) -> str:
    """What names the mailbox in the address of a question: the first two segments."""
    return "/".join(url.split("/", 3)[:3])


def _replies_of(answer: Answer, size: int) -> dict[int, Reply | None]:
    """What was said of each question; what was said of the whole batch holds for all. Raises `TokenError` for a refused app."""
    if answer.replies is not None:
        return answer.replies
    if judge_batch(answer.outer) in (Verdict.APP_REFUSED, Verdict.REFUSED):
        raise TokenError(f"Graph refused the app: {told(answer.outer)}. Check its permissions and the tenant.")
    return dict.fromkeys(range(size), answer.outer)


def told(reply: Reply) -> str:
    """Status, code and message in a line; those of the service behind Graph where it was that one's error."""
    reply = unwrapped(reply)
    return " ".join(str(part) for part in (reply.status or "", reply.code, reply.message) if part)
