"""The line between a handler and the queue: what goes out, when, and what becomes of it when nobody answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taskspool.engine.options import Options
from taskspool.engine.task import Claim, Lease, Task
from taskspool.errors import InvalidRequest, LeaseLost, ServerUnreachable, TaskCancelled
from taskspool.worker.calling import Putoff, Success, call_handler, context_of
from taskspool.worker.contact import Cancelled, Contact, Said
from taskspool.worker.delivery import deliver
from taskspool.worker.hand import Hand
from taskspool.worker.handlers import Handlers, Snooze, TaskContext
from taskspool.worker.heartbeat import Heartbeat, pause_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "00000000-0000-7000-8000-000000000001"


def claim_of(lease_seconds: int = 60, options: Options = Options(), checkpoint: object = None) -> Claim:  # noqa: B008
    task = Task(ID, "t", {}, "r", NOW, options=options, checkpoint=checkpoint)
    return Claim(task, Lease(ID, "w", 1, "token", lease_seconds, NOW))


class Listener:
    """What was sent; each answer is given once: an error is raised, True says that it is to be cancelled."""

    def __init__(self, *answers: Exception | bool) -> None:
        self.answers = list(answers)
        self.heard: list[Said] = []

    def __call__(self, said: Said) -> bool:
        self.heard.append(said)
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_only_the_last_progress_is_told_and_only_once() -> None:
    """What was said between two beats is one message; nothing said, nothing sent."""
    listener = Listener()
    contact = Contact(listener)
    for percent in range(10):
        contact.say(percent, f"row {percent}")
    contact.tell()
    contact.tell()
    assert listener.heard == [Said(9.0, "row 9")]


@pytest.mark.parametrize(("said", "told"), [(-3, 0.0), (100.0000001, 100.0), (float("nan"), None), (None, None)])
def test_a_percentage_is_made_to_fit(said: float | None, told: float | None) -> None:
    """An inexact sum must not fail the work it counts."""
    listener = Listener()
    contact = Contact(listener)
    contact.say(said, "m")
    contact.tell()
    assert listener.heard == [Said(told, "m")]


def test_a_checkpoint_is_sent_at_once_with_what_was_said_before() -> None:
    """When it returns it is told; it is what the value was then, whatever becomes of that later."""
    listener = Listener()
    contact, rows = Contact(listener), [1]
    contact.say(5, None)
    contact.keep({"rows": rows})
    rows.append(2)
    assert listener.heard == [Said(5.0, None, {"rows": [1]})]


def test_what_cannot_be_sent_is_sent_later_and_the_newer_wins() -> None:
    """An outage loses neither the last progress nor the last checkpoint, and mixes neither with an older one."""
    listener = Listener(ServerUnreachable("gone"), ServerUnreachable("gone"))
    contact = Contact(listener)
    contact.say(1, "first")
    contact.keep("a")
    contact.say(2, "second")
    with pytest.raises(ServerUnreachable):
        contact.tell()
    contact.tell()
    assert listener.heard[-1] == Said(2.0, "second", "a")


def test_what_is_refused_is_not_said_again() -> None:
    """A checkpoint that is too large is the handler's to hear of, once."""
    contact = Contact(Listener(InvalidRequest("too large")))
    with pytest.raises(InvalidRequest, match="too large"):
        contact.keep("x")
    contact.tell()
    with pytest.raises(InvalidRequest, match="must be JSON"):
        contact.keep({1, 2})


@pytest.mark.parametrize("error", [LeaseLost("late"), TaskCancelled("cancelled")])
def test_a_checkpoint_nobody_wants_ends_the_run(error: LeaseLost) -> None:
    """Who keeps a checkpoint for a task that is no longer his is told to stop."""
    contact = Contact(Listener(error))
    with pytest.raises(Cancelled):
        contact.keep("x")
    assert contact.is_ended


def test_the_answer_tells_that_it_is_to_be_cancelled() -> None:
    """Whatever is sent, its answer may bring the wish to stop."""
    contact = Contact(Listener(True))
    contact.say(1, None)
    contact.tell()
    context = TaskContext(ID, "t", "r", 1, "w", contact=contact)
    assert context.is_cancelled
    assert context.stop_reason == "cancelled"
    with pytest.raises(Cancelled):
        context.raise_if_cancelled()


def test_a_run_knows_its_end_and_what_was_kept() -> None:
    """The deadline is the nearer of the attempt's and the task's; the checkpoint is the earlier attempt's."""
    runs = []
    for options in (Options(timeout_seconds=5), Options(timeout_seconds=5, total_timeout_seconds=3), Options()):
        runs.append(context_of(claim_of(options=options, checkpoint=[7]), Contact()))
    assert [run.deadline for run in runs] == [NOW + timedelta(seconds=5), NOW + timedelta(seconds=3), None]
    assert [run.previous_checkpoint for run in runs] == [[7]] * 3
    assert not any(run.is_cancelled for run in runs)


def test_a_snooze_is_neither_success_nor_failure() -> None:
    """Raised by a handler it puts the task off, with its reason, for at most a year."""
    def handler(data: object) -> None:
        raise Snooze(1e12, "busy")

    context = context_of(claim_of(), Contact())
    assert call_handler(Handlers({"t": handler}), context, {}) == Putoff(31_536_000.0, "busy")


