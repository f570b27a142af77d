"""What lies in deploy/ works: promtool is content, and every query names a metric that /metrics has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors.managed.prometheus_text import names_in, scraped
from live_managed import LiveManaged
from service import PROJECT
from waiting import eventually

DEPLOY = PROJECT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "managed-tasks.json"
MADE_BY_PROMETHEUS = {"up"}
WORDS = {"and", "or", "unless", "by", "without", "bool", "on", "ignoring"}
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)")


def promtool(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_of(query: str) -> set[str]:
    """The metrics a query asks for: what is neither label, function, word nor number."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return {name for name in re.findall(r"\b[a-z_:][a-z0-9_:]*\b(?!\s*\()", bare) if name not in WORDS}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def queries() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def alerts() -> list[str]:
    """The expressions of the rules: what stands behind ``expr:``, with the lines that go on from it."""
    text = RULES.read_text(encoding="utf-8")
    found = re.findall(r"expr: (.*?)\n\s+for:", text, re.DOTALL)
    assert len(found) == text.count("- alert:")
    return [re.sub(r"\s+", " ", each) for each in found]


@PROMTOOL
def test_the_rules_are_good_and_do_what_they_say() -> None:
    """Configuration and rules are valid; the rules fire in their tests when they should, and not before."""
    promtool("check", "config", "prometheus.yml", folder=RULES.parent)
    promtool("test", "rules", "alerts_test.yml", folder=RULES.parent)


@PROMTOOL
def test_the_queries_of_the_dashboard_are_good(tmp_path: Path) -> None:
    """Every query is PromQL."""
    rules = [{"record": f"panel_{number}", "expr": query.replace("$job", ".*")}
             for number, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_every_query_names_metrics_that_are_there(door: LiveManaged) -> None:
    """Dashboard and alerts ask for nothing that /metrics does not tell."""
    door.work(door.new()["id"])
    eventually(lambda: "task_processing_duration_seconds_bucket" in names_in(scraped(door)))
    there = names_in(scraped(door)) | MADE_BY_PROMETHEUS
    asked = {name for query in (*queries(), *alerts()) for name in metrics_of(query)}
    assert asked <= there, asked - there
    assert len(asked) >= 12


def test_what_a_query_asks_for_is_seen() -> None:
    """A query for something else would be found: names are told from labels, functions and words."""
    query = 'sum by (le, task_type) (rate(one_total{job=~"x",two="3"}[5m])) > 0.5 and max without (a) (three) == 0'
    assert metrics_of(query) == {"one_total", "three"}


def test_every_panel_can_be_drawn() -> None:
    """Each panel has its own id and place, a title and at least one query; no two overlap."""
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        mine = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert panel["title"]
        assert panel["targets"]
        assert not cells & mine
        assert place["x"] + place["w"] <= 24
        cells |= mine
    assert len({panel["id"] for panel in panels()}) == len(panels())
