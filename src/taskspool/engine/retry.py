"""When a failed task is tried again.

``delay(n) = min(cap, base * 2**(n-1)) + jitter``, n = 1 for the first retry, jitter uniform in 0..10 % of it.
The cap bounds the wait, the jitter keeps tasks that failed together from coming back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable

BASE_SECONDS = 1.0
CAP_SECONDS = 300.0
JITTER = 0.1


def delay_seconds(failures: int, uniform: Callable[[], float] = random.random) -> float:
    """Seconds to wait after the ``failures``-th failure (from 1). ``uniform`` returns a float in 0..1."""
    wait = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures - 1, 30))
    return wait * (1.0 + JITTER * uniform())
