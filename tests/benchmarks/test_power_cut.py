"""The power cut beside other queues is a command too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.loop_disk import why_not

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_power_cut_is_a_command_that_tells_who_lost_what() -> None:
    """Ours lost nothing of 500 on either file system; without root it says what is missing and ends with 2."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.power_cut"], cwd=ROOT, capture_output=True, text=True,
                          timeout=110, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))})
    if reason := why_not():
        assert (done.returncode, reason in done.stderr) == (2, True)
        return
    assert done.returncode == 0, done.stderr[-2000:]
    strict = [line.split() for line in done.stdout.splitlines() if line.startswith("taskspool, strict")]
    assert [line[2:6] for line in strict] == [["ext4", "500", "500", "0"], ["xfs", "500", "500", "0"]]
