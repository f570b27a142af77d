"""The PowerShell module read as a syntax tree: its functions, their parameters, and every call of the bridge in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tree_sitter
import tree_sitter_powershell
from house.source import PROJECT

CLIENT = PROJECT / "clients" / "powershell"
MODULE = CLIENT / "TaskSpool"
PARTS = {"$id": "{task_id}", "$name": "{worker}"}
"""What stands in an address for a value that was escaped before."""


@cache
def parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def tree_of(text: str) -> tree_sitter.Node:
    return parser().parse(text.encode("utf-8")).root_node


@dataclass(frozen=True)
class Script:
    """One file. ``name`` as a person finds it."""

    name: str
    text: str
    root: tree_sitter.Node = field(repr=False, compare=False)


@cache
def scripts() -> tuple[Script, ...]:
    """Every PowerShell file of the client, the examples in its README and its help not among them."""
    return tuple(script_of(path) for path in sorted(CLIENT.rglob("*.ps*1")))


def script_of(path: Path) -> Script:
    text = path.read_text(encoding="utf-8")
    return Script(path.relative_to(PROJECT).as_posix(), text, tree_of(text))


def nodes(root: tree_sitter.Node, *kinds: str) -> Iterator[tree_sitter.Node]:
    """All nodes of these kinds, in reading order."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in kinds:
            yield node
        waiting.extend(reversed(node.children))


def text_of(node: tree_sitter.Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8")


def broken(root: tree_sitter.Node) -> list[str]:
    """What the grammar does not know, as ``line: text``."""
    found = list(nodes(root, "ERROR"))
    found += [node for node in every_node(root) if node.is_missing]
    return [f"{node.start_point.row + 1}: {text_of(node)[:60]}" for node in found]


def every_node(root: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield root
    for child in root.children:
        yield from every_node(child)


@dataclass(frozen=True)
class Parameter:
    name: str
    text: str
    is_mandatory: bool
    type: str
    default: str | None


@dataclass(frozen=True)
class Function:
    """One function: ``help`` is its comment, ``text`` all of it."""

    script: Script
    name: str
    node: tree_sitter.Node = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        return text_of(self.node)

    @property
    def is_public(self) -> bool:
        return "/Public/" in self.script.name

    @property
    def help(self) -> str:
        return next((text_of(node) for node in nodes(self.node, "comment") if text_of(node).startswith("<#")), "")

    @property
    def parameters(self) -> dict[str, Parameter]:
        block = next(nodes(self.node, "param_block"), None)
        found = [] if block is None else [parameter_of(node) for node in nodes(block, "script_parameter")]
        return {each.name: each for each in found}


def parameter_of(node: tree_sitter.Node) -> Parameter:
    name = text_of(next(child for child in node.children if child.type == "variable")).lstrip("$")
    default = next((text_of(child) for child in node.children if child.type == "script_parameter_default"), None)
    attributes = [text_of(each) for each in nodes(node, "attribute")]
    types = [each for each in attributes if "(" not in each]
    mandatory = any(re.match(r"\[Parameter\(.*Mandatory = \$true", each, re.DOTALL) for each in attributes)
    return Parameter(name, text_of(node), mandatory, types[-1].strip("[]") if types else "",
                     None if default is None else default.lstrip("= "))


def functions_of(script: Script) -> list[Function]:
    return [Function(script, text_of(next(child for child in node.children if child.type == "function_name")), node)
            for node in nodes(script.root, "function_statement")]


@cache
def functions() -> dict[str, Function]:
    """Every function of the module."""
    found = [function for script in scripts() for function in functions_of(script)]
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


@dataclass(frozen=True)
class Command:
    """A call of a command: ``named`` parameter -> its text ("" for a switch), ``positional`` arguments, ``splats``."""

    name: str
    line: int
    named: dict[str, str]
    positional: tuple[str, ...]
    splats: tuple[str, ...]


def commands(root: tree_sitter.Node) -> list[Command]:
    return [command_of(node) for node in nodes(root, "command")]


def command_of(node: tree_sitter.Node) -> Command:
    name = next((text_of(child) for child in node.children if child.type in ("command_name", "command_name_expr")), "")
    named: dict[str, str] = {}
    positional, splats, waiting = [], [], ""
    elements = next((child for child in node.children if child.type == "command_elements"), None)
    for element in [] if elements is None else elements.children:
        text = text_of(element)
        if element.type == "command_argument_sep":
            continue
        if element.type == "command_parameter":
            waiting = text.lstrip("-").rstrip(":")
            named[waiting] = ""
        elif text.startswith("@") and text[1:2].isalpha():
            splats.append(text[1:])
            waiting = ""
        elif element.type == "redirection":
            continue
        elif waiting:
            named[waiting] = text
            waiting = ""
        else:
            positional.append(text)
    return Command(name, node.start_point.row + 1, named, tuple(positional), tuple(splats))


# -- the bridge ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Call:
    """A call of the bridge in the module: ``path`` as the description of the bridge names it, ``query`` its names."""

    method: str
    path: str
    query: tuple[str, ...] = ()


def bridge_calls() -> dict[str, list[Call]]:
    """Function -> the calls in it."""
    found: dict[str, list[Call]] = {}
    for function in functions().values():
        for command in commands(function.node):
            if command.name == "Invoke-TaskSpoolCall":
                found.setdefault(function.name, []).append(call_of(command))
    return found


def call_of(command: Command) -> Call:
    path, _, query = command.named["Path"].strip("'\"").partition("?")
    for variable, part in PARTS.items():
        path = path.replace(variable, part)
    assert "$" not in path, f"{path}: escape what comes from outside, as $id or $name"
    names = tuple(pair.partition("=")[0] for pair in query.split("&") if pair)
    return Call(command.named["Method"].strip("'"), path, names)


GATHERED = {"Send-Outcome": ("Get-RunOutcome", "Get-Refused", "Send-RunOutcome", "Send-Outcome"),
            "Receive-NextTask": ("Receive-NextTask",)}
"""Where the body of a call is put together by several functions."""


def body_keys(name: str) -> set[str]:
    """The keys that the calls in function ``name`` may send, at the top of their bodies."""
    found: set[str] = set()
    for part in GATHERED.get(name, (name,)):
        found |= set(keys_in(functions()[part].node))
    return found


def keys_in(root: tree_sitter.Node) -> Iterator[str]:
    """The keys of tables that are called body, or stand in a table under Body; what is put into them later, too."""
    for assignment in nodes(root, "assignment_expression"):
        left, _, right = text_of(assignment).partition("=")
        if left.strip() == "$body" and re.match(r"\s*(\[ordered\])?@\{", right):
            yield from entries(next(nodes(assignment, "hash_literal_expression")))
        elif left.strip() == "$fields":
            yield from re.findall(r"= '(\w+)'", right)
        elif found := re.fullmatch(r"\$(?:body|\w+\.Body)\['(\w+)'\]", left.strip(), re.IGNORECASE):
            yield found[1]
    for entry in nodes(root, "hash_entry"):
        if text_of(entry).startswith("Body") and (table := next(nodes(entry, "hash_literal_expression"), None)):
            yield from entries(table)


def entries(table: tree_sitter.Node) -> list[str]:
    """The keys of one table, not those of tables in it."""
    body = next(child for child in table.children if child.type == "hash_literal_body")
    return [text_of(entry.children[0]) for entry in body.children if entry.type == "hash_entry"]
