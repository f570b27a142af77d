"""Work from a bridge, over HTTP: long polls for new tasks, one heartbeat for all tasks in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from taskspool.client import Client
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, JsonValue
from taskspool.worker.contact import Said
from taskspool.worker.source import Heard

RELEASE_TIMEOUT_SECONDS = 0.5
"""A stopping worker has no more time than this for one task."""
MAX_CLAIMS = 100
"""The most a bridge gives at once."""
EMPTY_POLL_SECONDS = 0.25
"""The least an empty poll takes: a server that does not wait, or is told not to, is not asked without end."""
BEAT_SECONDS = 20.0
"""A cancel reaches a handler within this time, however long its lease."""


class RemoteSource:
    """The five verbs over ``client``. It repeats nothing: the loop knows what may be repeated and for how long.

    ``lease_seconds``: how long the bridge shall take our silence; None leaves it to the bridge.
    """

    def __init__(self, client: Client, worker: str, lease_seconds: int | None = None) -> None:
        self.beat_seconds = BEAT_SECONDS
        self._client = client
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._interrupted = threading.Event()

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        began = time.monotonic()
        claims = self._client.next(self._worker, types=types, max=min(max_tasks, MAX_CLAIMS), wait=wait_seconds,
                                   lease=self._lease_seconds)
        if not claims:
            self._interrupted.wait(max(0.0, began + EMPTY_POLL_SECONDS - time.monotonic()))
        return claims

    def extend(self, claims: Sequence[Claim]) -> Heard:
        tokens = {claim.task.id: claim.lease.token for claim in claims}
        patience = max(1.0, min(claim.lease.lease_seconds for claim in claims) / 3)
        answer = self._client.heartbeat_worker(self._worker, tokens, timeout=patience)
        lost, cancelled = ({tokens[task_id] for task_id in answer.get(key, ()) if task_id in tokens}
                           for key in ("lost", "cancel"))
        return Heard(lost, cancelled)

    def tell(self, claim: Claim, said: Said) -> bool:
        answer = self._client.heartbeat(claim.task.id, claim.lease.token, progress=said.percent, message=said.message,
                                        checkpoint=said.checkpoint)
        return bool(answer.get("cancel_requested"))

    def complete(self, claim: Claim, data: JsonValue) -> None:
        self._client.complete(claim.task.id, claim.lease.token, self._worker, data)

    def fail(self, claim: Claim, failure: Failure) -> None:
        self._client.fail(claim.task.id, claim.lease.token, self._worker, failure.message, data=failure.data,
                          retryable=failure.retryable, retry_after=failure.retry_after_seconds)

    def release(self, claim: Claim, delay_seconds: float = 0.0, reason: str = "", *, is_urgent: bool = False) -> None:
        self._client.release(claim.task.id, claim.lease.token, delay=delay_seconds, reason=reason,
                             timeout=RELEASE_TIMEOUT_SECONDS if is_urgent else None)

    def interrupt(self) -> None:
        """A poll in flight is left alone: if it still brings a task, the loop gives that back."""
        self._interrupted.set()
