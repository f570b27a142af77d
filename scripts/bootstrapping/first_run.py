"""`bootstrap.py run`: a bridge, a worker, a ping, and a look at the folders."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bootstrapping.children import Child, Interrupted, Stopping, stop_all
from bootstrapping.environment import Failed
from bootstrapping.port import HOST, bridge_folder, holder, is_free, open_url

START_SECONDS = 30.0
ANSWER_SECONDS = 20.0
QUEUE = "task_queue"
SHOWN_PER_FOLDER = 4


def first_run(python: Path, root: Path, port: int, is_once: bool, stopping: Stopping) -> int:
    """Everything up, a ping through it, and then until Ctrl-C. The exit code. Raises Failed, Interrupted."""
    refuse_taken_port(port)
    children: list[Child] = []
    try:
        children.append(start(python, "bridge", "serve", "bridge", "--host", HOST, "--port", str(port), "--root",
                              str(root)))
        wait_for_health(children, port, stopping)
        children.append(start(python, "worker", "work", "--root", str(root)))
        ping(children, port, stopping)
        print(picture(root / os.environ.get("TASKSPOOL_QUEUE", QUEUE)))
        if not is_once:
            stay_up(children, port, stopping)
    finally:
        killed = stop_all(children)
        if killed:
            print(f"warning: had to be killed: {', '.join(killed)}", file=sys.stderr)
    print("stopped")
    return 0


def start(python: Path, name: str, *arguments: str) -> Child:
    return Child(name, [str(python), "-m", "taskspool", *arguments])


def refuse_taken_port(port: int) -> None:
    """Raises Failed that says who has the port."""
    if is_free(port):
        return
    folder = bridge_folder(port)
    if folder is not None:
        raise Failed(f"a taskspool bridge is already running on port {port} ({holder(port)}), using folder {folder}",
                     f"use it as it is, stop it, or take another port: --port {port + 1}")
    raise Failed(f"port {port} is taken by another program: {holder(port)}",
                 f"stop that program, or take another port: --port {port + 1}")


def wait_for_health(children: list[Child], port: int, stopping: Stopping) -> None:
    deadline = time.monotonic() + START_SECONDS
    while bridge_folder(port) is None:
        watch(children)
        if time.monotonic() > deadline:
            raise Failed(f"the bridge did not answer within {START_SECONDS:.0f} s:\n{children[0].last_words()}")
        if stopping.pause(0.05):
            raise Interrupted


def watch(children: list[Child]) -> None:
    """Raises Failed with its last words when one of them has died."""
    for child in children:
        if child.exit_code is not None:
            raise Failed(f"the {child.name} stopped by itself with exit code {child.exit_code}; its last words:\n"
                         f"{child.last_words()}")


def ping(children: list[Child], port: int, stopping: Stopping) -> None:
    """Hand a ping over and print it and its result. Raises Failed when no answer came."""
    api = f"http://{HOST}:{port}/api"
    accepted = call(f"{api}/tasks", {"task_type": "ping", "data": {}, "requester": "bootstrap"})
    task_id = str((accepted or {}).get("task_id"))
    print(f"task     {json.dumps(call(f'{api}/tasks/{task_id}'), ensure_ascii=False)}")
    deadline = time.monotonic() + ANSWER_SECONDS
    while (result := call(f"{api}/tasks/{task_id}/result")) is None:
        watch(children)
        if time.monotonic() > deadline:
            raise Failed(f"no worker answered the ping within {ANSWER_SECONDS:.0f} s:\n{children[-1].last_words()}")
        if stopping.pause(0.05):
            raise Interrupted
    print(f"result   {json.dumps(result, ensure_ascii=False)}")
    if result.get("status") != "success":
        raise Failed("the ping was answered with an error")


def call(url: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The JSON of an answer; None for 404. Raises Failed for any other refusal."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with open_url(request, timeout=10) as answer:
            value = json.load(answer)
            return value if isinstance(value, dict) else {}
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise Failed(f"{url} answered {error.code}: {error.read(2000).decode('utf-8', 'replace')}") from None
    except (OSError, ValueError) as error:
        raise Failed(f"{url} gave no answer: {error}") from None


def picture(folder: Path) -> str:
    """The queue's folders as `ls` shows them: the directory is the state."""
    lines = [f"\n$ ls {folder}"]
    for name in ("tasks", "claimed", "done", "results", "dead", "quarantine"):
        place = folder / name
        files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*.json")) if place.is_dir() else []
        lines.append(f"  {name + '/':<13}{len(files)} file{'' if len(files) == 1 else 's'}")
        lines += [f"    {each}" for each in files[-SHOWN_PER_FOLDER:]]
        if len(files) > SHOWN_PER_FOLDER:
            lines.append(f"    ... and {len(files) - SHOWN_PER_FOLDER} older")
    return "\n".join(lines)


def stay_up(children: list[Child], port: int, stopping: Stopping) -> None:
    print(f"\nup: http://{HOST}:{port}/   (what the bridge and the worker say follows; Ctrl-C stops both)", flush=True)
    for child in children:
        child.is_loud = True
    while not stopping.pause(0.25):
        watch(children)
