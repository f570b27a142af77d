"""Eight processes on one folder, some killed, some stopped past their leases; and what they wrote down, judged."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from faults.linearizability import TICK_SECONDS, Call, World, unexplained
from faults.linearizability_actor import GRACE_SECONDS, RATE, Actor, Known, SwiftClock
from waiting import eventually

PROCESSES = 8
KILLS, STOPS = 4, 8
RESULTS = ("success", "error", "cancelled")
MAKE_ACTOR = Callable[[str], Actor]


@dataclass
class History:
    """``gone``: an actor lived for certain until then; ``dead``: was dead for certain from then on."""

    seed: int
    logs: Path
    gone: dict[str, float] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    stops: int = 0
    problems: list[str] = field(default_factory=list)

    def calls(self) -> list[Call]:
        """Every call of every actor, answered or not."""
        calls: dict[tuple[str, int], Call] = {}
        for log in sorted(self.logs.glob("*.log")):
            for line in log.read_text(encoding="utf-8").splitlines():
                name, kind, number, *rest = json.loads(line)
                if kind == "began":
                    began, verb, task_id, asked = rest
                    calls[name, number] = Call(name, verb, task_id, began, self.dead.get(name, began), asked, None)
                elif kind == "ended":
                    call = calls[name, number]
                    calls[name, number] = replace(call, ended=rest[0], answer=rest[1])
                else:
                    self.gone[name] = number
        return list(calls.values())


@dataclass
class Judgement:
    """``anomalies``: a story for each task that no order of events explains."""

    calls: int
    anomalies: list[str]
    tally: Counter[str]


def play(seed: int, folder: Path, calls_each: int) -> History:
    """Eight actors of ``calls_each`` calls; up to 4 kills, each with a new actor for the rest, and 8 stops."""
    dice, clock, known = random.Random(seed), SwiftClock(), Known(folder / "known")
    history = History(seed, folder)

    def make(name: str) -> Actor:
        return Actor(name, folder / "root", known, folder / f"{name}.log", f"{seed} {name}", clock)

    children = {f"p{number}": _fork(folder, make, f"p{number}", calls_each) for number in range(PROCESSES)}
    stopped: set[str] = set()
    kills = dice.randrange(KILLS + 1)
    while running := _still_running(children, history):
        threading.Event().wait(dice.uniform(0.005, 0.06))
        stopped &= set(running)
        for name in sorted(stopped):
            if dice.random() < 0.4:
                stopped.discard(name)
                os.kill(children[name], signal.SIGCONT)
        victim = dice.choice(running)
        if dice.random() < 0.3 and kills:
            kills -= 1
            _kill(history, children, victim)
            stopped.discard(victim)
            children[f"{victim}'"] = _fork(folder, make, f"{victim}'", calls_each // 2)
        elif history.stops < STOPS and victim not in stopped:
            history.stops += 1
            os.kill(children[victim], signal.SIGSTOP)
            stopped.add(victim)
    _finish(history, make("last"))
    return history


def _fork(folder: Path, make: MAKE_ACTOR, name: str, calls: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        actor = make(name)
        actor.act(calls)
        actor.leave()
    except BaseException:  # the child has nobody above it: it leaves word
        (folder / f"{name}.raised").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(0)


def _still_running(children: dict[str, int], history: History) -> list[str]:
    """The names of those that run; the others are buried."""
    for name, child in list(children.items()):
        if os.waitpid(child, os.WNOHANG)[0]:
            history.dead[name] = time.monotonic()
            del children[name]
    return sorted(children)


def _kill(history: History, children: dict[str, int], name: str) -> None:
    history.gone[name] = time.monotonic()
    child = children.pop(name)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    history.dead[name] = time.monotonic()


def _finish(history: History, last: Actor) -> None:
    """What is left is worked off, and everything is looked at once more."""
    eventually(last.work_off, 30, "everything must come to an end")
    for task_id in _told(history.calls()):
        last.find_one(task_id)
        last.result_of(task_id)
    last.queue.sweep()
    history.problems += last.queue.store.problems()
    history.problems += [path.read_text(encoding="utf-8") for path in sorted(history.logs.glob("*.raised"))]
    last.leave()


def _told(calls: list[Call]) -> list[str]:
    return sorted({call.task_id for call in calls if call.task_id})


def judge(history: History) -> Judgement:
    calls = history.calls()
    world = World(history.gone, RATE, any(name.endswith("'") for name in history.gone), GRACE_SECONDS)
    by_task: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        task_id = call.answer[3] if call.verb == "claim" and call.answer and call.answer[0] == "claimed" \
            else call.task_id
        if task_id:
            by_task[task_id].append(call)
    untold = [replace(call, answer=None) for call in calls if call.verb == "claim" and _may_be_untold(call)]
    stories = {task_id: unexplained(_with_untold(own, untold), world) for task_id, own in by_task.items()}
    anomalies = [f"seed {history.seed}, task {task_id}:\n{story}" for task_id, story in stories.items() if story]
    return Judgement(len(calls), anomalies + history.problems, total(by_task))


def _may_be_untold(call: Call) -> bool:
    """A process that was killed may have claimed any task and told nobody; so may one that was stopped in the middle of
    the call for a whole lease, and then went on with another task."""
    return call.answer is None or 0 < call.asked["lease_seconds"] / RATE - TICK_SECONDS <= call.ended - call.began


def _with_untold(own: list[Call], untold: list[Call]) -> list[Call]:
    began, ended = min(call.began for call in own), max(call.ended for call in own)
    return own + [call for call in untold if call.ended >= began and call.began <= ended]


def total(by_task: dict[str, list[Call]]) -> Counter[str]:
    """Jepsen's total-queue over the tasks of a history that was worked off to the end."""
    words = ("attempt", "acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")
    tally: Counter[str] = Counter(dict.fromkeys(words, 0))
    for calls in by_task.values():
        puts = [call for call in calls if call.verb == "put"]
        is_acknowledged = any(call.answer is not None for call in puts)
        finished, retries = set(_finishes(calls)), sum(call.verb == "retry" and _is_done(call) for call in calls)
        tally["attempt"] += len(puts)
        tally["acknowledged"] += is_acknowledged
        tally["ok"] += is_acknowledged and 1 <= len(finished) <= 1 + retries
        tally["lost"] += is_acknowledged and not finished
        tally["unexpected"] += bool(finished) and not puts
        tally["duplicated"] += len(finished) > 1 + retries
        tally["recovered"] += bool(finished) and not is_acknowledged
    return tally


def _is_done(call: Call) -> bool:
    """A retry that was made, or may have been."""
    return call.answer is None or call.answer[0] not in ("NotRetryable", "TaskNotFound", "StoreUnavailable")


def _finishes(calls: list[Call]) -> Iterator[str]:
    """Every result anybody was told of."""
    for call in calls:
        if call.verb in ("complete", "fail", "result") and call.answer and call.answer[0] in RESULTS:
            yield json.dumps(list(call.answer), sort_keys=True)
