"""The peers' own workers for ``benchmarks.end_to_end``: each with a task that does nothing but count.

    python -m benchmarks.workers fill COUNT      put COUNT tasks into the queue
    python -m benchmarks.workers work COUNT      run one worker process until it is ended

``BENCHMARK_PEER`` names the peer, ``BENCHMARK_FOLDER`` its folder, ``BENCHMARK_QUEUE`` its queue on a shared broker.
Each peer is a class with the same two words. Queues on Redis are thrown away by their own worker's ``work``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from benchmarks.counting import Count
from benchmarks.measuring import WORK
from benchmarks.peers import REDIS

count = Count()


def noop(*_: Any, **__: Any) -> None:
    """The task of every peer that takes a plain function."""
    count.one_more()


async def noop_awaited(*_: Any, **__: Any) -> None:
    """The task of every peer that runs coroutines."""
    count.one_more()


class Peer(Protocol):
    def fill(self, tasks: int) -> None: ...

    def work(self, tasks: int) -> None:
        """Work until the process is ended."""


class Huey:
    def __init__(self, huey: Any) -> None:
        self._huey = huey
        self._task = huey.task(name="noop")(noop)

    def fill(self, tasks: int) -> None:
        for _ in range(tasks):
            self._task(WORK)

    def work(self, tasks: int) -> None:
        self._huey.create_consumer(workers=1, periodic=False, initial_delay=0.01).run()


def huey_sqlite() -> Peer:
    from huey import SqliteHuey

    return Huey(SqliteHuey("b", filename=f"{_folder()}/huey.db"))


def huey_file() -> Peer:
    from huey import FileHuey

    return Huey(FileHuey("b", path=f"{_folder()}/huey"))


def huey_redis() -> Peer:
    from huey import RedisHuey

    return Huey(RedisHuey(_queue(), url=REDIS))


class Rq:
    """Its worker forks a process for each task, so the count is of the whole burst."""

    def __init__(self) -> None:
        import redis
        import rq

        self._rq = rq
        self._connection = redis.Redis.from_url(REDIS)
        self._queue = rq.Queue(_queue(), connection=self._connection)

    def fill(self, tasks: int) -> None:
        for _ in range(tasks // 10):  # a tenth: it does some hundred a second
            self._queue.enqueue("benchmarks.workers.nothing", WORK)

    def work(self, tasks: int) -> None:
        began = time.perf_counter()
        self._rq.Worker([self._queue], connection=self._connection).work(burst=True)
        took = (time.perf_counter() - began) / max(1, tasks // 10) * (tasks - 1)
        told = Path(os.environ["BENCHMARK_TOOK"])
        told.with_suffix(".tmp").write_text(repr(took))
        told.with_suffix(".tmp").rename(told)


def nothing(data: Any) -> None:
    """The task of RQ, which counts by itself."""


class Dramatiq:
    def __init__(self) -> None:
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        self._dramatiq = dramatiq
        self._broker = RedisBroker(url=REDIS, namespace=_queue())
        self._actor = dramatiq.actor(noop, actor_name="noop", broker=self._broker, queue_name="q")

    def fill(self, tasks: int) -> None:
        for _ in range(tasks):
            self._actor.send(WORK)

    def work(self, tasks: int) -> None:
        self._dramatiq.Worker(self._broker, worker_threads=1).start()
        threading.Event().wait()


class Celery:
    def __init__(self) -> None:
        from celery import Celery as App

        self._app = App("b", broker=REDIS, set_as_current=False)
        self._app.conf.update(task_default_queue=_queue(), task_ignore_result=True,
                              broker_connection_retry_on_startup=False)
        self._task = self._app.task(noop, name="noop")

    def fill(self, tasks: int) -> None:
        for _ in range(tasks):
            self._task.apply_async((WORK,))

    def work(self, tasks: int) -> None:
        self._app.worker_main(["worker", "--pool=solo", "--loglevel=error", "--without-gossip", "--without-mingle",
                               "--without-heartbeat"])


class Taskiq:
    def __init__(self) -> None:
        from taskiq_redis import ListQueueBroker

        self._broker = ListQueueBroker(url=REDIS, queue_name=_queue())
        self._task = self._broker.task(task_name="noop")(noop_awaited)

    def fill(self, tasks: int) -> None:
        async def all_of_them() -> None:
            await self._broker.startup()
            for _ in range(tasks):
                await self._task.kiq(WORK)
            await self._broker.shutdown()

        asyncio.run(all_of_them())

    def work(self, tasks: int) -> None:
        from taskiq.api import run_receiver_task

        async def for_ever() -> None:
            await run_receiver_task(self._broker, run_startup=True)

        asyncio.run(for_ever())


class Arq:
    def __init__(self) -> None:
        from arq.connections import RedisSettings

        self._settings = RedisSettings.from_dsn(REDIS)

    def fill(self, tasks: int) -> None:
        from arq import create_pool

        async def all_of_them() -> None:
            pool = await create_pool(self._settings, default_queue_name=_queue())
            for _ in range(tasks):
                await pool.enqueue_job("noop_awaited", WORK)

        asyncio.run(all_of_them())

    def work(self, tasks: int) -> None:
        from arq.worker import Worker

        Worker(functions=[noop_awaited], redis_settings=self._settings, queue_name=_queue(), handle_signals=False,
               poll_delay=0.01, keep_result=0).run()


class Saq:
    def __init__(self) -> None:
        from saq import Queue

        self._queue = Queue.from_url(REDIS, name=_queue())

    def fill(self, tasks: int) -> None:
        async def all_of_them() -> None:
            await self._connect()
            for _ in range(tasks):
                await self._queue.enqueue("noop_awaited", data=WORK)

        asyncio.run(all_of_them())

    def work(self, tasks: int) -> None:
        from saq import Worker

        async def for_ever() -> None:
            await self._connect()
            await Worker(self._queue, functions=[noop_awaited], concurrency=10).start()

        asyncio.run(for_ever())

    async def _connect(self) -> None:
        if hasattr(self._queue, "connect"):  # older versions connect by themselves
            await self._queue.connect()


PEERS: dict[str, Callable[[], Peer]] = {
    "huey SQLite": huey_sqlite, "huey file": huey_file, "huey Redis": huey_redis, "rq": Rq, "dramatiq": Dramatiq,
    "celery Redis": Celery, "taskiq": Taskiq, "arq": Arq, "saq": Saq,
}


def _folder() -> str:
    return os.environ["BENCHMARK_FOLDER"]


def _queue() -> str:
    return os.environ["BENCHMARK_QUEUE"]


def main() -> None:
    verb, tasks = sys.argv[1], int(sys.argv[2])
    peer = PEERS[os.environ["BENCHMARK_PEER"]]()
    if verb == "fill":
        peer.fill(tasks)
    else:
        peer.work(tasks)


if __name__ == "__main__":
    main()
