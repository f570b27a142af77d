"""Small mistakes made by a machine in the core of the engine, one at a time, and which of them the tests notice.

    PYTHONPATH=src:tests python -m faults.mutants --sample 100 --seed 1

A mutant is one module with one change: a comparison, a condition, a number, a call or a raise left out, a value not
returned. It lives in a forked process only; no file is changed. It is killed when a test fails or takes for ever. What
only tells (``log``, ``_recorder``) is not mutated. A run of all mutants takes hours; ``--sample`` takes as many of each
module, chosen by ``--seed``.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import random
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "src" / "taskspool" / "engine"
MODULES = ("arrivals", "taking", "cancels", "file_store", "endings", "rewriting", "steering", "seal", "keys",
           "batches")
TESTS = {
    "seal": ["tests/engine/test_seal.py", "tests/engine/test_documents.py"],
    "keys": ["tests/contract/test_keys.py", "tests/contract/test_unique.py"],
    "batches": ["tests/contract/test_batches.py", "tests/engine/test_batches.py"],
}
"""What is asked first of a module."""
ALL_TESTS = [
    "tests/engine/test_endings.py", "tests/engine/test_overtaken.py", "tests/engine/test_overtaken_ends.py",
    "tests/contract", "tests/engine/test_foreign_workers.py", "tests/engine/test_intake.py",
    "tests/engine/test_refusals.py", "tests/faults/test_sync_order.py", "tests/faults/test_interleavings.py",
    "tests/faults/test_interleavings_of_ends.py", "tests/faults/test_bit_flips.py",
    "tests/faults/test_disk_errors.py", "tests/faults/test_crash_points.py",
]
CHOSEN = ["-m", "not slow", "-k", "not files-fast"]
SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}
TELLING = ("_recorder", "log")
DEADLINE_SECONDS = 600.0


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What the node may be replaced by."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield ast.Compare(node.left, [SWAPS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (bool, int):
        yield ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)
    elif isinstance(node, ast.If) and isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield from () if any(word in ast.unparse(node) for word in TELLING) else [ast.Pass()]


def mutants_of(module: str) -> list[tuple[int, str, ast.Module]]:
    """(line, what was changed, the module with the change)."""
    tree = ast.parse((ENGINE / f"{module}.py").read_text(encoding="utf-8"))
    found: list[tuple[int, str, ast.Module]] = []
    for number, node in enumerate(ast.walk(tree)):
        for changed in changes(node):
            mutant = copy.deepcopy(tree)
            target = next(one for place, one in enumerate(ast.walk(mutant)) if place == number)
            _replace(mutant, target, ast.fix_missing_locations(ast.copy_location(changed, node)))
            line = getattr(node, "lineno", 0)
            found.append((line, f"{_first_line(node)}  ->  {_first_line(changed)}", mutant))
    return found


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0][:90]


def _replace(tree: ast.AST, target: ast.AST, by: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, by)
            elif isinstance(value, list) and any(one is target for one in value):
                setattr(parent, field, [by if one is target else one for one in value])


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the engine as its mutant."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self._name = f"taskspool.engine.{module}"
        self._code = compile(tree, str(ENGINE / f"{module}.py"), "exec")

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def is_killed(module: str, tree: ast.Module | None) -> bool:
    """Whether a test fails, or none comes to an end in time, with the mutant (None: the module as it is)."""
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if tree is not None:
            sys.meta_path.insert(0, Mutated(module, tree))
        first = TESTS.get(module, [])
        tests = first + [test for test in ALL_TESTS if test not in first]
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *CHOSEN, *tests])))
    ended = os.pidfd_open(child)
    if not select.select([ended], [], [], DEADLINE_SECONDS)[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(ended)
    return os.waitpid(child, 0)[1] != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=10, help="so many mutants of each module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", action="append", choices=MODULES)
    chosen = parser.parse_args()
    os.chdir(ROOT)
    if is_killed("", None):
        sys.exit("the tests fail on the engine as it is")
    total, killed = 0, 0
    for module in chosen.module or MODULES:
        mutants = mutants_of(module)
        dice = random.Random(f"{chosen.seed} {module}")
        for line, what, tree in dice.sample(mutants, min(chosen.sample or len(mutants), len(mutants))):
            is_dead = is_killed(module, tree)
            total, killed = total + 1, killed + is_dead
            print(f"{'killed  ' if is_dead else 'SURVIVED'} {module}:{line} {what}", flush=True)
    print(f"{killed} of {total} mutants killed ({100 * killed / total:.0f} %), seed {chosen.seed}")


if __name__ == "__main__":
    main()
