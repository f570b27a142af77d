"""The PowerShell that users read: the README's blocks, the examples in the help, the overview."""

from __future__ import annotations

import re
import textwrap

from powershell.syntax import CLIENT, MODULE, PROJECT, functions

WORKER = "A worker in ten lines"


def blocks() -> dict[str, str]:
    """Heading -> the first block of PowerShell below it."""
    text = (CLIENT / "README.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    found = [(section.partition("\n")[0], re.search(r"```powershell\n(.*?)```", section, re.DOTALL))
             for section in sections]
    return {heading: block[1] for heading, block in found if block is not None}


def quick_start() -> dict[str, str]:
    """The blocks of QUICKSTART that use the module."""
    text = (PROJECT / "QUICKSTART.md").read_text(encoding="utf-8")
    found = re.findall(r"```powershell\n(.*?)```", text, re.DOTALL)
    return {f"quick start {number}": block for number, block in enumerate(found, 1) if "clients/powershell" in block}


def examples() -> dict[str, str]:
    """Function -> each example of its help, numbered."""
    found = {}
    for function in functions().values():
        for number, text in enumerate(re.findall(r"\.EXAMPLE\n(.*?)(?=^    (?:\.[A-Z]|#>))", function.help,
                                                 re.DOTALL | re.MULTILINE), 1):
            found[f"{function.name} {number}"] = textwrap.dedent(text)
    return found


def overview() -> dict[str, str]:
    """What stands indented in about_TaskSpool."""
    text = (MODULE / "en-US" / "about_TaskSpool.help.txt").read_text(encoding="utf-8")
    parts = re.findall(r"(?:^ {8}(?:\$|Start-).*\n)+", text, re.MULTILINE)
    return {f"about {number}": textwrap.dedent(part) for number, part in enumerate(parts, 1)}
