"""`taskspool query` where there is nothing to find, or nothing to ask with."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool.cli.main import run
from taskspool.jobs import place
from taskspool.jobs.chunking import Chunk
from taskspool.jobs.embedding import MODEL
from taskspool.jobs.vector_store import KnowledgeBase


def test_what_is_not_there_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown knowledge base is exit code 1 and makes no file; an empty question is a wrong argument."""
    assert run(["query", "kb", "what", "--root", str(root)]) == 1
    assert "there is no knowledge base kb here (NOT_FOUND)" in capsys.readouterr().err
    assert run(["query", "kb", "  ", "--root", str(root)]) == 2
    assert run(["query", "kb", "what", "--top", "0"]) == 2
    assert not root.exists()


def test_vectors_of_another_model_cannot_be_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text is not compared with vectors that something else made."""
    np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'taskspool[embeddings]'")
    base = KnowledgeBase(place.knowledge_path(root, "kb"), "kb")
    base.store("d", "f", "t", [Chunk(0, 0, 1, "a")], np.ones((1, 2), np.float32), model="mine")
    assert run(["query", "kb", "what", "--root", str(root)]) == 1
    assert "has vectors of mine" in capsys.readouterr().err
    claimed = KnowledgeBase(place.knowledge_path(root, "kb2"), "kb2")
    claimed.store("d", "f", "t", [Chunk(0, 0, 1, "a")], np.ones((1, 2), np.float32), model=MODEL)
    assert run(["query", "kb2", "what", "--root", str(root)]) == 1
    assert "with 2 numbers" in capsys.readouterr().err, "what only says it is of our model"
