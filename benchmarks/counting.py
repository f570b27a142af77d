"""What every worker's handler does: nothing, but count, and tell how long it took from the first to the last."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Count:
    """Counts up to ``BENCHMARK_COUNT``, then writes the seconds since the first into the file ``BENCHMARK_TOOK``."""

    def __init__(self) -> None:
        self._seen = 0
        self._began = 0.0

    def one_more(self) -> None:
        if self._seen == 0:
            self._began = time.perf_counter()
        self._seen += 1
        if self._seen == int(os.environ["BENCHMARK_COUNT"]):
            told = Path(os.environ["BENCHMARK_TOOK"])
            beside = told.with_suffix(".tmp")
            beside.write_text(repr(time.perf_counter() - self._began))
            beside.rename(told)
