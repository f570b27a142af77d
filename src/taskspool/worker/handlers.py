"""Handlers: the functions that do the work, and how a worker finds them.

    from taskspool import handler

    @handler("greet")
    def greet(data):                    # data: the task's JSON object
        return {"text": f"hello {data['name']}"}

    @handler("report")
    async def report(data, context):    # context: a TaskContext, which attempt of which task this is, and who runs it
        return {"by": context.worker}

    @handler("resize")
    class Resize:                       # made once per process, when the first task of its type comes
        def __init__(self): ...
        def run(self, data, context): ...

A handler is a plain function, an ``async`` one, or a class with ``run`` or ``__call__``, of one argument (``data``) or
two (``data, context``); arguments with a default are its own business. What it returns is the task's result and must be
JSON. What it raises fails the attempt: ``GiveUp`` for good, ``Retry`` after a time of its choice, anything else after
the usual backoff; retries happen only as far as the task's ``max_retries`` allows. ``Snooze`` puts the task off, and
counts as no attempt. With ``context`` a handler shows progress, keeps checkpoints, and learns that it should stop: see
``context.TaskContext``. What may stand beside handlers in a module: ``hooks``.
The decorator marks the function and nothing else; ``load_handlers`` collects the marked ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from taskspool.engine.task import check_name
from taskspool.errors import InvalidRequest, RefusedToStart
from taskspool.worker.contact import Cancelled
from taskspool.worker.context import GiveUp, Retry, Run, Snooze, TaskContext
from taskspool.worker.hooks import Hooks, hooks_among

__all__ = ["Cancelled", "GiveUp", "Handler", "Handlers", "Retry", "Run", "Snooze", "TaskContext", "handler",
           "load_handlers"]

HandlerFunction = Callable[..., Any]
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
        setattr(function, _MARK, (*_marks(function), *types))
        return function

    return mark


@dataclass(slots=True)
class Handler:
    """A function, or a class, and how it wants to be called."""

    made_of: HandlerFunction
    wants_context: bool
    _making: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _made: HandlerFunction | None = None

    @property
    def name(self) -> str:
        return f"{self.made_of.__module__}.{getattr(self.made_of, '__qualname__', self.made_of)}"

    @property
    def function(self) -> HandlerFunction:
        """What is called. Of a class the one instance of this process, made now if need be; raises what it raises."""
        if not inspect.isclass(self.made_of):
            return self.made_of
        with self._making:
            if self._made is None:
                made: Any = self.made_of()
                self._made = getattr(made, "run", made)
            assert self._made is not None  # noqa: S101  # made above
            return self._made


@dataclass(frozen=True, slots=True)
class Origin:
    """Where handlers were loaded from, so that another process can load the same."""

    modules: Sequence[str]
    builtin: bool


class Handlers:
    """Task type -> handler, and the hooks beside them. Made once, never changed. ``origin`` None: not from modules."""

    def __init__(self, by_type: Mapping[str, HandlerFunction], hooks: Hooks = Hooks(),  # noqa: B008  # it is frozen
                 origin: Origin | None = None) -> None:
        self._by_type = {type_name: _wrapped(function) for type_name, function in by_type.items()}
        self.types: Sequence[str] = sorted(self._by_type)
        self.hooks = hooks
        self.origin = origin

    def get(self, type_name: str) -> Handler | None:
        return self._by_type.get(type_name)


def load_handlers(names: Sequence[str] = (), builtin: bool = True) -> Handlers:
    """The marked functions of modules (``my.jobs``) and files (``jobs.py``), with the four built-in types or without.

    Modules are looked for in the current folder too. Raises RefusedToStart: a module that cannot be imported or marks
    nothing, two handlers for one type, a function a worker cannot call.
    """
    by_type: dict[str, HandlerFunction] = {}
    hooks = []
    for name in [*([BUILTIN] if builtin else []), *names]:
        values = list(vars(_import(name)).values())
        found, beside = list(_marked(values)), hooks_among(values)
        if not found and not beside:
            raise RefusedToStart(f"{name} has no handlers", hint='mark a function with @taskspool.handler("type")')
        hooks += [hook for hook in beside if hook not in hooks]
        for type_name, function in found:
            other = by_type.setdefault(type_name, function)
            if other is not function:
                raise _two_handlers(type_name, other, function)
    if not by_type:
        raise RefusedToStart("a worker without handlers has nothing to do", hint="name a module: --handlers MODULE")
    return Handlers(by_type, Hooks(hooks), Origin(list(names), builtin))


def _two_handlers(type_name: str, one: HandlerFunction, other: HandlerFunction) -> RefusedToStart:
    is_builtin = any(function.__module__.startswith("taskspool.") for function in (one, other))
    names = " and ".join(_wrapped(function).name for function in (one, other))
    return RefusedToStart(f"two handlers for the task type {type_name!r}: {names}",
                          hint="rename yours, or give --no-builtin" if is_builtin else "keep one")


def _marked(values: Iterable[object]) -> Iterable[tuple[str, HandlerFunction]]:
    """(type, function) for every marked function, or class, among ``values``."""
    for value in values:
        if callable(value):
            for type_name in _marks(value):
                yield type_name, value


def _marks(value: HandlerFunction) -> tuple[str, ...]:
    """The types ``value`` itself was marked with; a class does not inherit them."""
    marks = vars(value).get(_MARK, ()) if inspect.isclass(value) else getattr(value, _MARK, ())
    return marks if isinstance(marks, tuple) else ()


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
    called = _method_of(function, name) if inspect.isclass(function) else function
    signature: inspect.Signature = inspect.signature(called)
    for arguments in (("data", "context"), ("data",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return Handler(function, wants_context=len(arguments) == 2 and not _only_defaults(signature))
    raise RefusedToStart(f"the handler {name}{signature} cannot be called with (data) or (data, context)",
                         hint="write it as: def my_handler(data): ...")


def _method_of(kind: type, name: str) -> HandlerFunction:
    """The method of a class that does the work, as its instances have it."""
    own = {key for base in kind.__mro__ for key in vars(base)}
    method = next((getattr(kind, each) for each in ("run", "__call__") if each in own), None)
    if method is None:
        raise RefusedToStart(f"the handler {name} is a class without run", hint="give it: def run(self, data): ...")
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise RefusedToStart(f"the handler {name} cannot be made without arguments: {error}",
                             hint="give the arguments of its __init__ a default") from error
    return partial(method, None)


def _only_defaults(signature: inspect.Signature) -> bool:
    """Whether the second argument has a default, i.e. is the function's own business and not the context."""
    second: list[Any] = list(signature.parameters.values())[1:2]
    return bool(second) and second[0].default is not inspect.Parameter.empty
