"""Send a ping and show the answer: over HTTP when the bridge answers, else through the folder.

Exit codes: 0 answered, 1 not answered in time or answered with an error, 3 the bridge was asked for and is not there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from _find_package import prepare
from bridge_url import DEFAULT_URL, bridge_url

LINE = "=" * 40
TITLES = {"http": "🚀 HTTP-based Ping Task Submission", "file": "📁 File-based Ping Task Submission"}


def main(arguments: list[str] | None = None) -> int:
    """Find the open way, send the ping, show the answer; the exit code."""
    parser = argparse.ArgumentParser(description="Send a ping to whoever works on the queue.")
    parser.add_argument("--force", choices=("http", "file"), help="do not look which way is open")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds to wait for the answer (10)")
    parser.add_argument("--api", default=DEFAULT_URL, metavar="URL", help="the bridge, with or without /api")
    asked = parser.parse_args(arguments)
    prepare()
    from taskspool.errors import TaskspoolError

    try:
        way = asked.force or ("http" if is_bridge_up(asked.api) else "file")
        return show_ping(way, asked.api, asked.timeout)
    except TaskspoolError as error:
        print(f"❌ {error} ({error.code})" + (f"\n   {error.hint}" if error.hint else ""))
        return 3


def is_bridge_up(api: str) -> bool:
    """Whether a bridge answers at ``api``."""
    from taskspool import Client
    from taskspool.errors import TaskspoolError

    try:
        with Client(bridge_url(api), timeout=3.0, retries=0) as client:
            return client.health().get("status") == "ok"
    except TaskspoolError:
        return False


def show_ping(way: str, api: str, timeout: float) -> int:
    """Print the exchange as it happens; 0 when a worker answered well."""
    print(f"{TITLES[way]}\n📤 Ping 작업 전송 중...")
    exchange = ping_over_http(api, timeout) if way == "http" else ping_through_folder(timeout)
    print(f"✅ 작업 전송 완료!\n🆔 Task ID: {next(exchange)}\n\n⏳ Comet 응답 대기 중 (최대 {timeout:g}초)...\n")
    result = next(exchange)
    if result is None:
        print("❌ 응답 없음: no worker answered. Start one:  python scripts/watch_task_worker.py")
        return 1
    message = result.data.get("message", "") if isinstance(result.data, dict) else result.data
    print(f"{LINE}\n  ✅ 결과 수신 완료!\n{LINE}\n🤖 Worker: {result.worker}\n📊 Status: {result.status}\n"
          f"💬 Message: {result.error_message or message}\n⏰ Completed: {moment(result.completed_at)}\n{LINE}")
    return 0 if result.status == "success" else 1


def ping_over_http(api: str, timeout: float) -> Iterator[Any]:
    """The task's id, then its result or None."""
    from taskspool import Client
    from taskspool.errors import ResultPending

    with Client(bridge_url(api), retries=1) as client:
        task_id = client.submit("ping", {}, requester="send_ping")
        yield task_id
        try:
            yield client.result(task_id, wait=timeout)
        except ResultPending:
            yield None


def ping_through_folder(timeout: float) -> Iterator[Any]:
    """The task's id, then its result or None."""
    from shared_task_queue import TaskQueue

    task_id = TaskQueue().push_task("ping", {}, "send_ping")
    yield task_id
    yield TaskQueue().get_result(task_id, timeout)


def moment(instant: Any) -> str:
    return instant if isinstance(instant, str) else str(instant.isoformat())


if __name__ == "__main__":
    sys.exit(main())
