"""Any program as a handler: what it is told, and what is made of what it says."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskspool.errors import RefusedToStart
from taskspool.worker.context import GiveUp, Retry
from taskspool.worker.guard import Guard
from taskspool.worker.process_tree import MARK
from taskspool.worker.program import Program, found
from waiting import eventually
from worker.programs import POSIX, Heard, Make, maker


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    made = Guard(20.0)
    yield made
    made.close()


@pytest.fixture
def make(guard: Guard) -> Make:
    return maker(guard)


def failure(program: Program, heard: Heard | None = None) -> Retry | GiveUp:
    """How ``program`` failed, when nobody stopped it."""
    with pytest.raises((Retry, GiveUp)) as caught:
        program.run({}, (heard or Heard()).context)
    return caught.value


# -- what it is told -------------------------------------------------------------------------------------------------


def test_the_task_is_one_line_of_json_on_stdin(make: Make) -> None:
    """All there is to know of the task, with its data, in one ASCII line; then the end of the input."""
    heard = Heard(attempt=2, max_attempts=4, priority="high", previous_error="it broke",
                  previous_checkpoint={"row": 7}, deadline=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    program = make("raw = sys.stdin.buffer.read(); print(json.dumps([raw.decode('ascii')]))")
    line = program.run({"ä": [1]}, heard.context)
    assert isinstance(line, list)
    assert line[0].count("\n") == 1
    assert json.loads(line[0]) == {
        "id": "the-id", "type": "convert", "data": {"ä": [1]}, "attempt": 2, "max_attempts": 4, "priority": "high",
        "requester": "tester", "worker": "here", "previous_error": "it broke", "checkpoint": {"row": 7},
        "deadline_at": "2031-01-02T03:04:05.000000Z",
    }


def test_the_environment_says_the_same(make: Make) -> None:
    """Everything a shell script may want, beside the worker's own variables."""
    heard = Heard(attempt=2, max_attempts=4, previous_error="it\0broke",
                  deadline=datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC))
    told = make("print(json.dumps(dict(os.environ)))").run({"ä": 1}, heard.context)
    assert isinstance(told, dict)
    assert Path(str(told.pop("TASKSPOOL_RESULT_FILE"))).name == "result.json"
    assert {name: value for name, value in told.items() if name.startswith("TASKSPOOL_") and name != MARK} == {
        "TASKSPOOL_TASK_ID": "the-id", "TASKSPOOL_TASK_TYPE": "convert", "TASKSPOOL_ATTEMPT": "2",
        "TASKSPOOL_MAX_ATTEMPTS": "4", "TASKSPOOL_DATA": '{"\\u00e4": 1}', "TASKSPOOL_PREVIOUS_ERROR": "itbroke",
        "TASKSPOOL_DEADLINE": "2031-01-02T03:04:05.000000Z",
    }
    assert told["PATH"] == os.environ["PATH"]


def test_large_data_are_on_stdin_only(make: Make) -> None:
    """No system takes a variable of any size."""
    told = make("""
data = json.load(sys.stdin)["data"]
print(json.dumps(["TASKSPOOL_DATA" in os.environ, len(data["text"])]))""").run({"text": "x" * 300_000}, Heard().context)
    assert told == [False, 300_000]


def test_what_an_outer_task_was_told_is_not_passed_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs as somebody's task tells its own tasks of themselves only."""
    monkeypatch.setenv("TASKSPOOL_PREVIOUS_ERROR", "of another")
    assert make("print(os.environ.get('TASKSPOOL_PREVIOUS_ERROR'))").run({}, Heard().context) == "None"


def test_a_program_that_does_not_read_is_not_waited_for(make: Make) -> None:
    """Data that fill every pipe do not hold it, nor us."""
    assert make("print('done')").run({"text": "x" * 1_000_000}, Heard().context) == "done"


# -- its result ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("printed", "result"), [
    ("print('{\"a\": 1}')", {"a": 1}), ("print('[1]')", [1]), ("print('4.5')", 4.5),
    ("print('done so far')", "done so far"),
    ("print('NaN')", "NaN"), ("print('first'); print('last'); print(); print('  ')", "last"), ("pass", None),
    ("sys.stdout.buffer.write(b'no line break')", "no line break"), ("sys.stdout.buffer.write(b'5\\r\\n')", 5),
    ("print('\\u00e4' * 3)", "äää"),
])
def test_the_last_line_is_the_result(make: Make, printed: str, result: Any) -> None:
    """As JSON if it is JSON, else as text; nothing said is null. Empty lines do not count."""
    assert make("sys.stdout.reconfigure(encoding='utf-8')\n" + printed).run({}, Heard().context) == result


