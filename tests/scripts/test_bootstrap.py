"""`bootstrap.py`: what it says, decides and refuses, without installing anything."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import PROJECT, services

SCRIPTS = PROJECT / "scripts"
BOOTSTRAP = SCRIPTS / "bootstrap.py"
OLD_NAMES = ("2.7", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10")


@pytest.fixture(autouse=True)
def _scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def old_pythons() -> list[str]:
    """Pythons of this machine that are too old."""
    versions = Path.home() / ".pyenv" / "versions"
    installed = [str(path) for name in OLD_NAMES for path in versions.glob(f"{name}.*/bin/python")]
    return installed or [path for name in OLD_NAMES if (path := shutil.which(f"python{name}"))]


def test_an_old_python_is_told_so() -> None:
    """Every older Python says which version is needed and which this is, in one line, and ends with 1."""
    if not old_pythons():
        pytest.skip("this machine has no Python that is too old")
    for python in old_pythons():
        done = subprocess.run([python, str(BOOTSTRAP), "run"], capture_output=True, text=True, timeout=30)
        version = Path(python).parents[1].name.rpartition(".")[0]
        assert done.returncode == 1, python
        assert done.stdout == ""
        assert done.stderr.startswith("error: Python 3.11 or newer is needed, this is " + version[:3]), done.stderr


def test_bootstrap_can_be_read_by_old_pythons() -> None:
    """Its first file holds nothing that a Python before 3.6 could not parse: no f-string, no annotation."""
    tree = ast.parse(BOOTSTRAP.read_text(encoding="utf-8"), feature_version=(3, 4))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr)]


def test_a_newer_python_is_pointed_at() -> None:
    """The hint of the refusal is a command line that would work, or where to get a Python."""
    spec = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    assert "python.org" in bootstrap.too_old((3, 8), [])
    assert "python3.12 " in bootstrap.too_old((3, 8), ["python3.12"])


@pytest.mark.parametrize(("arguments", "expected"), [
    ([], ["-m", "not slow", "-n", "2", "--dist", "loadfile"]),
    (["-k", "x", "tests/cli"], ["-m", "not slow", "-n", "2", "--dist", "loadfile", "-k", "x", "tests/cli"]),
    (["--all"], []),
    (["--all", "-x"], ["-x"]),
    (["-m", "slow"], ["-m", "slow"]),
])
def test_the_everyday_tests_are_the_default(arguments, expected, monkeypatch) -> None:
    """`test` leaves the slow ones out unless --all or -m says otherwise."""
    from bootstrapping.command import pytest_arguments

    monkeypatch.delenv("TASKSPOOL_SLOW", raising=False)
    assert pytest_arguments(arguments) == expected


def test_slow_tests_are_asked_for_by_variable_too(monkeypatch) -> None:
    """TASKSPOOL_SLOW=1 means all of them."""
    from bootstrapping.command import pytest_arguments

    monkeypatch.setenv("TASKSPOOL_SLOW", "1")
    assert pytest_arguments([]) == []


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--port", "0"], ["run", "--port", "x"], ["run", "--fast"]])
def test_wrong_arguments_are_code_2(arguments) -> None:
    """Unknown words and impossible ports are refused before anything is made."""
    done = subprocess.run([sys.executable, str(BOOTSTRAP), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_missing_parts_of_python_are_named(tmp_path, monkeypatch) -> None:
    """A Python without venv or ensurepip (Debian's) is said to lack them, with the package that has them."""
    from bootstrapping import environment
    from bootstrapping.children import Stopping

    monkeypatch.setattr(Stopping, "__init__", lambda _: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements.txt").touch()
    with pytest.raises(environment.Failed) as failed:
        environment.Environment(tmp_path, Stopping()).ready("run")
    assert "no venv and no ensurepip" in str(failed.value)
    assert ("-venv" if sys.platform == "linux" else "python.org") in failed.value.hint


@pytest.mark.parametrize(("said", "word"), [
    ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "network"),
    ("OSError: [Errno 28] No space left on device", "disk is full"),
    ("PermissionError: [Errno 13] Permission denied: 'x'", "who owns it"),
    ("ERROR: no matching distribution", "pip's own"),
])
def test_pips_failures_are_explained(said, word) -> None:
    """The commonest reasons are put in words."""
    from bootstrapping.environment import why_pip_failed

    assert word in why_pip_failed(said)


def test_netstat_of_windows_is_read() -> None:
    """The pid of the listener, not of a connection that goes to the same port elsewhere."""
    from bootstrapping.port import find_in_netstat

    said = ("  Proto  Lokale Adresse         Remoteadresse          Status           PID\r\n"
            "  TCP    127.0.0.1:50000        127.0.0.1:8091         HERGESTELLT      11\r\n"
            "  TCP    127.0.0.1:18091        0.0.0.0:0              ABHÖREN          12\r\n"
            "  TCP    127.0.0.1:8091         127.0.0.1:50000        HERGESTELLT      13\r\n"
            "  TCP    127.0.0.1:8091         0.0.0.0:0              ABHÖREN          14\r\n")
    assert find_in_netstat(said, 8091) == 14
    assert find_in_netstat(said, 80) is None


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Another program on a port: this one."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made


def test_a_port_taken_by_another_program_is_named(listener) -> None:
    """The refusal says which port, which program, and what to type."""
    import os

    from bootstrapping.environment import Failed
    from bootstrapping.first_run import refuse_taken_port

    port = listener.getsockname()[1]
    with pytest.raises(Failed) as failed:
        refuse_taken_port(port)
    assert f"port {port} is taken by another program" in str(failed.value)
    assert f"--port {port + 1}" in failed.value.hint
    if sys.platform == "linux":
        assert f"pid {os.getpid()} " in str(failed.value)


def test_a_bridge_on_the_port_is_recognized(tmp_path) -> None:
    """When the port is taken by a bridge, the refusal says so, and which folder it uses."""
    from bootstrapping.environment import Failed
    from bootstrapping.first_run import refuse_taken_port

    with services(tmp_path) as made:
        port = made.bridge(tmp_path / "outputs").port()
        with pytest.raises(Failed) as failed:
            refuse_taken_port(port)
    assert "a taskspool bridge is already running" in str(failed.value)
    assert str(tmp_path / "outputs" / "task_queue") in str(failed.value)


def test_a_free_port_is_free(free_port) -> None:
    """Nobody there: nothing is refused."""
    from bootstrapping.first_run import refuse_taken_port

    assert refuse_taken_port(free_port) is None


def test_the_picture_is_the_folder(tmp_path) -> None:
    """The folders in the order of a task's life, their files by name, the older ones counted."""
    from bootstrapping.first_run import picture

    for name in ("tasks/b", "claimed/w/c~1~t", *(f"done/{n}" for n in range(6))):
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    lines = picture(tmp_path).splitlines()
    assert [line.split()[:2] for line in lines if "file" in line] == [
        ["tasks/", "1"], ["claimed/", "1"], ["done/", "6"], ["results/", "0"], ["dead/", "0"], ["quarantine/", "0"]]
    assert "    w/c~1~t.json" in lines
    assert "    ... and 2 older" in lines
