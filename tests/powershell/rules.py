"""Rules of PSScriptAnalyzer, by their names there, as far as a syntax tree can tell; and some of our own.

PSScriptAnalyzer itself needs PowerShell. Each rule takes a Script and gives what it finds, as ``line: what``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from powershell.cmdlets import (
    APPROVED_VERBS, AUTOMATIC, CHANGING_VERBS, CMDLETS, COMMON, RESERVED_PARAMETERS, SETTABLE,
)
from powershell.syntax import (
    Function, Script, broken, commands, every_node, functions, functions_of, nodes, text_of, tree_of,
)

Rule = Callable[[Script], Iterator[str]]
RULES: dict[str, Rule] = {}
MAX_LINE_CHARS = 120


def rule(name: str) -> Callable[[Rule], Rule]:
    def added(check: Rule) -> Rule:
        RULES[name] = check
        return check
    return added


def of_functions(check: Callable[[Function], Iterator[str]]) -> Rule:
    """A rule that looks at each function for itself."""
    return lambda script: (f"{function.node.start_point.row + 1}: {function.name}: {what}"
                           for function in functions_of(script) for what in check(function))


def lines(pattern: str, *, flags: int = 0) -> Rule:
    """A rule that finds ``pattern`` in a line of code; comments and texts in single quotes do not count."""
    def check(script: Script) -> Iterator[str]:
        for number, line in enumerate(code_of(script).splitlines(), 1):
            if re.search(pattern, line, flags):
                yield f"{number}: {line.strip()}"
    return check


def code_of(script: Script, *blanked: str) -> str:
    """The text with its comments and its single-quoted texts blanked."""
    raw = bytearray(script.text.encode("utf-8"))
    for node in nodes(script.root, *(blanked or ("comment", "verbatim_string_characters"))):
        for place in range(node.start_byte, node.end_byte):
            if raw[place] != 0x0A:
                raw[place] = 0x20
    return raw.decode("utf-8")


# -- names and help --------------------------------------------------------------------------------------------------


@rule("PSUseApprovedVerbs")
@of_functions
def approved_verbs(function: Function) -> Iterator[str]:
    if function.name.partition("-")[0] not in APPROVED_VERBS:
        yield "not one of Get-Verb"


@rule("PSUseSingularNouns")
@of_functions
def singular_nouns(function: Function) -> Iterator[str]:
    if re.search(r"(?<![su])s$", function.name):
        yield "a noun in the plural"


@rule("PSAvoidOverwritingBuiltInCmdlets")
@of_functions
def own_names(function: Function) -> Iterator[str]:
    if function.name in CMDLETS:
        yield "PowerShell has one of this name"


@rule("PSProvideCommentHelp")
@of_functions
def helped(function: Function) -> Iterator[str]:
    wanted = [".SYNOPSIS"]
    if function.is_public:
        wanted += [".EXAMPLE", ".OUTPUTS", *(f".PARAMETER {name}" for name in function.parameters)]
    for word in wanted:
        if not re.search(rf"^\s*{re.escape(word)}\s*$\n\s*\S", function.help, re.MULTILINE):
            yield f"no {word}"
    for name in re.findall(r"\.PARAMETER (\w+)", function.help):
        if name not in function.parameters:
            yield f"help of a parameter that there is not: {name}"


# -- parameters ------------------------------------------------------------------------------------------------------


@rule("PSUseCmdletBinding")
@of_functions
def bound(function: Function) -> Iterator[str]:
    if "[CmdletBinding(" not in function.text:
        yield "no [CmdletBinding()]"


@rule("PSAvoidDefaultValueForMandatoryParameter")
@of_functions
def mandatory_without_default(function: Function) -> Iterator[str]:
    yield from (each.name for each in function.parameters.values() if each.is_mandatory and each.default is not None)


@rule("PSAvoidDefaultValueSwitchParameter")
@of_functions
def switches_are_off(function: Function) -> Iterator[str]:
    yield from (each.name for each in function.parameters.values() if each.type == "switch" and each.default)


@rule("PSReservedParams")
@of_functions
def reserved(function: Function) -> Iterator[str]:
    yield from (name for name in function.parameters if name in RESERVED_PARAMETERS)


@rule("PSReviewUnusedParameter")
@of_functions
def used_parameters(function: Function) -> Iterator[str]:
    body = function.text.replace(text_of(next(nodes(function.node, "param_block"), None)), "")
    for each in function.parameters.values():
        if not re.search(rf"[$@]{each.name}\b|'{each.name}'|^\s+{each.name}\s+= '", body, re.MULTILINE | re.IGNORECASE):
            yield each.name


@rule("PSUseProcessBlockForPipelineCommand")
@of_functions
def processed(function: Function) -> Iterator[str]:
    if "ValueFromPipeline" in function.text and not re.search(r"^    process \{", function.text, re.MULTILINE):
        yield "takes from the pipeline, has no process block"


@rule("PSUseShouldProcessForStateChangingFunctions")
@of_functions
def asks_first(function: Function) -> Iterator[str]:
    says = "SupportsShouldProcess = $true" in function.text
    if function.name.partition("-")[0] in CHANGING_VERBS and not says:
        yield "changes something, has no -WhatIf"
    if says != ("$PSCmdlet.ShouldProcess(" in function.text):
        yield "PSShouldProcess: says it and does not do it, or the other way round"


# -- commands --------------------------------------------------------------------------------------------------------


@rule("PSAvoidUsingCmdletAliases, PSAvoidUsingWriteHost, PSAvoidUsingInvokeExpression, PSUseCompatibleCommands")
def known_commands(script: Script) -> Iterator[str]:
    for command in commands(script.root):
        if command.name[:1] not in ("", "$", "(", "{") and command.name not in CMDLETS | dict.fromkeys(functions()):
            yield f"{command.line}: {command.name}"


@rule("PSAvoidUsingPositionalParameters")
def named_arguments(script: Script) -> Iterator[str]:
    for command in commands(script.root):
        if "-" in command.name and command.positional and command.name[:1] not in "$({":
            yield f"{command.line}: {command.name} {' '.join(command.positional)}"


@rule("PSUseCmdletCorrectly: parameters that exist, and all that must be given")
def right_arguments(script: Script) -> Iterator[str]:
    for command in commands(script.root):
        own = functions().get(command.name)
        known = set(own.parameters) if own else CMDLETS.get(command.name)
        if known is None:
            continue
        yield from (f"{command.line}: {command.name} -{name}" for name in command.named if name not in known | COMMON)
        if own and not command.splats and command.name not in AFTER_A_PIPE:
            yield from (f"{command.line}: {command.name} lacks -{each.name}" for each in own.parameters.values()
                        if each.is_mandatory and each.name not in command.named)


AFTER_A_PIPE = frozenset({"Complete-Task", "Wait-TaskResult", "Unlock-Task", "Send-TaskHeartbeat", "Write-TaskLog"})
"""These get what they must have from the object that comes through the pipe, in examples."""


# -- code ------------------------------------------------------------------------------------------------------------

rule("PSAvoidUsingEmptyCatchBlock")(
    lambda script: (f"{node.start_point.row + 1}: catch" for node in nodes(script.root, "catch_clause")
                    if not re.search(r"\{\s*\S.*\}", re.sub(r"#.*", "", text_of(node)), re.DOTALL)
                    or re.search(r"\{\s*\}$", text_of(node))))
rule("PSAvoidGlobalVars")(lines(r"\$global:", flags=re.IGNORECASE))
rule("PSPossibleIncorrectComparisonWithNull")(lines(r"-[ci]?(eq|ne) \$null", flags=re.IGNORECASE))
rule("PSAvoidTrailingWhitespace")(
    lambda script: (f"{number}: blanks" for number, line in enumerate(script.text.split("\n"), 1)
                    if line != line.rstrip()))
rule("PSAvoidLongLines")(
    lambda script: (f"{number}: {len(line)}" for number, line in enumerate(script.text.splitlines(), 1)
                    if len(line) > MAX_LINE_CHARS))
rule("PSAvoidSemicolonsAsLineTerminators")(lines(r";\s*$"))
rule("PSUseConsistentIndentation")(
    lambda script: (f"{number}: {line.strip()}"
                    for number, line in enumerate(code_of(script, "comment").splitlines(), 1)
                    if line.strip() and ("\t" in line or (len(line) - len(line.lstrip())) % 4)))
rule("PSUseBOMForUnicodeEncodedFile")(
    lambda script: iter([] if script.text.isascii() else ["1: letters beyond ASCII, which 5.1 reads as it likes"]))
rule("PSAvoidUsingDoubleQuotesForConstantString")(
    lambda script: (f"{node.start_point.row + 1}: {text_of(node)}"
                    for node in nodes(script.root, "expandable_string_literal")
                    if not re.search("[$`']", text_of(node))))


@rule("PSUseCompatibleSyntax: nothing that came after 5.1")
def old_syntax(script: Script) -> Iterator[str]:
    yield from broken(script.root)  # the grammar is that of 5.1: it does not know ?: and ?? and ?.
    yield from (f"{node.start_point.row + 1}: {text_of(node)}" for node in every_node(script.root)
                if node.type in ("&&", "||"))
    yield from lines(r"-Parallel\b|^\s*clean \{|\$Is(Windows|Linux|MacOS|CoreCLR)\b|\$PSStyle\b|\d[uUyYsS]\b")(script)


@rule("PSAvoidAssignmentToAutomaticVariable")
def automatic_stay(script: Script) -> Iterator[str]:
    for name, line in assigned(script):
        if name in AUTOMATIC:
            yield f"{line}: ${name}"


@rule("PSUseDeclaredVarsMoreThanAssignments")
@of_functions
def used_variables(function: Function) -> Iterator[str]:
    for name, _ in assigned(function.script, function):
        uses = re.findall(rf"[$@]{{?{name}\b", function.text, re.IGNORECASE)
        if len(uses) < 2 and name not in SETTABLE:
            yield f"${name} is never used"


@rule("every variable that is used was given a value before")
@of_functions
def known_variables(function: Function) -> Iterator[str]:
    known = {name.lower() for name, _ in assigned(function.script, function)}
    known |= {name.lower() for node in nodes(function.node, "script_parameter") for name in
              re.findall(r"\$(\w+)", text_of(next(child for child in node.children if child.type == "variable")))}
    known |= {name.lower() for name in AUTOMATIC}
    for node in nodes(function.node, "variable"):
        name = text_of(node).lstrip("$@").strip("{}").lower()
        if ":" not in name and name not in known:
            yield f"{text_of(node)} in line {node.start_point.row + 1}"


def assigned(script: Script, function: Function | None = None) -> Iterator[tuple[str, int]]:
    """(name, line) of the variables that are given a value, not by the name of a scope."""
    root = script.root if function is None else function.node
    for node in nodes(root, "left_assignment_expression"):
        if found := re.fullmatch(r"\$(\w+)", text_of(node).strip()):
            yield found[1], node.start_point.row + 1
    for node in nodes(root, "foreach_statement"):
        if found := re.match(r"foreach \(\$(\w+) in", text_of(node)):
            yield found[1], node.start_point.row + 1


def findings(text: str, name: str = "TaskSpool/Public/Sample.ps1") -> set[str]:
    """The names of the rules that ``text`` breaks."""
    script = Script(name, text, tree_of(text))
    return {each for each, check in RULES.items() if list(check(script))}