def test_the_result_file_comes_first(make: Make) -> None:
    """What is written to it is the result, whatever stdout says."""
    text = "open(os.environ['TASKSPOOL_RESULT_FILE'], 'w').write('{\"from\": \"file\"}\\n'); print('bye')"
    assert make(text).run({}, Heard().context) == {"from": "file"}


def test_an_empty_result_file_is_none(make: Make) -> None:
    """A file that was only touched says nothing."""
    assert make("open(os.environ['TASKSPOOL_RESULT_FILE'], 'w'); print('bye')").run({}, Heard().context) == "bye"


@pytest.mark.parametrize(("text", "rule"), [
    ("open(os.environ['TASKSPOOL_RESULT_FILE'], 'w').write('{not json')", "is not JSON"),
    ("open(os.environ['TASKSPOOL_RESULT_FILE'], 'w').write('[' * 9000)", "is not JSON"),
    ("open(os.environ['TASKSPOOL_RESULT_FILE'], 'w').write('1' * 5000)", "more than 4096 bytes"),
    ("os.mkdir(os.environ['TASKSPOOL_RESULT_FILE'])", "not a plain file"),
    ("print('x' * 5000)", "the last line of its output has more than 4096 bytes"),
])
def test_a_result_nobody_can_keep_is_a_failure_for_good(make: Make, text: str, rule: str) -> None:
    """The reason names what is wrong; trying again would bring the same."""
    limit = 100_000 if "9000" in text else 4096
    error = failure(make(text, max_result_bytes=limit))
    assert isinstance(error, GiveUp)
    assert rule in str(error)


def test_nothing_of_a_run_stays_on_the_disk(make: Make) -> None:
    """The folder with the result file goes with the run."""
    place = make("print(os.environ['TASKSPOOL_RESULT_FILE'])").run({}, Heard().context)
    assert not Path(str(place)).parent.exists()
    assert Path(str(place)).parents[1].exists()


# -- its exit code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 2, 64, 74, 76, 126, 127, 255])
def test_any_other_exit_code_is_a_failure(make: Make, code: int) -> None:
    """It is tried again as the task allows, after the usual backoff; the last line of stderr says why."""
    error = failure(make(f"print('why', file=sys.stderr); print(file=sys.stderr); sys.exit({code})"))
    assert isinstance(error, Retry)
    assert error.after_seconds is None
    assert str(error) == f"why (exit code {code})"


def test_a_failure_without_a_word_names_the_program(make: Make) -> None:
    """Somebody has to be named."""
    assert str(failure(make("sys.exit(3)"))) == f"{Path(sys.executable).name} ended with exit code 3"


@POSIX
def test_a_signal_is_a_failure(make: Make) -> None:
    """kill -9, a crash: tried again as the task allows."""
    error = failure(make("os.kill(os.getpid(), signal.SIGKILL)"))
    assert isinstance(error, Retry)
    assert str(error).endswith("ended with signal 9, SIGKILL")


@pytest.mark.parametrize(("line", "seconds"), [
    ("retry_after=7.5", 7.5), ("retry_after=soon", None), ("retry_after=-1", None), ("retry_after=nan", None),
    ("", None),
])
def test_75_is_try_again_later(make: Make, line: str, seconds: float | None) -> None:
    """After as many seconds as its last line asks for; else after the usual backoff."""
    error = failure(make(f"print({line!r}); print('busy', file=sys.stderr); sys.exit(75)"))
    assert isinstance(error, Retry)
    assert (str(error), error.after_seconds) == ("busy (exit code 75)", seconds)


def test_65_is_give_up(make: Make) -> None:
    """The data will never be right: no retry."""
    error = failure(make("print('no such page', file=sys.stderr); sys.exit(65)"))
    assert isinstance(error, GiveUp)
    assert str(error) == "no such page (exit code 65)"


