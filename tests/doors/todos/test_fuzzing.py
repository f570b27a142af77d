"""The fuzzer reads /openapi.json of the to-dos and tries everything it says, and what it does not say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from live_todos import live_todos

EXAMPLES = os.environ.get("TASKSPOOL_TEST_ROUNDS", "12")
TESTS = Path(__file__).parents[2]
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "positive_data_acceptance", "use_after_free", "missing_required_header")
"""All but one, that what the description forbids is refused: FastAPI services take dates as seconds and UUIDs without
dashes, and say so nowhere. We describe ourselves as they do, so that generated clients stay as they are."""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_served_as_described(tmp_path: Path) -> None:
    """What the description allows is accepted, every answer is one it names, and none is a 5xx."""
    pytest.importorskip("schemathesis")
    with live_todos("sqlite", tmp_path) as todos:
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "schemathesis.toml"), "run",
             f"{todos.url}/openapi.json", "--seed", "1", "--max-examples", EXAMPLES, "--checks", ",".join(CHECKS),
             "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"],
            capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=380,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_hooks", "PYTHONPATH": str(TESTS), "PYTHONUTF8": "1"},
        )
        print(done.stdout[-1_500:])
        assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
        assert todos.get("/health").json()["status"] == "healthy"
