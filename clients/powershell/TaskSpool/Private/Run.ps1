# One run of a handler. It runs in a session (runspace) of its own, so that beside it the worker can send signs of life
# and end it: a cancel, a lost lease, a timeout reach a handler that does not listen, too.

$script:StepMilliseconds = 100
$script:TellSeconds = 1.0
$script:AbandonSeconds = 5.0
$script:ModuleFile = Join-Path -Path (Split-Path -Path $PSScriptRoot -Parent) -ChildPath 'TaskSpool.psd1'

# Runs in the handler's own session, as text: it sees nothing of this module but what is loaded there.
$script:RunScript = {
    param($Shared)
    $ErrorActionPreference = 'Stop'
    try {
        if (-not (Get-Module -Name 'TaskSpool')) {
            . ([scriptblock]::Create($Shared.Initialization))
            Import-Module -Name $Shared.ModuleFile
        }
        $context = & (Get-Module -Name 'TaskSpool') { param($Shared) Get-HandlerContext -Shared $Shared } $Shared
        $handler = [scriptblock]::Create($Shared.Handler)
        $found = @(& $handler $Shared.Data $context | Where-Object -FilterScript { $null -ne $_ })
        if ($found.Count -eq 1) {
            $Shared.Result = $found[0]
        } elseif ($found.Count -gt 1) {
            $Shared.Result = $found
        }
        $Shared.Verb = 'success'
    } catch {
        $Shared.Message = [string]$_
        $module = Get-Module -Name 'TaskSpool'
        if ($module) {
            & $module { param($Shared, $Record) Add-Failure -Shared $Shared -ErrorRecord $Record } $Shared $_
        }
    }
}

function Open-Run {
    <#
    .SYNOPSIS
    Begins a task's run: its handler runs from here on.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [pscustomobject] $Task
    )
    if ($null -eq $Worker.Runspace) {
        $Worker.Runspace = [System.Management.Automation.Runspaces.RunspaceFactory]::CreateRunspace()
        $Worker.Runspace.Open()
    }
    $shared = [hashtable]::Synchronized(@{
        ModuleFile     = $script:ModuleFile
        Initialization = $Worker.Initialization
        Handler        = $Worker.Handler[$Task.type].ToString()
        Server         = $script:Server
        Url            = $Worker.Url
        Task           = $Task
        TaskId         = $Task.task_id
        LeaseToken     = $Task.lease.token
        Data           = $Task.data
        Said           = [System.Collections.Queue]::Synchronized([System.Collections.Queue]::new())
        Progress       = $null
        StopReason     = $null
        Verb           = $null
        Result         = $null
        Message        = $null
        Seconds        = $null
    })
    $shell = [powershell]::Create()
    $shell.Runspace = $Worker.Runspace
    [void]$shell.AddScript($script:RunScript.ToString()).AddArgument($shared)
    @{
        TaskId     = $Task.task_id
        LeaseToken = $Task.lease.token
        Shared     = $shared
        Shell      = $shell
        Watch      = [System.Diagnostics.Stopwatch]::StartNew()
        Limit      = Get-AttemptSecond -Task $Task
        BeatEvery  = Get-BeatSecond -Task $Task
        Lines      = [System.Collections.Generic.List[object]]::new()
        Offset     = 0
        Progress   = $null
        Beaten     = 0.0
        Logged     = 0.0
        StoppedAt  = $null
        IsEnding   = $false
        Handle     = $shell.BeginInvoke()
    }
}

function Get-AttemptSecond {
    <#
    .SYNOPSIS
    How long this attempt may take: from claim to deadline by the bridge's clock, which need not be ours; 0: no limit.
    #>
    [CmdletBinding()]
    [OutputType([double])]
    param(
        [Parameter(Mandatory = $true)]
        [pscustomobject] $Task
    )
    if (-not $Task.deadline_at) {
        return 0.0
    }
    $end = ConvertTo-Instant -Value $Task.deadline_at
    [math]::Max(0.001, ($end - (ConvertTo-Instant -Value $Task.claimed_at)).TotalSeconds)
}

function Get-BeatSecond {
    <#
    .SYNOPSIS
    How often a task wants a sign of life, at most every 20 s.
    #>
    [CmdletBinding()]
    [OutputType([double])]
    param(
        [Parameter(Mandatory = $true)]
        [pscustomobject] $Task
    )
    $every = [double]$Task.lease.heartbeat_every
    if ($every -gt 0) { [math]::Min($every, $script:BeatSeconds) } else { $script:BeatSeconds }
}

function Send-StopWish {
    <#
    .SYNOPSIS
    Tells a run to stop: cancelled, lease_lost, timeout or shutdown. The first reason stands.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Run,
        [Parameter(Mandatory = $true)]
        [string] $Reason
    )
    if ($null -eq $Run.Shared.StopReason) {
        $Run.Shared.StopReason = $Reason
        Write-Verbose -Message "task $($Run.TaskId) is to stop: $Reason"
    }
}

