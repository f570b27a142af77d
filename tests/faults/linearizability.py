"""Is there an order of events that explains everything the processes were told?

The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993): every call took effect at one
instant between its beginning and its end; try the orders that respect this against a small sequential model, until
one explains every answer. The histories of different tasks do not touch each other (linearizability is local), so
each task is searched alone, and each is short.

What happens without a caller (a lease that runs out, a time that comes) is a move of the model that may be made
between two calls, but not before its time: a lease of a process that lives never ends, and no other before its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

NEVER = float("inf")
MAX_CRASHES = 3
FINAL = ("done", "dead", "cancelled")
TICK_SECONDS = 0.008
"""File systems count time in steps of up to so much: two signs of life inside one step look like one."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one process, in seconds of the clock all processes share.

    ``answer`` is None when the process was killed before it was told; ``ended`` is then when it was dead for certain.
    """

    actor: str
    verb: str
    task_id: str
    began: float
    ended: float
    asked: Mapping[str, Any]
    answer: Sequence[Any] | None

    def __str__(self) -> str:
        said = "(killed)" if self.answer is None else list(self.answer)
        return f"{self.began:.4f}..{self.ended:.4f} {self.actor} {self.verb} {dict(self.asked)} -> {said}"


@dataclass(frozen=True, slots=True)
class World:
    """What is known beside the calls: when each process was still alive for certain, and was killed or left.

    ``rate``: so many seconds of the queue pass in one of ours. ``has_kills``: moves may have been left half-made.
    """

    gone: Mapping[str, float] = field(default_factory=dict)
    rate: float = 1.0
    has_kills: bool = False
    grace_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Life:
    """The model: where one task is, and since when at the earliest (``at``)."""

    state: str = "nowhere"
    at: float = 0.0
    token: str = ""
    ends_at: float = NEVER
    lease: tuple[str, float] = ("", 0.0)
    attempts: int = 0
    crashes: int = 0
    max_retries: int = 0
    is_counted: bool = False
    """The run that is under way is in ``attempts`` or ``crashes`` already: ending it was interrupted half-way."""
    result: tuple[str, Any] = ("", None)
    cancel_at: float = NEVER
    """Somebody wants it cancelled: it can only end as that, and does by itself from then on."""
    ends_by: float = NEVER
    """It was waiting and is taken to be cancelled: it is cancelled when that call ends."""
    settled_at: float = NEVER
    """Its file has followed its result by then: between the two steps of a finish a retry is refused."""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_cancel_asked(self) -> bool:
        return self.cancel_at < NEVER

    def holds(self, call: Call) -> bool:
        return self.state == "claimed" and self.token == call.asked["token"]

    def seen(self, world: World) -> Life:
        """A sign of life of its holder: the lease starts anew."""
        holder, seconds = self.lease
        ends_at = self.at + seconds / world.rate - TICK_SECONDS if seconds else world.gone.get(holder, NEVER)
        return replace(self, ends_at=ends_at)


def unexplained(calls: Sequence[Call], world: World) -> str:
    """Empty when an order explains the calls of one task; else what they were, and how far any order came."""
    calls = sorted(calls, key=lambda call: call.began)
    wanted = sum(1 << number for number, call in enumerate(calls) if call.answer is not None)
    stack, seen, furthest = [(0, Life())], set(), (0, 0)
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        made, life = place
        if made & wanted == wanted:
            return ""
        furthest = max(furthest, (made.bit_count(), made))
        stack += [(made | 1 << number, after)
                  for number in reversed(_next(calls, made))
                  for now in _by_itself(life, world)
                  for after in _after(now, calls[number], world)]
    return "\n".join(("  " if furthest[1] >> number & 1 else "? ") + str(call) for number, call in enumerate(calls))


def _next(calls: Sequence[Call], made: int) -> list[int]:
    """The calls that may come next: none of the others ended before they began."""
    left = [number for number in range(len(calls)) if not made >> number & 1]
    first_end = min((calls[number].ended for number in left if calls[number].answer is not None), default=NEVER)
    return [number for number in left if calls[number].began <= first_end]


def _by_itself(life: Life, world: World) -> Iterator[Life]:
    """The task as it is, and as it may have become without a call."""
    yield life
    if life.state == "scheduled" and life.ends_at < NEVER:
        yield replace(life, state="ready", at=max(life.at, life.ends_at), ends_at=NEVER)
    if life.state == "claimed" and life.is_cancel_asked:
        yield _cancelled(replace(life, at=max(life.at, min(life.cancel_at, life.ends_at))))
        if life.ends_at < NEVER and " " in life.token:  # who took it to cancel it was killed: it is given back
            yield replace(life, state="ready", at=max(life.at, life.ends_at), token="", lease=("", 0.0),
                          is_counted=False, cancel_at=NEVER, ends_by=NEVER, ends_at=NEVER)
    elif life.state == "claimed" and life.ends_at < NEVER:
        over = replace(life, at=max(life.at, life.ends_at))
        yield _expired(over)
        if world.has_kills and not life.is_counted:     # the sweeper died with the run counted and the task not moved
            half = replace(over, crashes=life.crashes + 1, is_counted=True).seen(world)
            yield half
            if half.ends_at < NEVER:
                yield _expired(replace(half, at=max(half.at, half.ends_at)))


def _cancelled(life: Life) -> Life:
    return replace(life, state="cancelled", result=("cancelled", None), cancel_at=NEVER, ends_by=NEVER, ends_at=NEVER)


def _expired(life: Life) -> Life:
    crashes = life.crashes + (not life.is_counted)
    if crashes >= MAX_CRASHES:
        return replace(life, state="dead", crashes=crashes, result=("error", None), token="")
    return replace(life, state="ready", crashes=crashes, token="", is_counted=False, ends_at=NEVER)


def _after(life: Life, call: Call, world: World) -> Iterator[Life]:
    """What the task may be after the call, if its answer is one the model can give at this instant."""
    now = replace(life, at=max(life.at, call.began))
    if now.at > life.ends_by:
        return
    if now.at <= call.ended and (call.answer is None or call.answer[0] != "StoreUnavailable"):
        yield from VERBS[call.verb](now, call, world)
    elif now.at <= call.ended:
        yield now   # refused: it says itself that nothing happened


def _put(life: Life, call: Call, _: World) -> Iterator[Life]:
    if life.state == "nowhere":
        yield replace(life, state="ready", max_retries=call.asked["max_retries"])


def _claim(life: Life, call: Call, world: World) -> Iterator[Life]:
    answer = call.answer or ("claimed", f"{call.actor} {call.began}", life.attempts + life.crashes + 1)
    if answer[0] == "claimed":
        if life.state == "ready" and answer[2] == life.attempts + life.crashes + 1:
            lease = (call.actor, float(call.asked["lease_seconds"]))
            yield replace(life, state="claimed", token=answer[1], lease=lease, is_counted=False).seen(world)
    elif answer[0] == "TaskNotFound":
        yield from [life] * (life.state == "nowhere")
    elif answer[0] == "TaskNotClaimable" and life.state not in ("nowhere", "ready"):
        yield life


def _extend(life: Life, call: Call, world: World) -> Iterator[Life]:
    if life.holds(call):
        if call.answer is None or call.answer[0] == "ok":
            yield life.seen(world)
    elif call.answer is not None and (call.answer[0] == "LeaseLost" or _is_its_own(life, call)):
        yield life  # a beat between the two steps of its own finish may still be said yes to; it changes nothing


def _is_its_own(life: Life, call: Call) -> bool:
    return life.is_final and life.token == call.asked["token"] and call.answer is not None


def _finish(life: Life, call: Call, status: str, state: str) -> Iterator[Life]:
    """The result becomes visible, or the one this token wrote before is said again."""
    if life.state == "cancelled" or (life.holds(call) and life.is_cancel_asked):
        yield from _refused_as_cancelled(life, call)
    elif life.holds(call):
        if call.answer is None or list(call.answer) == [status, call.asked["data"]]:
            yield replace(life, state=state, result=(status, call.asked["data"]), ends_at=NEVER,
                          settled_at=NEVER if call.answer is None else call.ended)
    elif _is_its_own(life, call):
        yield from [life] * (call.answer is not None and tuple(call.answer) == life.result)
    elif call.answer is not None and call.answer[0] == "LeaseLost":
        yield life


def _refused_as_cancelled(life: Life, call: Call) -> Iterator[Life]:
    """Whoever lets go of a task that is to be cancelled ends it as that."""
    is_told = call.answer is not None and call.answer[0] in ("TaskCancelled", *["cancelled"] * (call.verb == "fail"))
    if life.state == "cancelled":
        yield from [life] * is_told
    elif is_told or call.answer is None:
        yield _cancelled(life)


def _complete(life: Life, call: Call, _: World) -> Iterator[Life]:
    yield from _finish(life, call, "success", "done")


def _fail(life: Life, call: Call, world: World) -> Iterator[Life]:
    if not life.holds(call) or life.is_cancel_asked:
        yield from _finish(life, call, "error", "dead")
        return
    failed = replace(life, attempts=life.attempts + (not life.is_counted), is_counted=True)
    if call.answer is None:
        yield failed.seen(world)    # killed between the new content of the claim and its move
    if call.asked["retryable"] and failed.attempts <= failed.max_retries:
        if call.answer is None or call.answer[0] == "waits":
            waits_until = call.began + call.asked["wait"] / world.rate
            yield replace(failed, state="scheduled", token="", ends_at=waits_until)
    else:
        yield from _finish(failed, call, "error", "dead")


def _release(life: Life, call: Call, world: World) -> Iterator[Life]:
    if life.holds(call) and life.is_cancel_asked:
        yield from [_cancelled(life)] * (call.answer is None or call.answer[0] == "ok")
    elif life.holds(call) and (call.answer is None or call.answer[0] == "ok"):
        wait = call.asked["wait"]
        state, ends_at = ("scheduled", call.began + wait / world.rate) if wait else ("ready", NEVER)
        yield replace(life, state=state, token="", ends_at=ends_at)
    elif not life.holds(call) and call.answer is not None:
        is_repeated = life.state == "cancelled" and call.asked["token"] == life.token  # of two at once, both ended it
        yield from [life] * (call.answer[0] == "LeaseLost" or (is_repeated and call.answer[0] == "ok"))


def _cancel(life: Life, call: Call, world: World) -> Iterator[Life]:
    """What waits is taken, which others may see, and then ended; what is held is marked. What it is told is where the
    task was a moment later."""
    told = None if call.answer is None else call.answer[0]
    if life.state in ("scheduled", "ready") and told not in ("TaskNotFound", "TaskFinished"):
        ends_at = world.gone.get(call.actor, NEVER) if told is None else NEVER
        yield replace(life, state="claimed", token=f"{call.actor} {call.began}", lease=(call.actor, 0.0),
                      is_counted=True, cancel_at=life.at, ends_by=call.ended, ends_at=ends_at)
        if told is None:    # killed in between: it is given back
            yield replace(life, at=max(life.at, ends_at))
    elif life.state == "claimed" and told not in ("TaskNotFound", "TaskFinished"):
        yield replace(life, cancel_at=min(life.cancel_at, life.at + world.grace_seconds / world.rate - TICK_SECONDS))
    elif told == {"nowhere": "TaskNotFound", "cancelled": "cancelled"}.get(life.state, "TaskFinished"):
        yield life


def _retry(life: Life, call: Call, _: World) -> Iterator[Life]:
    """Where it is when the call ends may be anywhere it went since."""
    told = None if call.answer is None else call.answer[0]
    if life.state in ("dead", "cancelled") and told not in ("NotRetryable", "TaskNotFound"):
        yield replace(life, state="ready", token="", attempts=0, crashes=0, is_counted=False, result=("", None),
                      settled_at=NEVER)
    elif told == ("TaskNotFound" if life.state == "nowhere" else "NotRetryable"):
        yield from [life] * (life.state not in ("dead", "cancelled") or call.began <= life.settled_at)


def _find(life: Life, call: Call, _: World) -> Iterator[Life]:
    if call.answer is None:
        return
    state, token = (*call.answer, None)[:2]
    if state == {"nowhere": "TaskNotFound"}.get(life.state, life.state):
        yield from [life] * (state != "claimed" or token == life.token or " " in life.token)


def _result(life: Life, call: Call, _: World) -> Iterator[Life]:
    if call.answer is None:
        return
    expected: Sequence[Any] = life.result if life.is_final else ["ResultPending"]
    if list(call.answer) == list(["TaskNotFound"] if life.state == "nowhere" else expected):
        yield life


VERBS = {"put": _put, "claim": _claim, "claim_one": _claim, "extend": _extend, "complete": _complete, "fail": _fail,
         "release": _release, "cancel": _cancel, "retry": _retry, "find": _find, "result": _result}
"""verb -> what a task may be after it; a verb the queue learns is one entry here and one in the actor's table."""
