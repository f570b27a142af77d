"""What the folder worker runs while it is measured: nothing, but to say when."""

from __future__ import annotations

import time
from typing import Any

from taskspool.worker.handlers import handler


@handler("noop")
def noop(data: Any) -> dict[str, Any]:
    return {"ran_at_ns": time.time_ns()}