def test_a_command_that_does_not_exist_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not when the first task comes."""
    with pytest.raises(RefusedToStart, match="is not found"):
        found(str(tmp_path / "nothing"))


@POSIX
def test_a_file_that_cannot_be_executed_is_refused_at_the_start(tmp_path: Path) -> None:
    """The hint says what to do about it."""
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    with pytest.raises(RefusedToStart, match="cannot be executed") as caught:
        found(str(tmp_path / "job.sh"))
    assert "chmod" in caught.value.hint


@POSIX
def test_a_command_that_went_away_fails_the_task(guard: Guard, tmp_path: Path) -> None:
    """It may come back: the task is tried again."""
    error = failure(Program([str(tmp_path / "job.sh")], guard, grace_seconds=1))
    assert isinstance(error, Retry)
    assert str(error).startswith("job.sh cannot be started")


# -- what it says ----------------------------------------------------------------------------------------------------


def test_what_it_writes_is_the_live_log(make: Make) -> None:
    """Line by line, each stream by its name, empty lines too, and bytes that are no letters as well as it goes."""
    heard = Heard()
    make("""
print('one'); print(); print('two\\r')
sys.stderr.buffer.write(b'bad \\xff byte\\nno end')""").run({}, heard.context)
    assert heard.texts("out") == ["one", "", "two"]
    assert heard.texts("err") == ["bad \ufffd byte", "no end"]


def test_lines_are_heard_while_it_runs(make: Make, tmp_path: Path) -> None:
    """The log is live: a line is there before the program goes on."""
    heard, gate = Heard(), tmp_path / "gate"
    runner = threading.Thread(target=make(f"""
print('ready', flush=True)
while not os.path.exists({str(gate)!r}): time.sleep(0.01)""").run, args=({}, heard.context))
    runner.start()
    eventually(lambda: heard.texts("out") == ["ready"], 30)
    assert runner.is_alive()
    gate.touch()
    runner.join(30)
    assert not runner.is_alive()


def test_a_line_without_end_is_logged_in_parts(make: Make) -> None:
    """Memory stays bounded, no letter is cut, nothing is lost."""
    heard = Heard()
    failure(make("sys.stdout.buffer.write(('a' + 'ä' * 400_000).encode())", max_result_bytes=100_000), heard)
    assert "".join(heard.texts("out")) == "a" + "ä" * 400_000
    assert len(heard.texts("out")) > 3


def test_progress_and_checkpoints_are_lines_of_stdout(make: Make) -> None:
    """They are taken out of the log, and are no result."""
    heard = Heard()
    result = make("""
print('done'); print('::checkpoint {"row": 4}'); print('::progress 40 reading the file')""").run({}, heard.context)
    heard.contact.tell()
    assert result == "done"
    assert [(said.checkpoint, said.percent, said.message) for said in heard.said if said.has_checkpoint] == [
        ({"row": 4}, None, None)]
    assert (heard.said[-1].percent, heard.said[-1].message) == (40.0, "reading the file")
    assert heard.texts("out") == ["done"]


@pytest.mark.parametrize(("line", "percent", "message"), [
    ("::progress 40", 40.0, None), ("::progress 40% done", 40.0, "done"),
    ("::progress still at it", None, "still at it"),
])
def test_progress_may_be_a_number_a_text_or_both(make: Make, line: str, percent: float | None,
                                                 message: str | None) -> None:
    """Percent, then words; either may be left out."""
    heard = Heard()
    make(f"print({line!r})").run({}, heard.context)
    heard.contact.tell()
    assert [(said.percent, said.message) for said in heard.said] == [(percent, message)]


@pytest.mark.parametrize("line", ["::progress", "::checkpoint {half", "::unknown 4", ":: 4"])
def test_what_only_looks_like_a_directive_is_a_line(make: Make, line: str) -> None:
    """Nothing a program says is lost."""
    heard = Heard()
    assert make(f"print({line!r})").run({}, heard.context) == line
    assert heard.texts("out") == [line]
    assert heard.said == []


def test_directives_can_be_switched_off(make: Make) -> None:
    """Then such a line is a line."""
    heard = Heard()
    assert make("print('::progress 40')", has_directives=False).run({}, heard.context) == "::progress 40"


def test_a_checkpoint_nobody_can_be_told_does_not_stop_the_program(make: Make) -> None:
    """It is kept, and sent when the queue is back."""
    heard = Heard()
    heard.is_reachable = False
    assert make("print('::checkpoint 5'); print('on')").run({}, heard.context) == "on"
    heard.is_reachable = True
    heard.contact.tell()
    assert [said.checkpoint for said in heard.said] == [5]
