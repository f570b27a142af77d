"""What Windows PowerShell 5.1 brings along, as far as the module uses it; and words that PowerShell reserves."""

from __future__ import annotations

import re

APPROVED_VERBS = frozenset(re.findall(r"\w+", """
Add Clear Close Copy Enter Exit Find Format Get Hide Join Lock Move New Open Optimize Pop Push Redo Remove Rename Reset
Resize Search Select Set Show Skip Split Step Switch Undo Unlock Watch
Connect Disconnect Read Receive Send Write
Backup Checkpoint Compare Compress Convert ConvertFrom ConvertTo Dismount Edit Expand Export Group Import Initialize
Limit Merge Mount Out Publish Restore Save Sync Unpublish Update
Debug Measure Ping Repair Resolve Test Trace
Approve Assert Complete Confirm Deny Disable Enable Install Invoke Register Request Restart Resume Start Stop Submit
Suspend Uninstall Unregister Wait
Block Grant Protect Revoke Unblock Unprotect Use
"""))
"""Those of Get-Verb in 5.1; Build and Deploy came later."""

CHANGING_VERBS = frozenset({"New", "Set", "Remove", "Start", "Stop", "Restart", "Reset", "Update"})
"""Of these PSScriptAnalyzer wants -WhatIf."""

COMMON = frozenset({"Verbose", "Debug", "ErrorAction", "WarningAction", "ErrorVariable", "OutVariable"})
RESERVED_PARAMETERS = COMMON | {"InformationAction", "PipelineVariable", "OutBuffer", "WarningVariable", "WhatIf",
                                "Confirm"}

CMDLETS: dict[str, frozenset[str]] = {name: frozenset(parameters.split()) for name, parameters in {
    "Add-Member": "InputObject MemberType Name Value NotePropertyName NotePropertyValue PassThru",
    "Add-Type": "AssemblyName",
    "ConvertFrom-Json": "InputObject AsHashtable",
    "Export-ModuleMember": "Function",
    "ForEach-Object": "Process",
    "Get-ChildItem": "Path Filter",
    "Get-Command": "Name",
    "Get-Module": "Name",
    "Get-Random": "Minimum Maximum",
    "Import-Module": "Name",
    "Join-Path": "Path ChildPath",
    "Split-Path": "Path Parent",
    "Start-Sleep": "Seconds Milliseconds",
    "Where-Object": "FilterScript",
    "Write-Debug": "Message",
    "Write-Verbose": "Message",
    "Write-Warning": "Message",
}.items()}
"""Cmdlet -> those of its parameters that 5.1 knows; AsHashtable is asked for where it is there. Write-Host,
Invoke-Expression and the like do not belong here."""

AUTOMATIC = frozenset({
    "_", "args", "this", "true", "false", "null", "PSCmdlet", "PSBoundParameters", "PSScriptRoot", "PSVersionTable",
    "PID", "input", "Error", "Matches", "Host", "HOME", "MyInvocation", "ExecutionContext", "LASTEXITCODE", "foreach",
    "switch", "Sender", "Event", "EventArgs", "PROFILE", "PWD", "ShellId", "StackTrace", "NestedPromptLevel", "PSItem",
    "PSCulture",
})
SETTABLE = frozenset({"ErrorActionPreference", "ProgressPreference", "VerbosePreference"})
"""Preferences, that a script may set."""
