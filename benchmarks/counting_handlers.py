"""The handler of our folder worker in ``benchmarks.end_to_end``."""

from __future__ import annotations

from typing import Any

from benchmarks.counting import Count
from taskspool.worker.handlers import handler

count = Count()


@handler("noop")
def noop(data: Any) -> dict[str, Any]:
    count.one_more()
    return {}
