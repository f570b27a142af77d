"""What the documents say is true of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from house.source import PROJECT, name_of
from taskspool.cli.codes import MEANINGS
from taskspool.cli.main import taskspool
from taskspool.doors.bridge import create_app
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import TRANSITIONS
from taskspool.settings import Settings
from taskspool.worker.program_task import NAMES

ROOMS = ("src", "scripts", "tests", "docs", "benchmarks", "examples", ".ci")
TEXTS = {".py", ".md", ".toml", ".txt", ".yml", ".json", ".js", ".css", ".html", ".sh", ""}
ONE_MACHINE = re.compile(r"(?<![\w.])/(?:(?:work|home|Users)/\w|root/\.)|/tmp/\w*venv")
"""Absolute paths that exist on one machine only."""


def own_texts() -> list[Path]:
    """Every text of the project."""
    found = [*PROJECT.glob("*"), *(path for room in ROOMS for path in (PROJECT / room).rglob("*"))]
    return [path for path in found if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts]


def test_every_verb_is_documented_with_its_moves() -> None:
    """docs/lifecycle.md has a row `| verb | from | to | ...` for every move of TRANSITIONS, and for no other."""
    text = (PROJECT / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    table = text.partition("## The verbs")[2].partition("\n## ")[0]
    rows = {tuple(cell.strip(" `") for cell in line.split("|")[1:4]) for line in table.splitlines() if "|" in line}
    words = {row for row in rows if row[0] not in ("verb", "") and not set(row[0]) <= set("-: ")}
    moves = {(verb, "nowhere" if start is None else start.value, "nowhere" if end is None else end.value)
             for verb, pairs in TRANSITIONS.items() for start, end in pairs}
    assert words == moves


def test_every_setting_is_documented() -> None:
    """Each TASKSPOOL_ variable stands in docs/, and docs/ names none that does not exist: a setting, or what programs
    are told of their task."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "docs").rglob("*.md"))
    known = {f"TASKSPOOL_{field.name.upper()}" for field in fields(Settings)}
    assert {name for name in {*known, *NAMES} if name not in text} == set()
    named = set(re.findall(r"TASKSPOOL_[A-Z_]*[A-Z]", text)) - {
        "TASKSPOOL_SLOW", "TASKSPOOL_TEST_ROUNDS", "TASKSPOOL_ERROR", *NAMES}
    assert named <= known


def test_every_command_is_named_for_readers() -> None:
    """Each subcommand of taskspool stands in README, QUICKSTART or docs/."""
    places = [PROJECT / "README.md", PROJECT / "QUICKSTART.md", *(PROJECT / "docs").rglob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in places)
    assert [name for name in taskspool.commands if f"taskspool {name}" not in text] == []


def test_every_endpoint_is_in_the_protocol(tmp_path: Path) -> None:
    """docs/protocol.md names the path of each call that /openapi.json describes."""
    queue = open_queue(Settings(root=tmp_path, durability="fast"))
    try:
        description = create_app(queue, Settings(root=tmp_path)).test_client().get("/openapi.json").get_json()
    finally:
        queue.close()
    text = (PROJECT / "docs" / "protocol.md").read_text(encoding="utf-8")
    words = {"task_id": "<id>", "worker": "<worker_id>", "batch": "<batch_id>"}
    paths = {re.sub(r"{(\w+)}", lambda place: words[place[1]], path) for path in description["paths"]}
    assert len(paths) > 15
    assert {path for path in paths if not re.search(rf"{re.escape(path)}(?![\w/])", text)} == set()


def test_decisions_say_something() -> None:
    """Every decision is a page with a title and a few sentences."""
    pages = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# "), page
        assert len(text.split()) > 40, page


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link in a Markdown file names a file or folder that exists."""
    broken = []
    for page in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(PROJECT)}: {target}")
    assert broken == []


def test_no_file_names_a_place_on_one_machine() -> None:
    """What is true on the machine of whoever wrote it is not true on yours."""
    texts = {name_of(path): path.read_text(encoding="utf-8", errors="replace") for path in own_texts()}
    found = {name: ONE_MACHINE.findall(text) for name, text in texts.items()}
    assert {name: places for name, places in found.items() if places} == {}


def test_exit_codes_are_documented_as_they_are() -> None:
    """The table in docs/commands.md is the one of `taskspool --help`."""
    text = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert all(f"| {code.value} | {meaning} |" in text for code, meaning in MEANINGS.items())
