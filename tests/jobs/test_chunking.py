"""The rules of cutting, for any text, size and overlap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskspool.jobs.chunking import MAX_CHUNKS, TooManyChunks, cut

TEXTS = st.text(st.sampled_from("ab é핑。.!? \n\t"), max_size=400)
SIZES = st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@settings(max_examples=150, deadline=None)
@given(TEXTS, SIZES)
def test_chunks_cover_the_text_with_the_exact_overlap(text: str, sizes: tuple[int, int]) -> None:
    """Offsets are true, no chunk is too long, each begins `overlap` before the end of the one before, and without the
    overlaps the chunks are the text."""
    size, overlap = sizes
    chunks = list(cut(text, size, overlap))
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(chunk.text == text[chunk.start:chunk.end] and 1 <= len(chunk.text) <= size for chunk in chunks)
    assert all(after.start == before.end - overlap for before, after in pairwise(chunks))
    assert "".join(chunk.text[overlap if chunk.index else 0:] for chunk in chunks) == text
    assert len(chunks) <= 2 * len(text) / (size - overlap) + 1


@pytest.mark.parametrize(("text", "first"), [
    ("One. Two three\n\nfour five six seven", "One. Two three\n\n"),
    ("One two three\nfour five six seven eight", "One two three\n"),
    ("One two three. Four five six seven eight", "One two three. "),
    ("One two three four five six seven eight", "One two three four "),
    ("Onetwothreefourfivesixseven", "Onetwothreefourfives"),
    ("第一句话在这里结束了。第二句话在这里也结束了，然后继续", "第一句话在这里结束了。"),
])
def test_a_chunk_ends_behind_the_best_boundary(text: str, first: str) -> None:
    """A paragraph before a line before a sentence before a word; without any the chunk is full."""
    assert next(cut(text, 20, 0)).text == first


def test_chunks_that_would_be_many_times_the_text_are_refused() -> None:
    """An overlap close to the size is told, not begun."""
    with pytest.raises(TooManyChunks, match="make chunk_size larger or chunk_overlap smaller"):
        next(cut("a" * 2_000_000, 100_000, 99_999))
    with pytest.raises(TooManyChunks):
        next(cut("a" * (MAX_CHUNKS + 1), 1, 0))
