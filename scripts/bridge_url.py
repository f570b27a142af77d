"""The spellings of the bridge's address that are in use."""

from __future__ import annotations

DEFAULT_URL = "http://127.0.0.1:8091"


def bridge_url(text: str) -> str:
    """``http://host:port`` for any of: with a slash at the end, with ``/api``, without ``http://``."""
    url = text.strip().rstrip("/").removesuffix("/api").rstrip("/")
    return url if "://" in url else f"http://{url}"
