"""How text is made comparable for a search, the same on every database: their own rules for letters differ."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """``text`` without differences of case and of Unicode's spellings: full-width letters, composed accents."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def folded(*texts: str | None) -> str:
    """What a row is searched by: its texts, folded, a line between them so that no word spans two."""
    return "\n".join(fold(text) for text in texts if text)
