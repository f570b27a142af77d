"""A process on a clock of its own: ``clock_worker.py ROOT``. It sweeps when it hears a line, and says what it did."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path

from taskspool.engine.lifecycle import open_queue
from taskspool.settings import Settings


def main(root: str) -> None:
    queue = open_queue(Settings(root=Path(root), durability="fast"))
    print("ready", flush=True)
    for line in sys.stdin:
        if line.startswith("TZ="):
            os.environ["TZ"] = line.strip()[3:]
            time.tzset()
        report = queue.sweep()
        print(json.dumps([report.expired, report.promoted, queue.clock.now().isoformat(),
                          datetime.now().astimezone().isoformat(), queue.clock.monotonic()]), flush=True)
    queue.close()


if __name__ == "__main__":
    main(sys.argv[1])
