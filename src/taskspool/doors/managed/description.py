"""The description of this door: its routes, and the payloads that the workers of each type understand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from taskspool.doors.managed.answers import ErrorAnswer, NotFoundAnswer
from taskspool.shapes_managed import PAYLOADS
from taskspool.web.openapi import describe
from taskspool.web.route import Route
from taskspool.web.version import installed_version

TAGS = ("tasks", "statistics", "uploads", "monitoring", "overview")
DESCRIPTION = "Background jobs of a knowledge base: submit them, watch them, cancel and retry them."
_REF = "#/components/schemas/{model}"


def description_of(routes: Sequence[Route]) -> dict[str, Any]:
    """As a JSON value. A submit takes any object as payload; ``x-payloads`` says what is understood, by type."""
    told = describe(routes, title="taskspool managed tasks", version=installed_version(), description=DESCRIPTION,
                    tags=TAGS, error=ErrorAnswer, errors={404: NotFoundAnswer})
    refs, definitions = models_json_schema([(model, "validation") for model in PAYLOADS.values()], ref_template=_REF)
    schemas = told["components"]["schemas"]
    schemas |= definitions.get("$defs", {})
    schemas["TaskRequest"]["properties"]["payload"]["x-payloads"] = {
        kind: refs[model, "validation"] for kind, model in PAYLOADS.items()}
    return told