class Source:
    def __init__(self) -> None:
        self.sent: list[object] = []

    def fail(self, claim: Claim, failure: object) -> None:
        self.sent.append(failure)

    def complete(self, claim: Claim, data: object) -> None:
        self.sent.append(data)

    def release(self, claim: Claim, delay_seconds: float, reason: str) -> None:
        self.sent.append((delay_seconds, reason))


def test_a_checkpoint_goes_before_the_end_of_its_attempt() -> None:
    """One that an outage held back is told first, so that the next attempt has it; a success needs none."""
    source = Source()
    listener = Listener(ServerUnreachable("gone"), ServerUnreachable("still"))
    contact = Contact(listener)
    contact.keep("a")
    assert deliver(source, claim_of(), Putoff(3.0, "busy"), lambda seconds: True, contact)
    assert (listener.heard[-1].checkpoint, len(listener.heard)) == ("a", 3)
    assert source.sent == [(3.0, "busy")]
    contact.say(1, None)
    deliver(source, claim_of(), Success("r"), lambda seconds: True, contact)
    assert len(listener.heard) == 3


def test_a_cancelled_run_stays_in_hand_until_it_ends() -> None:
    """It is told once, still shows signs of life, and may be lost later; what is finishing is not told."""
    hand, contact, claim = Hand(), Contact(), claim_of()
    hand.take(claim, contact)
    assert hand.cancel(["token", "another"]) == [claim]
    assert hand.cancel(["token"]) == []
    assert contact.is_ended
    assert hand.held() == [claim]
    assert hand.lose(["token"]) == [claim]
    other = Contact()
    hand.take(claim, other)
    assert hand.begin_finish(claim)
    assert hand.cancel(["token"]) == []
    assert not other.is_ended


def test_beats_come_at_a_third_of_the_shortest_lease() -> None:
    """And at least at the source's own rhythm, where no claim has a lease."""
    assert pause_seconds([claim_of(60), claim_of(3), claim_of(0)], 20.0) == 1.0
    assert pause_seconds([claim_of(600)], 20.0) == 20.0
    assert pause_seconds([claim_of(0)], 1.0) == 1.0


def test_a_queue_that_does_not_answer_is_asked_once_a_round() -> None:
    """However many tasks have something to tell, the next beat does not wait for all of them to fail."""
    hand, listener = Hand(), Listener(*[ServerUnreachable("gone")] * 9)
    for number in range(3):
        claim = claim_of()
        contact = Contact(listener)
        contact.say(number, None)
        hand.take(Claim(claim.task, replace(claim.lease, token=f"token-{number}")), contact)
    Heartbeat(Source(), hand)._tell(hand.held())
    assert len(listener.heard) == 1


def test_the_first_reason_to_stop_stands_and_is_told_once() -> None:
    """Who listens is called once, who comes too late at once, and who has left not at all."""
    told: list[str] = []
    contact = Contact(at_end=lambda: told.append("at_end"))
    with contact.calling_at_end(lambda: told.append("left")):
        pass
    with contact.calling_at_end(lambda: told.append("there")):
        contact.end("timeout")
        contact.end("cancelled")
    with contact.calling_at_end(lambda: told.append("late")):
        assert contact.wait(60)
    assert (contact.stop_reason, told) == ("timeout", ["at_end", "there", "late"])


def test_waiting_ends_with_the_time_or_with_the_run() -> None:
    """It says which of the two it was."""
    contact = Contact()
    assert not contact.wait(0)
    contact.end("shutdown")
    assert contact.wait(60)


class Log:
    def __init__(self) -> None:
        self.lines: list[object] = []

    def write(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))

    def close(self, seconds: float) -> bool:
        self.lines.append(seconds)
        return True


def test_a_log_is_opened_with_its_first_line_and_takes_none_after_its_end() -> None:
    """A run that says nothing has no log."""
    made: list[Log] = []

    def opened() -> Log:
        made.append(Log())
        return made[0]

    quiet, contact = Contact(open_log=opened), Contact(open_log=opened)
    quiet.close_log(1.0)
    quiet.log("out", "too late")
    assert made == []
    contact.log("out", "a")
    contact.log("err", "b")
    contact.close_log(2.0)
    contact.log("out", "too late")
    assert made[0].lines == [("out", "a"), ("err", "b"), 2.0]


def test_a_context_submits_for_its_task() -> None:
    """What is handed over names its parent and its requester; what is asked for otherwise stands."""
    bodies: list[tuple[dict[str, object], str | None]] = []

    def take(body: dict[str, object], key: str | None) -> str:
        bodies.append((body, key))
        return "the id"

    context = TaskContext(ID, "t", "r", 1, "w", contact=Contact(submit=take))
    assert context.submit("resize", {"n": 1}, tags=("a",), idempotency_key="k") == "the id"
    context.submit("resize", requester="me", run_at=NOW)
    assert bodies[0] == ({"task_type": "resize", "data": {"n": 1}, "requester": f"task {ID}", "parent_id": ID,
                          "max_retries": 0, "priority": "normal", "tags": ["a"]}, "k")
    assert (bodies[1][0]["requester"], bodies[1][0]["run_at"]) == ("me", "2026-01-01T00:00:00.000000Z")
