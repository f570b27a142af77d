"""What a worker was started with reaches its handlers, wherever they run."""

from __future__ import annotations

import json
from pathlib import Path

from service import environment, taskspool
from taskspool.settings import Settings, as_environment, from_environment

JOBS = '''
from taskspool import handler
from taskspool.settings import from_environment

@handler("settings")
def settings(data):
    own = from_environment()
    return {"root": str(own.root), "queue": own.queue, "lease_seconds": own.lease_seconds}
'''


def test_settings_survive_the_way_through_the_environment() -> None:
    """Whatever is set comes back as it was, with the folder as an absolute path."""
    chosen = Settings(root=Path("here"), queue="q", lease_seconds=7, cors_origins=("a://b", "c://d"), port=0,
                      database_url="postgresql://u:p@h/d", allow_network_filesystem=True, log_format="json")
    again = from_environment(as_environment(chosen))
    assert again == from_environment({}, **{
        name: getattr(chosen, name) for name in ("queue", "lease_seconds", "cors_origins", "port", "database_url",
                                                 "allow_network_filesystem", "log_format")},
        root=Path("here").absolute())


def test_a_handler_learns_where_its_worker_works(tmp_path: Path) -> None:
    """``from_environment`` in a handler gives what its worker was told, the command line first, in a child too."""
    (tmp_path / "own_jobs.py").write_text(JOBS)
    root = tmp_path / "outputs"
    task_id = taskspool("put", "settings", "--root", root, "--queue", "other").stdout.strip()
    done = taskspool("work", "--once", "--root", root, "--queue", "other", "--handlers", tmp_path / "own_jobs.py",
                     "--executor", "process", TASKSPOOL_LEASE_SECONDS="77")
    assert done.returncode == 0, done.stderr
    result = json.loads((root / "other" / "results" / f"{task_id}.json").read_text())
    assert result["data"] == {"root": str(root), "queue": "other", "lease_seconds": 77}
    assert "TASKSPOOL_QUEUE" not in environment()
