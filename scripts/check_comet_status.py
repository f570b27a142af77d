"""Is somebody working? Folders, waiting tasks, results, who holds what, and a ping.

Exit codes: 0 only if a worker answered the ping, else 1.
"""

from __future__ import annotations

import argparse
import sys

from _find_package import prepare
from bridge_url import DEFAULT_URL
from send_ping import is_bridge_up, show_ping


def main() -> int:
    """Show it all; 0 only if a worker answered."""
    parser = argparse.ArgumentParser(description="Folders, tasks, results, workers, and a ping.")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for the ping (10)")
    parser.add_argument("--api", default=DEFAULT_URL, metavar="URL", help="the bridge, with or without /api")
    asked = parser.parse_args()
    prepare()
    from taskspool.errors import TaskspoolError

    try:
        show_folders()
        has_bridge = is_bridge_up(asked.api)
        print(f"bridge    {asked.api} {'answers' if has_bridge else 'does not answer; the folder is used'}\n")
        code = show_ping("http" if has_bridge else "file", asked.api, asked.timeout)
    except TaskspoolError as error:
        print(f"❌ {error} ({error.code})")
        return 1
    print("\nworkers   " + ("✅ at least one answers" if code == 0 else "❌ none answered"))
    return code


def show_folders() -> None:
    """What waits, what is held, and the latest results, as the folder says."""
    from shared_task_queue import RESULTS_DIR, TASKS_DIR, TaskQueue

    queue = TaskQueue()
    waiting, held, done = queue.list_pending_tasks(), queue.held_tasks(), queue.latest_results()
    print(f"tasks     {TASKS_DIR}: {len(waiting)} waiting")
    for task in waiting[:5]:
        print(f"            {task.id}  {task.type}  since {task.created_at}")
    print(f"held      {len(held)} in work")
    for task in held[:5]:
        print(f"            {task.id}  {task.type}  by {task.assigned_to}")
    print(f"results   {RESULTS_DIR}: the latest {len(done)}")
    for result in done:
        print(f"            {result.task_id}  {result.status}  by {result.worker} at {result.completed_at}")


if __name__ == "__main__":
    sys.exit(main())
