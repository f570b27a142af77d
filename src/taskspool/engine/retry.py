"""When a failed task is tried again.

    exponential   wait(n) = min(cap, base * 2**(n-1))        the default: base 1 s, cap 300 s, jitter 0.1
    linear        wait(n) = min(cap, base * n)
    constant      wait(n) = min(cap, base)

n = 1 for the first retry. To each wait comes a random part of 0..jitter of it. The cap bounds the wait, the jitter
keeps tasks that failed together from coming back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from taskspool.engine.options import Backoff

DEFAULT = Backoff()


def delay_seconds(failures: int, backoff: Backoff = DEFAULT, uniform: Callable[[], float] = random.random) -> float:
    """Seconds to wait after the ``failures``-th failure (from 1). ``uniform`` returns a float in 0..1."""
    grown = {
        "exponential": backoff.base_seconds * 2.0 ** min(failures - 1, 60),
        "linear": backoff.base_seconds * failures,
        "constant": backoff.base_seconds,
    }[backoff.kind]
    return min(backoff.cap_seconds, grown) * (1.0 + backoff.jitter * uniform())
