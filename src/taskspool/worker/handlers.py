"""Handlers: the functions that do the work, and how a worker finds them.

    from taskspool import handler

    @handler("greet")
    def greet(data):                    # data: the task's JSON object
        return {"text": f"hello {data['name']}"}

    @handler("report")
    def report(data, run):              # run: a Run, which attempt of which task this is, and who runs it
        return {"by": run.worker}

A handler is a plain function of one argument (``data``) or two (``data, run``); arguments with a default are its own
business. What it returns is the task's result and must be JSON. What it raises fails the attempt: ``GiveUp`` for good,
``Retry`` after a time of its choice, anything else after the usual backoff; retries happen only as far as the task's
``max_retries`` allows. ``Snooze`` puts the task off, and counts as no attempt. With ``run`` a handler shows progress,
keeps checkpoints, and learns that it should stop: see ``run.Run``.
The decorator marks the function and nothing else; ``load_handlers`` collects the marked ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from taskspool.engine.task import JsonValue, check_name
from taskspool.errors import InvalidRequest, RefusedToStart
from taskspool.worker.contact import Cancelled
from taskspool.worker.run import GiveUp, Retry, Run, Snooze

__all__ = ["Cancelled", "GiveUp", "Handler", "Handlers", "Retry", "Run", "Snooze", "handler", "load_handlers"]

HandlerFunction = Callable[..., JsonValue]
Function = TypeVar("Function", bound=HandlerFunction)
_MARK = "__taskspool_types__"
BUILTIN = "taskspool.worker.builtin"


def handler(*types: str) -> Callable[[Function], Function]:
    """Mark a function as the handler of the task types ``types``."""
    for type_name in types:
        check_name("task_type", type_name)
    if not types:
        raise InvalidRequest('a handler needs at least one task type: @handler("ping")', field="type", rule="1 or more")

    def mark(function: Function) -> Function:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), *types))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how it wants to be called."""

    function: HandlerFunction
    wants_run: bool

    @property
    def name(self) -> str:
        return f"{self.function.__module__}.{getattr(self.function, '__qualname__', self.function)}"


class Handlers:
    """Task type -> handler. Made once, never changed."""

    def __init__(self, by_type: Mapping[str, HandlerFunction]) -> None:
        self._by_type = {type_name: _wrapped(function) for type_name, function in by_type.items()}
        self.types: Sequence[str] = sorted(self._by_type)

    def get(self, type_name: str) -> Handler | None:
        return self._by_type.get(type_name)


def load_handlers(names: Sequence[str] = (), builtin: bool = True) -> Handlers:
    """The marked functions of modules (``my.jobs``) and files (``jobs.py``), with the four built-in types or without.

    Modules are looked for in the current folder too. Raises RefusedToStart: a module that cannot be imported or marks
    nothing, two handlers for one type, a function a worker cannot call.
    """
    by_type: dict[str, HandlerFunction] = {}
    for name in [*([BUILTIN] if builtin else []), *names]:
        found = list(_marked(_import(name)))
        if not found:
            raise RefusedToStart(f"{name} has no handlers", hint='mark a function with @taskspool.handler("type")')
        for type_name, function in found:
            other = by_type.setdefault(type_name, function)
            if other is not function:
                raise _two_handlers(type_name, other, function)
    if not by_type:
        raise RefusedToStart("a worker without handlers has nothing to do", hint="name a module: --handlers MODULE")
    return Handlers(by_type)


def _two_handlers(type_name: str, one: HandlerFunction, other: HandlerFunction) -> RefusedToStart:
    is_builtin = BUILTIN in (one.__module__, other.__module__)
    names = " and ".join(_wrapped(function).name for function in (one, other))
    return RefusedToStart(f"two handlers for the task type {type_name!r}: {names}",
                          hint="rename yours, or give --no-builtin" if is_builtin else "keep one")


def _marked(module: ModuleType) -> Iterable[tuple[str, HandlerFunction]]:
    """(type, function) for every marked function that has a name in ``module``."""
    for value in list(vars(module).values()):
        if callable(value) and isinstance(getattr(value, _MARK, None), tuple):
            for type_name in getattr(value, _MARK):
                yield type_name, value


def _import(name: str) -> ModuleType:
    try:
        return _import_file(Path(name)) if name.endswith(".py") else _import_module(name)
    except Exception as error:  # another person's code runs here: whatever it raises is the reason we report
        raise RefusedToStart(f"cannot load handlers from {name}: {type(error).__name__}: {error}",
                             hint="give a module that can be imported from here, or the path of a .py file") from error


def _import_module(name: str) -> ModuleType:
    _make_importable(Path.cwd())
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    """The file run as a module of its own name, its folder importable, as ``python path`` would do it."""
    path = path.resolve()
    _make_importable(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickle look their module up by name
    spec.loader.exec_module(module)
    return module


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _wrapped(function: HandlerFunction) -> Handler:
    """``function`` with the number of arguments it takes. Raises RefusedToStart when a worker cannot call it."""
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function):
        raise RefusedToStart(f"the handler {name} is async", hint="use a plain function; asyncio.run inside it is fine")
    signature: inspect.Signature = inspect.signature(function)
    for arguments in (("data", "run"), ("data",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return Handler(function, wants_run=len(arguments) == 2 and not _only_defaults(signature))
    raise RefusedToStart(f"the handler {name}{signature} cannot be called with (data) or (data, run)",
                         hint="write it as: def my_handler(data): ...")


def _only_defaults(signature: inspect.Signature) -> bool:
    """Whether the second argument has a default, i.e. is the function's own business and not the run."""
    second: list[Any] = list(signature.parameters.values())[1:2]
    return bool(second) and second[0].default is not inspect.Parameter.empty
