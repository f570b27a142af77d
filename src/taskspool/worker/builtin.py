"""The four task types every worker can do: ping, calculation, data_transform, batch_calculation.

What they take and give is a contract with the clients of seed 002. Whatever is wrong with the input is said in a
sentence a person understands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from taskspool.clock import to_text
from taskspool.engine.task import JsonValue
from taskspool.worker.handlers import GiveUp, TaskContext, handler

Number = int | float


@handler("ping")
def ping(_data: Mapping[str, JsonValue], context: TaskContext) -> dict[str, str]:
    """``{}`` -> ``{message: "pong", worker, timestamp}``."""
    return {"message": "pong", "worker": context.worker, "timestamp": to_text(datetime.now(UTC))}


@handler("calculation")
def calculation(data: Mapping[str, JsonValue]) -> dict[str, Number]:
    """``{operation: add|multiply|divide|average, numbers}`` -> ``{result}``; without an operation the sum."""
    return {"result": _calculate(data)}


@handler("batch_calculation")
def batch_calculation(data: Mapping[str, JsonValue]) -> dict[str, list[dict[str, JsonValue]]]:
    """``{calculations|operations: [{id, operation, numbers, multiply_by?}]}`` -> ``{calculations: [{id, result}]}``.

    An item without an id gets its place, from 1. One item that cannot be calculated fails the task and is named.
    """
    items = data.get("calculations", data.get("operations"))
    if not isinstance(items, list):
        raise GiveUp("calculations must be a list of {id, operation, numbers}")
    return {"calculations": [_calculated(place, item) for place, item in enumerate(items, 1)]}


@handler("data_transform")
def data_transform(data: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """``{operation|transform: uppercase|lowercase|reverse, text|input}`` -> ``{result}``.

    ``{input, format: "json"}`` gives the input as JSON text; text that already is JSON is taken as what it says.
    """
    value = data.get("text", data.get("input"))
    operation = data.get("operation", data.get("transform"))
    if operation is None and data.get("format") == "json":
        return {"result": _as_json(value)}
    transform = _TRANSFORMS.get(operation) if isinstance(operation, str) else None
    if transform is None:
        raise GiveUp(f"operation must be one of {', '.join(_TRANSFORMS)}, not {operation!r}")
    if not isinstance(value, str):
        raise GiveUp("text must be a text")
    return {"result": transform(value)}


_TRANSFORMS: Mapping[str, Callable[[str], str]] = {
    "uppercase": str.upper, "lowercase": str.lower, "reverse": lambda text: text[::-1],
}


def _as_json(value: JsonValue) -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            pass  # plain text: it becomes a JSON string
    return json.dumps(value, ensure_ascii=False)


def _calculated(place: int, item: JsonValue) -> dict[str, JsonValue]:
    if not isinstance(item, dict):
        raise GiveUp(f"calculation {place} must be an object with id, operation and numbers")
    name = item.get("id", place)
    try:
        result = _calculate(item)
    except (GiveUp, ArithmeticError) as error:
        raise GiveUp(f"calculation {name!r}: {error}") from error
    factor = item.get("multiply_by", 1)
    return {"id": name, "result": result * _numbers([factor], "multiply_by must be a number")[0]}


def _calculate(data: Mapping[str, JsonValue]) -> Number:
    operation = data.get("operation", "add")
    calculate = _OPERATIONS.get(operation) if isinstance(operation, str) else None
    if calculate is None:
        raise GiveUp(f"operation must be one of {', '.join(_OPERATIONS)}, not {operation!r}")
    return calculate(_numbers(data.get("numbers"), "numbers must be a list of at least one number"))


def _numbers(values: JsonValue, rule: str) -> Sequence[Number]:
    if not isinstance(values, list) or not values:
        raise GiveUp(rule)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise GiveUp(rule)
    return values


def _divide(numbers: Sequence[Number]) -> Number:
    """The first divided by each of the others in turn."""
    if 0 in numbers[1:]:
        raise GiveUp(f"cannot divide {numbers[0]} by zero")
    return reduce(lambda left, right: left / right, numbers)


_OPERATIONS: Mapping[str, Callable[[Sequence[Any]], Number]] = {
    "add": sum, "multiply": math.prod, "divide": _divide, "average": lambda numbers: sum(numbers) / len(numbers),
}
