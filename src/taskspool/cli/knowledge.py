"""``taskspool query``: ask a knowledge base that the managed workers have filled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import json_option, root_option
from taskspool.cli.printing import echo_json, safe
from taskspool.errors import Conflict, InvalidRequest, RefusedToStart
from taskspool.settings import from_environment

if TYPE_CHECKING:
    from taskspool.jobs.vector_store import Found

SHOWN_CHARS = 300


@click.command()
@click.argument("kb_id", metavar="KB")
@click.argument("text")
@click.option("--top", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N",
              help="How many chunks to show.")
@root_option
@json_option
def query(kb_id: str, text: str, top: int, root: Path | None, as_json: bool) -> int:
    """Show the chunks of the knowledge base KB that come nearest to TEXT.

    Each with its score (1: the same), its file, where it stands there in characters, and its text.

    Exit code 0: shown; 1: there is no such knowledge base, or it was made with another model.
    """
    from taskspool.jobs import place
    from taskspool.jobs.embedding import DIMENSION, INSTALL, MODEL, embed, missing_package
    from taskspool.jobs.vector_store import KnowledgeBase

    if not text.strip():
        raise InvalidRequest("TEXT must say what to look for", field="text", rule="not empty")
    base = KnowledgeBase(place.knowledge_path(from_environment(root=root).root, kb_id), kb_id)
    about = base.about()
    if (about.model, about.dimension) != (MODEL, DIMENSION):
        raise Conflict(f"the knowledge base {kb_id} has vectors of {about.model} with {about.dimension} numbers: "
                       "a text cannot be compared with them", hint=f"only vectors of {MODEL} can be asked with words")
    if missing := missing_package():
        raise RefusedToStart(f"texts cannot be compared: {missing} is not installed", hint=INSTALL)
    found = base.search(embed([text])[0], top)
    if as_json:
        echo_json({"kb_id": kb_id, "results": [_as_json(each) for each in found]})
    else:
        click.echo("\n\n".join(map(_as_text, found)) or "nothing is stored there")
    return ExitCode.OK


def _as_json(found: Found) -> dict[str, object]:
    chunk = found.chunk
    return {"score": round(found.score, 6), "file": found.file, "document_id": found.document_id,
            "index": chunk.index, "start": chunk.start, "end": chunk.end, "text": chunk.text}


def _as_text(found: Found) -> str:
    chunk = found.chunk
    head = f"{found.score:.3f}  {found.file}  {chunk.start}-{chunk.end}"
    words = " ".join(chunk.text.split())
    return f"{click.style(safe(head), bold=True)}\n  {safe(words[:SHOWN_CHARS])}{'...' * (len(words) > SHOWN_CHARS)}"
