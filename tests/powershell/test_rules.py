"""The PowerShell module keeps the rules of its trade, as far as they can be seen without PowerShell."""

from __future__ import annotations

import re

import pytest
from powershell.rules import RULES, findings
from powershell.syntax import MODULE, broken, functions, nodes, scripts, text_of, tree_of

GOOD = """function Get-Thing {
    <#
    .SYNOPSIS
    Gives it.
    .PARAMETER Name
    Its name.
    .EXAMPLE
    Get-Thing -Name 'one'
    .OUTPUTS
    It.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [string] $Name
    )
    $found = Get-Command -Name $Name
    if ($null -ne $found) {
        "this is $found"
    }
}
"""
BROKEN = [
    ("PSUseApprovedVerbs", "function Get-Thing", "function Fail-Thing"),
    ("PSUseSingularNouns", "function Get-Thing", "function Get-Things"),
    ("PSAvoidOverwritingBuiltInCmdlets", "function Get-Thing", "function Get-Module"),
    ("PSProvideCommentHelp", ".EXAMPLE", ".NOTES"),
    ("PSProvideCommentHelp", "    .PARAMETER Name\n    Its name.\n", ""),
    ("PSUseCmdletBinding", "[CmdletBinding()]", ""),
    ("PSAvoidDefaultValueForMandatoryParameter", "[string] $Name", "[string] $Name = 'x'"),
    ("PSAvoidDefaultValueSwitchParameter", "[string] $Name", "[string] $Name,\n        [switch] $All = $true"),
    ("PSReservedParams", "[string] $Name", "[string] $Name,\n        [switch] $Verbose"),
    ("PSReviewUnusedParameter", "[string] $Name", "[string] $Name,\n        [string] $Other"),
    ("PSUseProcessBlockForPipelineCommand", "Mandatory = $true", "Mandatory = $true, ValueFromPipeline = $true"),
    ("PSUseShouldProcessForStateChangingFunctions", "function Get-Thing", "function Remove-Thing"),
    ("PSUseShouldProcessForStateChangingFunctions", "[CmdletBinding()]",
     "[CmdletBinding(SupportsShouldProcess = $true)]"),
    ("PSAvoidUsingCmdletAliases", "Get-Command", "gcm"),
    ("PSAvoidUsingCmdletAliases", "$found = Get-Command -Name $Name", "$found = Write-Host $Name"),
    ("PSAvoidUsingPositionalParameters", "Get-Command -Name $Name", "Get-Command $Name"),
    ("PSUseCmdletCorrectly", "Get-Command -Name $Name", "Get-Command -Neme $Name"),
    ("PSUseCmdletCorrectly", "Get-Command -Name $Name", "Get-TaskInfo -Url $Name"),
    ("PSAvoidUsingEmptyCatchBlock", '"this is $found"', "try { $found } catch { }"),
    ("PSAvoidGlobalVars", "$found = ", "$global:last = "),
    ("PSPossibleIncorrectComparisonWithNull", "$null -ne $found", "$found -ne $null"),
    ("PSAvoidTrailingWhitespace", '$found"\n', '$found" \n'),
    ("PSAvoidLongLines", "this is", "this is " * 20),
    ("PSAvoidSemicolonsAsLineTerminators", "-Name $Name\n", "-Name $Name;\n"),
    ("PSUseConsistentIndentation", "    $found =", "   $found ="),
    ("PSUseBOMForUnicodeEncodedFile", "Gives it.", "Gives \N{LATIN SMALL LETTER E WITH ACUTE}."),
    ("PSAvoidUsingDoubleQuotesForConstantString", "this is $found", "this is it"),
    ("PSUseCompatibleSyntax", '"this is $found"', "$found ? 1 : 2"),
    ("PSUseCompatibleSyntax", '"this is $found"', "$found ?? 2"),
    ("PSUseCompatibleSyntax", '"this is $found"', "$found?.Length"),
    ("PSUseCompatibleSyntax", "-Name $Name\n", "-Name $Name && Get-Command -Name 'a'\n"),
    ("PSUseCompatibleSyntax", '"this is $found"', "$IsWindows"),
    ("PSAvoidAssignmentToAutomaticVariable", "$found = ", "$PID = $found = "),
    ("PSAvoidAssignmentToAutomaticVariable", '"this is $found"', "$args = 1"),
    ("PSUseDeclaredVarsMoreThanAssignments", '"this is $found"', "$lost = 1"),
    ("every variable", '"this is $found"', '"this is $fuond"'),
]


