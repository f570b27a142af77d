"""The fuzzer reads /openapi.json and tries everything it says, and what it does not say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from live_managed import TASKS, live_managed

EXAMPLES = os.environ.get("TASKSPOOL_TEST_ROUNDS", "12")
TESTS = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_served_as_described(tmp_path: Path) -> None:
    """Nothing it sends is answered with a 5xx, or with what the description does not name; no file is left broken."""
    pytest.importorskip("schemathesis")
    with live_managed(tmp_path / "root") as door:
        for _ in range(3):
            door.new()
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "schemathesis.toml"), "run",
             f"{door.url}/openapi.json", "--seed", "1", "--max-examples", EXAMPLES, "--phases",
             "examples,coverage,fuzzing", "--request-timeout", "30", "--exclude-checks", "unsupported_method"],
            capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=380,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_hooks", "PYTHONPATH": str(TESTS), "PYTHONUTF8": "1"},
        )
        assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
        assert door.get("/health").ok
        assert door.get(TASKS).ok
        assert list(door.queue.store.problems()) == []
