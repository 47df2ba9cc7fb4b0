"""What one look at the time left costs, by the number of open mailboxes, of which many wait.

    python -m benchmarks.time_left.look_cost

The scheduler runs alone. Three rows of ten are refused with a wait of 5 to 60 s. Then the time left is looked at again and again.
"""

from __future__ import annotations

import time
from random import Random
from statistics import median

from purgeengine.core.messages import BatchAnswered, InputEnded, MailboxOpened, Send
from purgeengine.core.model import Answer, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits

MAILBOXES = (100, 1_000, 10_000, 100_000)
ROWS, TURNS, LOOKS = 10, 60, 20
REFUSED_P = 0.3


def busy_scheduler(mailboxes: int) -> Scheduler:
    """Return a scheduler with all these mailboxes open, a minute after its start."""
    rng = Random(mailboxes)
    limits = Limits(connections=64, open_mailboxes_max=1_000_000, open_per_connection=1_000)
    scheduler = Scheduler(limits, Random(1))
    events: list[MailboxOpened | InputEnded | BatchAnswered]
    events = [MailboxOpened(number, number * ROWS, (number + 1) * ROWS) for number in range(mailboxes)]
    events.append(InputEnded())
    for second in range(TURNS):
        sent = [one.batch for one in scheduler.handle(*events, now=float(second)) if isinstance(one, Send)]
        events = [
            BatchAnswered(batch.number, Answer(Reply(200), {row: reply(rng) for row in range(batch.size)}))
            for batch in sent
        ]
    return scheduler


def reply(rng: Random) -> Reply:
    """Draw a reply."""
    if rng.random() >= REFUSED_P:
        return Reply(204)
    return Reply(429, "TooManyRequests", retry_after_s=float(rng.randint(5, 60)))


def main() -> None:
    """Measure and print."""
    print(f"{'mailboxes':>9} {'open':>8} {'wait':>8} {'ms of CPU':>10}")
    for mailboxes in MAILBOXES:
        view = busy_scheduler(mailboxes).view
        took_s = []
        for _ in range(LOOKS):
            began_s = time.process_time()
            view.time_left()
            took_s.append(time.process_time() - began_s)
        waits = view.open_mailboxes.waits
        print(f"{mailboxes:9,} {len(view.open_mailboxes):8,} {waits:8,} {1_000 * median(took_s):10.2f}", flush=True)


if __name__ == "__main__":
    main()