@pytest.mark.parametrize("name", RULES)
def test_the_module_keeps_the_rule(name: str) -> None:
    """No file of the module breaks it."""
    assert [f"{script.name}:{what}" for script in scripts() for what in RULES[name](script)] == []


def test_a_good_function_breaks_no_rule() -> None:
    """What the samples below are made of is itself in order."""
    assert findings(GOOD) == set()


@pytest.mark.parametrize(("name", "good", "bad"), BROKEN, ids=lambda text: re.sub(r"\W+", " ", text)[:40])
def test_each_rule_is_noticed_when_broken(name: str, good: str, bad: str) -> None:
    """One change to the good function, and the rule that forbids it speaks."""
    assert good in GOOD
    assert [each for each in findings(GOOD.replace(good, bad)) if each.startswith(name)]


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    """A rule that never speaks is no rule."""
    tried = {name for name, _, _ in BROKEN}
    assert [each for each in RULES if not any(each.startswith(name) for name in tried)] == []


def test_the_manifest_offers_what_the_module_has() -> None:
    """PSUseToExportFieldsInManifest, PSMissingModuleManifestField: names, no wildcards; what is exported is public."""
    manifest = (MODULE / "TaskSpool.psd1").read_text(encoding="utf-8")
    told = manifest.partition("FunctionsToExport")[2].partition(")")[0]
    public = sorted(each.name for each in functions().values() if each.is_public)
    assert re.findall(r"'([A-Z]\w+-\w+)'", told) == public
    assert re.findall(r"'([A-Z]\w+-\w+)'", (MODULE / "TaskSpool.psm1").read_text(encoding="utf-8")) == public
    assert sorted(path.stem for path in (MODULE / "Public").iterdir()) == public
    for field in ("ModuleVersion", "GUID", "Author", "Description", "PowerShellVersion    = '5.1'", "CmdletsToExport"):
        assert field in manifest
    assert "'*'" not in manifest


def test_tables_have_the_members_that_are_asked_of_them() -> None:
    """$Worker, $Run and $Shared are tables: each name that is read or written of one stands where it was made."""
    made = {"worker": members_of("Start-TaskWorker", "StartedAt"), "run": members_of("Open-Run", "Handle"),
            "shared": members_of("Open-Run", "StopReason")}
    wrong = [f"{function.name}: ${table}.{member}" for function in functions().values()
             for table, member in re.findall(r"\$(Worker|Run|Shared)\.(\w+)", function.text, re.IGNORECASE)
             if member not in made[table.lower()]]
    assert wrong == []


def members_of(name: str, known: str) -> set[str]:
    """The names in the table of a function that holds ``known``."""
    tables = [text_of(node) for node in nodes(functions()[name].node, "hash_literal_expression")]
    found = next(text for text in reversed(tables) if re.search(rf"^\s+{known} +=", text, re.MULTILINE))
    return set(re.findall(r"^\s+(\w+) += ", found, re.MULTILINE))


def test_files_are_read_alike_by_both() -> None:
    """Line ends are those of the repository, and every file ends with one."""
    for script in scripts():
        assert script.text.endswith("\n")
        assert "\r" not in script.text


def test_the_grammar_refuses_what_is_no_powershell() -> None:
    """The parser behind these rules has teeth: a lost brace, a lost quote."""
    assert broken(tree_of("function Get-Thing {"))
    assert broken(tree_of("$a = 'lost"))
