"""The shapes of jobs: the number of rows of each mailbox, in the order of a sorted file."""

from __future__ import annotations

import random

SHAPES = (
    "uniform 1M/5k", "zipf0.8 1M/5k", "zipf1.1 1M/5k", "giant 2M + 1M/5k", "single 50k", "100k x 10", "20 x 5k",
    "10 x 9.5k + 5k x 20", "single 2k",
)  # fmt: skip
SHORT_SHAPES = ("100 x 40", "150 x 40")
"""The jobs of `benchmarks.peers`, whose size never changes."""


def zipf(rows: int, mailboxes: int, exponent: float) -> list[int]:
    """Return a skewed distribution: the largest mailbox first, none empty."""
    weights = [(rank + 1) ** -exponent for rank in range(mailboxes)]
    total = sum(weights)
    return [max(1, int(rows * weight / total)) for weight in weights]


def rows_by_mailbox(shape: str, scale: float = 1.0) -> list[int]:
    """Return the job. ``scale`` makes it smaller: fewer mailboxes, or fewer rows if there are few mailboxes.

    Names of mailboxes are random, so the sizes are shuffled. The largest mailbox stands at 70 % of the file, so that
    no policy is lucky.
    """
    some = max(20, round(5_000 * scale))
    job = {
        "uniform 1M/5k": [200] * some,
        "zipf0.8 1M/5k": zipf(200 * some, some, 0.8),
        "zipf1.1 1M/5k": zipf(200 * some, some, 1.1),
        "giant 2M + 1M/5k": [round(2_000_000 * scale), *[200] * some],
        "single 50k": [50_000],
        "100k x 10": [10] * round(100_000 * scale),
        "20 x 5k": [5_000] * 20,
        "10 x 9.5k + 5k x 20": [9_500] * 10 + [20] * some,
        "single 2k": [2_000],
        "100 x 40": [40] * 100,
        "150 x 40": [40] * 150,
    }[shape]
    random.Random(3).shuffle(job)
    if len(job) > 1:
        largest = job.pop(job.index(max(job)))
        job.insert(int(0.7 * len(job)), largest)
    return job
