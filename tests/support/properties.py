"""How many examples a property is tried with: few in every test run, many more with ``--hypothesis-profile=long``.

Test runs are repeatable: the examples follow from the test's own name. The long profile has over a hundred times as
many, draws new ones each time, and prints how to repeat one that fails.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

USUAL_EXAMPLES = 100
QUICK_SHARE = 0.6
"""The share of them that an ordinary run tries, so that all tests together take about five minutes."""

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # a busy machine is no failure
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    max_examples=round(QUICK_SHARE * USUAL_EXAMPLES),
    suppress_health_check=_SLOW,
)
settings.register_profile("long", settings.get_profile("ci"), derandomize=False, max_examples=100 * USUAL_EXAMPLES)
settings.load_profile("ci")


def examples(count: int, **more: Any) -> settings:
    """Return settings with this number of examples, of which an ordinary run tries its share.

    Profiles are chosen before tests load.
    """
    return settings(max_examples=max(1, count * settings().max_examples // USUAL_EXAMPLES), **more)
