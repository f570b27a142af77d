"""The examples of seed 004 do what they say, word for word but for the port."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from live_managed import LiveManaged
from service import services

SCRIPT = (Path(__file__).parent / "seed_examples.sh").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^# --- (\w+)\n(.*?)(?=^# --- |\Z)", SCRIPT, re.MULTILINE | re.DOTALL))
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def run(part: str, port: int, seconds: float = 30, **replaced: str) -> str:
    """What the part prints. ``replaced``: beside the port, word -> other word."""
    text = PARTS[part].replace("localhost:8084", f"localhost:{port}")
    for old, new in replaced.items():
        text = text.replace(old, new)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, encoding="utf-8",
                          timeout=seconds, env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def values_of(text: str) -> list[Any]:
    """The JSON values that stand one after the other in ``text``."""
    found, decoder, text = [], json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


def test_the_batch_and_the_monitoring_examples(fresh: LiveManaged) -> None:
    """Two tasks are accepted; the numbers tell of them."""
    [told] = values_of(run("batch", fresh.port))
    assert told["count"] == 2
    assert [task["payload"]["file_path"] for task in told["tasks"]] == ["/tmp/doc1.pdf", "/tmp/doc2.pdf"]
    assert values_of(run("monitoring", fresh.port)) == [
        {"workers": 0, "queue": 2, "rate": 0.0}, {"total": 2, "success_rate": 0.0, "avg_time": 0.0}]


@pytest.mark.slow
def test_the_documents_example(tmp_path: Path) -> None:
    """With a real service and a real worker: a file that is not there fails, one that is there is completed."""
    report = tmp_path / "report.txt"
    report.write_text("The quick brown fox jumps over the lazy dog.\n" * 100, encoding="utf-8")
    root = tmp_path / "root"
    with services(tmp_path) as started:
        door = started.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", root)
        port = door.port()
        started.worker("--root", root, "--queue", "managed")
        failed = run("documents", port, 120, **{"/tmp/uploads/report.pdf": str(tmp_path / "nothing.pdf")})
        assert "Status: failed" in failed
        done = run("documents", port, 120, **{"/tmp/uploads/report.pdf": str(report)})
        assert "Status: completed, Progress: 100%" in done
        [result] = values_of(done[done.rindex("100%") + 4:])
        assert result["chunk_count"] > 1
        numbers = values_of(run("monitoring", port))
        assert numbers[0]["workers"] == 1
