"""How much of what runs at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.errors import InvalidRequest
from taskspool.worker.limits import Limits
from waiting import eventually
from worker.at_work import at_work, files_in, put, result, source_of, state


def test_only_types_with_room_are_asked_for_and_whatever_comes_fits() -> None:
    """A question names the types that have room, and asks for no more than the narrowest of them can take."""
    limits = Limits(["a", "b", "c"], {"a": 2, "b": 1})
    assert limits.askable(4) == (["a", "b", "c"], 1)
    limits.take("b")
    assert limits.askable(4) == (["a", "c"], 2)
    limits.take("a")
    limits.take("a")
    limits.take("c")
    assert limits.askable(4) == (["c"], 4)
    assert limits.put_down("a")
    assert not limits.put_down("c")
    assert limits.askable(4) == (["a", "c"], 1)
    assert Limits(["a"]).askable(3) == (["a"], 3)


@pytest.mark.parametrize(("most", "says"), [({"x": 1}, "which this worker does not do"), ({"a": 0}, "1 or more")])
def test_a_limit_that_makes_no_sense_is_refused(most: dict[str, int], says: str) -> None:
    """A type nobody does, or none of it at all, is a mistake."""
    with pytest.raises(InvalidRequest, match=says):
        Limits(["a"], most)


@pytest.mark.parametrize("executor", ["thread", pytest.param("process", marks=pytest.mark.slow)])
def test_a_limit_is_never_exceeded(queue: Queue, root: Path, tmp_path: Path, executor: str) -> None:
    """Seen from within: of a type with a limit never more run at once, while others use the runners that are left."""
    marks = tmp_path / "marks"
    marks.mkdir()
    ids = [put(queue, "crowd", {"kind": "few", "name": str(number), "folder": str(marks)}) for number in range(20)]
    options = {"executor": executor, "concurrency": 4, "limits": {"crowd": 2}}
    with source_of("folder", queue, root) as source, at_work(source, **options):
        others = [put(queue, "soon") for _ in range(10)]
        assert max(result(queue, task_id).data["at_once"] for task_id in ids) <= 2
        assert all(result(queue, task_id).is_success for task_id in others)


def test_a_full_type_does_not_hold_up_the_others(queue: Queue, root: Path, tmp_path: Path) -> None:
    """While its limit is used up, its tasks wait, unclaimed, and tasks of other types are done."""
    files = files_in(tmp_path)
    with source_of("folder", queue, root) as source, at_work(source, concurrency=3, limits={"deaf": 1}):
        first, second = put(queue, "deaf", files), put(queue, "deaf", files)
        eventually(Path(files["began"]).exists, 20, "one runs")
        assert result(queue, put(queue, "soon")).is_success
        assert sorted(state(queue, each).value for each in (first, second)) == ["claimed", "ready"]
        Path(files["until"]).touch()
        assert result(queue, first).is_success
        assert result(queue, second).is_success
