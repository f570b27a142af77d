"""A task's payload, read once into the model of its type; what is wrong with it is said as other requests are told."""

from __future__ import annotations

from typing import Any

from taskspool.errors import InvalidRequest
from taskspool.shapes_managed import PAYLOADS, AnyPayload
from taskspool.web.shape import fit
from taskspool.worker.handlers import GiveUp

def check_payload(task_type: str, payload: Any) -> None:
    """Raises InvalidRequest, naming the field and its rule, when ``payload`` is none for ``task_type``."""
    _fitted(PAYLOADS[task_type], payload)


def read_payload(shape: type[AnyPayload], payload: Any) -> AnyPayload:
    """``payload`` as ``shape``. Raises GiveUp: another attempt would get the same one."""
    try:
        return _fitted(shape, payload)
    except InvalidRequest as error:
        raise GiveUp(f"payload: {error.message}") from error


def _fitted(shape: type[AnyPayload], payload: Any) -> AnyPayload:
    if not isinstance(payload, dict):
        raise InvalidRequest("payload must be an object", field="payload", rule="a JSON object")
    return fit(shape, payload)
