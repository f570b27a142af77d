"""The knowledge base: what is stored is found, once, whoever writes at the same time."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from taskspool.errors import Conflict, NotFound
from taskspool.jobs import place
from taskspool.jobs.chunking import Chunk
from taskspool.jobs.vector_store import ROWS_AT_ONCE, KnowledgeBase

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'taskspool[embeddings]'")
pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def base(root: Path) -> KnowledgeBase:
    return KnowledgeBase(place.knowledge_path(root, "kb"), "kb")


def put(base: KnowledgeBase, name: str, rows: list[list[float]], model: str = "m") -> None:
    chunks = [Chunk(number, 10 * number, 10 * number + 5, f"{name} {number}") for number in range(len(rows))]
    base.store(name, f"{name}.txt", "task", chunks, np.array(rows, np.float32), model=model)


def test_the_nearest_chunks_are_found_best_first(base: KnowledgeBase) -> None:
    """A search gives score, file, offsets and text by the angle alone, equals in the order they came."""
    put(base, "a", [[3, 0, 0], [0, 5, 0]])
    put(base, "b", [[1, 1, 0], [2, 0, 0]])
    found = base.search(np.array([7, 0, 0]), 3)
    assert [(each.chunk.text, each.file, round(each.score, 3)) for each in found] == [
        ("a 0", "a.txt", 1.0), ("b 1", "b.txt", 1.0), ("b 0", "b.txt", 0.707)]
    assert (found[1].chunk.index, found[1].chunk.start, found[1].chunk.end, found[1].document_id) == (1, 10, 15, "b")


def test_a_document_takes_its_own_place(base: KnowledgeBase) -> None:
    """Stored again, shorter or the same, it is there once."""
    put(base, "a", [[1, 0], [0, 1], [1, 1]])
    put(base, "b", [[1, 0]])
    put(base, "a", [[0, 1], [1, 1]])
    put(base, "a", [[0, 1], [1, 1]])
    assert (base.about().documents, base.about().chunks) == (2, 3)
    assert len(base.search(np.array([1, 0]), 10)) == 3


def test_more_than_one_portion_is_searched(base: KnowledgeBase) -> None:
    """The best may stand at the end of a large knowledge base."""
    rows = np.zeros((ROWS_AT_ONCE + 5, 2), np.float32)
    rows[:, 0] = 1
    rows[3] = rows[-1] = (0, 1)
    put(base, "a", rows.tolist())
    assert [each.chunk.index for each in base.search(np.array([0, 1]), 2)] == [3, len(rows) - 1]


def test_vectors_of_another_model_are_refused(base: KnowledgeBase) -> None:
    """Nothing of them is stored, and nothing is lost."""
    put(base, "a", [[1, 0]])
    for rows, model in (([[1, 0]], "other"), ([[1, 0, 0]], "m")):
        with pytest.raises(Conflict, match="has vectors of m with 2 numbers"):
            put(base, "a", rows, model)
    assert (base.about().model, base.about().dimension, base.about().chunks) == ("m", 2, 1)


def test_a_store_that_is_cut_short_changes_nothing(base: KnowledgeBase) -> None:
    """One chunk too many for its vectors: the document is as it was before."""
    put(base, "a", [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="zip"):
        base.store("a", "a", "t", [Chunk(0, 0, 1, "x"), Chunk(1, 1, 2, "y")], np.ones((1, 2), np.float32), model="m")
    assert [each.chunk.text for each in base.search(np.array([1, 0]), 9)] == ["a 0", "a 1"]


def test_what_is_not_there_and_what_is_damaged_is_told(base: KnowledgeBase, root: Path) -> None:
    """No knowledge base is NotFound and makes no file; a damaged one is a Conflict that says what to do."""
    with pytest.raises(NotFound, match="no knowledge base kb"):
        base.search(np.array([1.0]), 1)
    path = place.knowledge_path(root, "kb")
    assert not path.exists()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database at all, but long enough to look at" * 20)
    with pytest.raises(Conflict, match="is damaged") as caught:
        put(base, "a", [[1, 0]])
    assert "store its documents again" in caught.value.hint


def test_many_who_write_at_once_lose_nothing(root: Path) -> None:
    """Eight writers who come first at the same moment: every document is there, each once."""
    path, start = place.knowledge_path(root, "kb"), threading.Barrier(8)

    def write(number: int) -> None:
        start.wait(10)
        for again in range(3):
            put(KnowledgeBase(path, "kb"), f"{number}-{again % 2}", [[1, number], [number, 1]])

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    about = KnowledgeBase(path, "kb").about()
    assert (about.documents, about.chunks) == (16, 32)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM vectors").fetchone() == (32,)


def test_ids_that_look_alike_have_files_of_their_own(root: Path) -> None:
    """Case, slashes and letters that no file name may have lead to different names below one folder."""
    ids = ["kb", "KB", "../kb", "kb/", "핑", "\ud800", "a" * 300, ""]
    paths = {place.knowledge_path(root, each) for each in ids}
    assert len(paths) == len(ids)
    assert {path.parent for path in paths} == {root / "managed_data" / "knowledge"}
