"""The fuzzer reads /openapi.json and tries everything it says, and what it does not say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from live_tagged import LiveTagged

EXAMPLES = os.environ.get("TASKSPOOL_TEST_ROUNDS", "12")
TESTS = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)  # what is asked for and answered is the same on all
def test_served_as_described(fresh: LiveTagged, tmp_path: Path) -> None:
    """What the description allows is accepted, what it forbids refused, every answer is one it names."""
    pytest.importorskip("schemathesis")
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "schemathesis.toml"), "run",
         f"{fresh.url}/openapi.json", "--seed", "1", "--max-examples", EXAMPLES,
         "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"],
        capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=380,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_hooks", "PYTHONPATH": str(TESTS), "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert fresh.ask("GET", "/health").ok
    assert list(fresh.queue.store.problems()) == []
