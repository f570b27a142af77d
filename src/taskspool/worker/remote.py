"""Work from a bridge, over HTTP: long polls for new tasks, one heartbeat for all tasks in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from taskspool.client import Client
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, JsonValue, State
from taskspool.engine.worker_record import BEAT_SECONDS, GONE, QUIET, RUN, WorkerReport
from taskspool.errors import Conflict, NotFound
from taskspool.worker.contact import Said, Seen
from taskspool.worker.source import Heard

RELEASE_TIMEOUT_SECONDS = 0.5
"""A stopping worker has no more time than this for one task."""
MAX_CLAIMS = 100
"""The most a bridge gives at once."""
EMPTY_POLL_SECONDS = 0.25
"""The least an empty poll takes: a server that does not wait, or is told not to, is not asked without end."""
AGAIN_SECONDS = 5.0
"""A report that did not get through is sent again after this time, and so is that of a quiet worker."""


class RemoteSource:
    """The five verbs over ``client``. It repeats nothing: the loop knows what may be repeated and for how long.

    ``lease_seconds``: how long the bridge shall take our silence; None leaves it to the bridge.
    """

    def __init__(self, client: Client, worker: str, lease_seconds: int | None = None) -> None:
        self.beat_seconds = BEAT_SECONDS
        self.kind = "http"
        self.worker = worker
        self.started_at = datetime.now(UTC)
        self._client = client
        self._lease_seconds = lease_seconds
        self._reported: WorkerReport | None = None
        self._report_at = 0.0
        self._order = RUN
        self._interrupted = threading.Event()

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        began = time.monotonic()
        claims = self._client.next(self.worker, types=types, max=min(max_tasks, MAX_CLAIMS), wait=wait_seconds,
                                   lease=self._lease_seconds, started_at=self.started_at)
        self._order = claims.state
        if not claims:
            self._interrupted.wait(max(0.0, began + EMPTY_POLL_SECONDS - time.monotonic()))
        return claims

    def extend(self, claims: Sequence[Claim]) -> Heard:
        tokens = {claim.task.id: claim.lease.token for claim in claims}
        patience = max(1.0, min(claim.lease.lease_seconds for claim in claims) / 3)
        answer = self._client.heartbeat_worker(self.worker, tokens, timeout=patience)
        self._order = str(answer.get("state") or self._order)
        lost, cancelled = ({tokens[task_id] for task_id in answer.get(key, ()) if task_id in tokens}
                           for key in ("lost", "cancel"))
        return Heard(lost, cancelled)

    def report(self, report: WorkerReport) -> str:
        """Sent with the beat, and at once when it says something new but for its totals; else what was heard last, in
        the answer to whatever question."""
        now = time.monotonic()
        known = None if self._reported is None else replace(self._reported, done=report.done, failed=report.failed)
        if report != known or now >= self._report_at:
            self._report_at = now + AGAIN_SECONDS
            is_goodbye = report.state == GONE
            self._order = self._client.report_worker(report, timeout=RELEASE_TIMEOUT_SECONDS if is_goodbye else None)
            is_quiet = report.state == QUIET  # then no poll brings the word to go on
            self._reported, self._report_at = report, now + (AGAIN_SECONDS if is_quiet else BEAT_SECONDS)
        return self._order

    def tell(self, claim: Claim, said: Said) -> bool:
        answer = self._client.heartbeat(claim.task.id, claim.lease.token, progress=said.percent, message=said.message,
                                        checkpoint=said.checkpoint)
        return bool(answer.get("cancel_requested"))

    def append_log(self, claim: Claim, lines: Sequence[tuple[str, str]], offset: int) -> int:
        return self._client.append_log(claim.task.id, claim.lease.token, lines, offset)

    def complete(self, claim: Claim, data: JsonValue) -> None:
        self._client.complete(claim.task.id, claim.lease.token, self.worker, data)

    def fail(self, claim: Claim, failure: Failure) -> None:
        self._client.fail(claim.task.id, claim.lease.token, self.worker, failure.message, data=failure.data,
                          retryable=failure.retryable, retry_after=failure.retry_after_seconds)

    def release(self, claim: Claim, delay_seconds: float = 0.0, reason: str = "", *, is_urgent: bool = False) -> None:
        self._client.release(claim.task.id, claim.lease.token, delay=delay_seconds, reason=reason,
                             timeout=RELEASE_TIMEOUT_SECONDS if is_urgent else None)

    def submit(self, body: Mapping[str, Any], key: str | None) -> str:
        return self._client.submit_task(body, idempotency_key=key)

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        seen = {}
        for task_id in task_ids:
            try:
                state = str(self._client.task(task_id)["state"])
                error = self._client.result(task_id).error_message if state == State.DEAD else None
            except NotFound:
                continue
            seen[task_id] = Seen(state, error)
        return seen

    def cancel(self, task_id: str, reason: str | None) -> None:
        try:
            self._client.cancel(task_id, by=self.worker, reason=reason)
        except (Conflict, NotFound):
            return

    def interrupt(self) -> None:
        """A poll in flight is left alone: if it still brings a task, the loop gives that back."""
        self._interrupted.set()
