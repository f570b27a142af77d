function Start-TaskWorker {
    <#
    .SYNOPSIS
    Works on tasks, one at a time, until Ctrl-C: each type of task has a script block.
    .DESCRIPTION
    A handler gets the task's data and a context; what it outputs is the result. Output nothing else: assign it, or send
    it to [void]. A handler runs in a session of its own, like a job: it sees neither the variables nor the functions of
    the script that starts the worker. What it needs comes by -InitializationScript. Any error fails the attempt, also
    one that PowerShell would go on after; in 5.1 that may be what a program writes to stderr. A handler that begins
    with $ErrorActionPreference = 'Continue' goes on as usual.

    The context has TaskId, Type, Attempt, MaxAttempts, Priority, PreviousCheckpoint, PreviousError, Deadline, and
      IsCancelled, StopReason     true, and why (cancelled, lease_lost, timeout, shutdown), when the run is to stop
      ThrowIfCancelled()          ends the handler then
      Wait(seconds)               waits; true at once when the run is to stop
      Progress(percent, message)  for all to see; Write-Progress does the same
      Log(text)                   a line of the task's log; so are Write-Host, Write-Warning and Write-Verbose
      Checkpoint(value)           stored when it returns; the next attempt finds it as PreviousCheckpoint
      Submit(type, data)          a task that is a part of this one; its id
      Retry(seconds, message)     the attempt failed; the next one in so many seconds
      GiveUp(message)             the task failed for good
      Snooze(seconds, message)    not now; costs no attempt

    A handler that goes on after it was told to stop is ended -GraceSeconds later. While the bridge does not answer the
    worker waits, a finished result is kept and sent again. For more tasks at once start more workers.
    .PARAMETER Handler
    A table: type of task = script block.
    .PARAMETER WorkerId
    The name of this worker; otherwise machine and process.
    .PARAMETER InitializationScript
    Runs once in the session of the handlers: modules, functions, variables that they need.
    .PARAMETER WaitSeconds
    How long one look for a task may wait, up to 25.
    .PARAMETER LeaseSeconds
    How long this worker may be silent before its task is given to another; otherwise as the bridge says.
    .PARAMETER GraceSeconds
    How long a handler may go on after it was told to stop.
    .PARAMETER MaxTasks
    End after so many tasks. 0: never.
    .PARAMETER Once
    One look; run what it gave; end. No answer is an error then.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    Start-TaskWorker -Handler @{ greet = { param($data) @{ message = "hello $($data.name)" } } }
    .EXAMPLE
    $copy = {
        param($data, $context)
        for ($row = [int]$context.PreviousCheckpoint; $row -lt $data.rows; $row++) {
            $context.ThrowIfCancelled()
            $context.Progress(100 * $row / $data.rows, "row $row")
            if (-not (Copy-Row -Number $row)) { $context.Retry(5, 'the network is down') }
            $context.Checkpoint($row)
        }
        @{ rows = $data.rows }
    }
    Start-TaskWorker -Handler @{ copy = $copy } -InitializationScript { . 'C:\scripts\Copy-Row.ps1' } -Verbose
    .OUTPUTS
    Nothing. What happens is told by -Verbose, troubles are warnings.
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    [OutputType([void])]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [System.Collections.IDictionary] $Handler,
        [string] $WorkerId = (Get-WorkerName),
        [scriptblock] $InitializationScript,
        [ValidateRange(0, 25)]
        [double] $WaitSeconds = 25,
        [int] $LeaseSeconds,
        [ValidateRange(0, 3600)]
        [double] $GraceSeconds = 5,
        [int] $MaxTasks = 0,
        [switch] $Once,
        [string] $Url
    )
    if (-not $PSCmdlet.ShouldProcess($WorkerId, 'work on tasks')) {
        return
    }
    $worker = @{
        Id             = $WorkerId
        Url            = $Url
        Handler        = $Handler
        Initialization = "$InitializationScript"
        WaitSeconds    = $WaitSeconds
        LeaseSeconds   = $LeaseSeconds
        GraceSeconds   = $GraceSeconds
        MaxTasks       = $MaxTasks
        Once           = [bool]$Once
        StartedAt      = [datetime]::UtcNow
        State          = 'run'
        Done           = 0
        Failed         = 0
        Runspace       = $null
        Run            = $null
        Beat           = [System.Diagnostics.Stopwatch]::StartNew()
    }
    try {
        Invoke-Worker -Worker $worker
    } catch {
        $PSCmdlet.ThrowTerminatingError($_)
    } finally {
        Close-Worker -Worker $worker
    }
}