function Wait-Run {
    <#
    .SYNOPSIS
    Stays with a run until its handler has ended, or was ended; sends signs of life and the log meanwhile.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    while (-not $Run.Handle.AsyncWaitHandle.WaitOne($script:StepMilliseconds)) {
        Receive-RunLine -Run $Run
        $now = $Run.Watch.Elapsed.TotalSeconds
        if ($Run.Limit -gt 0 -and $now -gt $Run.Limit) {
            Send-StopWish -Run $Run -Reason 'timeout'
        }
        $isTold = $null -ne $Run.Progress -and $now - $Run.Beaten -ge $script:TellSeconds
        if ($isTold -or $now - $Run.Beaten -ge $Run.BeatEvery) {
            Send-WorkerBeat -Worker $Worker -Run $Run
        }
        if ($Run.Lines.Count -gt 0 -and $now - $Run.Logged -ge $script:TellSeconds) {
            Send-RunLog -Worker $Worker -Run $Run
        }
        if ($null -ne $Run.Shared.StopReason -and (Test-Abandoned -Worker $Worker -Run $Run)) {
            Write-Warning -Message "the handler of task $($Run.TaskId) does not stop; it is left behind"
            return
        }
    }
    Receive-RunLine -Run $Run
}

function Test-Abandoned {
    <#
    .SYNOPSIS
    Ends a handler that goes on after the grace; true when even that did not help.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    $now = $Run.Watch.Elapsed.TotalSeconds
    if ($null -eq $Run.StoppedAt) {
        $Run.StoppedAt = $now
    }
    if (-not $Run.IsEnding -and $now - $Run.StoppedAt -ge $Worker.GraceSeconds) {
        $Run.IsEnding = $true
        [void]$Run.Shell.BeginStop($null, $null)
    }
    $Run.IsEnding -and $now - $Run.StoppedAt -ge $Worker.GraceSeconds + $script:AbandonSeconds
}

function Receive-RunLine {
    <#
    .SYNOPSIS
    Gathers what a handler has written: context.Log, and its streams. Write-Progress is its progress.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    while ($Run.Shared.Said.Count -gt 0) {
        $said = $Run.Shared.Said.Dequeue()
        Add-RunLine -Run $Run -Stream $said.Stream -Text $said.Text
    }
    $streams = $Run.Shell.Streams
    foreach ($record in $streams.Information.ReadAll()) {
        Add-RunLine -Run $Run -Stream 'out' -Text ([string]$record.MessageData)
    }
    foreach ($record in $streams.Verbose.ReadAll()) {
        Add-RunLine -Run $Run -Stream 'log' -Text $record.Message
    }
    foreach ($record in $streams.Warning.ReadAll()) {
        Add-RunLine -Run $Run -Stream 'err' -Text ('WARNING: ' + $record.Message)
    }
    foreach ($record in $streams.Error.ReadAll()) {
        Add-RunLine -Run $Run -Stream 'err' -Text ('ERROR: ' + $record)
    }
    foreach ($record in $streams.Progress.ReadAll()) {
        if ($record.PercentComplete -ge 0 -and $record.PercentComplete -le 100) {
            $Run.Progress = @{ percent = $record.PercentComplete; message = $record.StatusDescription }
        }
    }
    if ($null -ne $Run.Shared.Progress) {
        $Run.Progress = $Run.Shared.Progress
        $Run.Shared.Progress = $null
    }
}

function Add-RunLine {
    <#
    .SYNOPSIS
    Adds a text to what is to be logged, a line of it at a time.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Run,
        [string] $Stream,
        [string] $Text
    )
    foreach ($line in $Text -split '\r\n|\n|\r') {
        $Run.Lines.Add(@{ stream = $Stream; text = $line })
    }
}

function Close-Run {
    <#
    .SYNOPSIS
    Lets go of a run's session: for the next run, or for good when its handler still goes on.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    if ($Run.Handle.AsyncWaitHandle.WaitOne(0)) {
        $Run.Shell.Dispose()
    } else {
        [void]$Run.Shell.BeginStop($null, $null)
        $Worker.Runspace = $null
    }
}

function Get-RunOutcome {
    <#
    .SYNOPSIS
    How a run ended, as a call: Verb (result or release) and Body; nothing when the task is not ours any more.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    $shared = $Run.Shared
    $reason = $shared.StopReason
    if ($reason -eq 'lease_lost') {
        return
    }
    if ($reason -eq 'cancelled') {
        return @{ Verb = 'release'; Body = @{ delay = 0; reason = 'cancelled' } }
    }
    if ($reason -eq 'timeout') {
        $message = "timed out after $([math]::Round($Run.Limit, 3)) s"
        return @{ Verb = 'result'; Body = @{ status = 'error'; error_message = $message } }
    }
    switch ($shared.Verb) {
        'success' { return @{ Verb = 'result'; Body = @{ status = 'success'; data = $shared.Result } } }
        'snooze' {
            $reason = Get-Part -Text $shared.Message
            return @{ Verb = 'release'; Body = @{ delay = $shared.Seconds; reason = $reason } }
        }
        'give_up' { return Get-Refused -Message $shared.Message }
    }
    if ($reason -eq 'shutdown') {
        return @{ Verb = 'release'; Body = @{ delay = 0; reason = 'the worker stops' } }
    }
    $body = @{ status = 'error'; error_message = $shared.Message }
    if ($shared.Verb -eq 'retry') {
        $body['retry_after'] = $shared.Seconds
    } elseif (-not $shared.Message) {
        $body['error_message'] = 'the handler ended without a word'
    }
    @{ Verb = 'result'; Body = $body }
}

function Get-Refused {
    <#
    .SYNOPSIS
    The outcome of a task that is not to be tried again.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param(
        [string] $Message
    )
    @{ Verb = 'result'; Body = @{ status = 'error'; error_message = $Message; retryable = $false } }
}

function Get-Part {
    <#
    .SYNOPSIS
    The beginning of a text, as much of it as the bridge takes for a message.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [string] $Text
    )
    $Text.Substring(0, [math]::Min(1000, $Text.Length))
}
