"""The power goes under a working queue: on ext4 and XFS, at any moment, up to three times on the same disk.

Everyday one disk of each; ``-m slow`` as many cuts as TASKSPOOL_TEST_ROUNDS says (usual: 100), and the engine broken on
purpose, which has to be noticed. The closing line is printed.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable

import pytest

from benchmarks.loop_disk import why_not
from faults import broken
from faults.power_cut import KINDS, closing_line, cut_and_judge
from taskspool.engine import files

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no small disk of its own: {WHY_NOT}")
SEED = 20_263
CUTS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "100"))
MOST_DISKS = 40
"""A broken engine has so many disks to show itself."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_power_cut_takes_back_nothing_that_was_acknowledged(kind: str) -> None:
    """One disk: 0 lost, 0 twice, nothing half-written is visible, recovered twice is once."""
    tally, broken_promises = cut_and_judge(kind, SEED, most_cuts=1)
    assert broken_promises == []
    assert tally["acknowledged"]


@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * CUTS)
def test_no_power_cut_takes_back_anything_that_was_acknowledged() -> None:
    """Every verb under way, both file systems by turns, one to three cuts each."""
    total = Counter[str]()
    for seed, kind in zip(itertools.count(SEED), itertools.cycle(KINDS), strict=False):
        tally, broken_promises = cut_and_judge(kind, seed)
        assert broken_promises == [], f"{kind}, seed {seed}"
        total += tally
        if total["cuts"] >= CUTS:
            break
    print(closing_line(total))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", [broken.name_not_fsynced, broken.content_not_fsynced],
                         ids=lambda change: change.__name__)
def test_a_broken_engine_is_caught_by_a_power_cut(change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fsync of the folder, or of the file, the same harness finds losses."""
    for owner, name in ((files.DirectorySync, "wait"), (files, "write_new")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # restored at the end
    change()
    disks = zip(range(MOST_DISKS), itertools.cycle(KINDS), strict=False)
    assert any(cut_and_judge(kind, seed)[1] for seed, kind in disks)
