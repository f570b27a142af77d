"""What the workers of the managed door run while it is measured; ``pause`` in the payload is how long, in seconds."""

from __future__ import annotations

import time
from typing import Any

from taskspool.worker.handlers import handler


@handler("url_download_processing")  # the one type of the contract that no handler of ours does
def measured(data: Any) -> dict[str, Any]:
    began_at_ns = time.time_ns()
    time.sleep(data.get("pause", 0.0))
    return {"began_at_ns": began_at_ns, "ended_at_ns": time.time_ns()}
