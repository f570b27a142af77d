# What Start-TaskWorker is made of: asking for tasks, signs of life, the log, handing in.

$script:BeatSeconds = 20.0
$script:LogLineCount = 500
$script:StateWords = @{ run = 'running'; quiet = 'quiet'; terminate = 'stopping'; gone = 'gone' }

function Get-WorkerName {
    <#
    .SYNOPSIS
    Machine and process, e.g. office-4711.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param()
    '{0}-{1}' -f [System.Environment]::MachineName, $PID
}

function Receive-NextTask {
    <#
    .SYNOPSIS
    The next task of a worker; nothing when the bridge had none while it waited.
    .DESCRIPTION
    While no answer comes it asks again, for ever, with the same request_id: a task whose hand-over was lost is handed
    over again. With -Worker.Once the first trouble is an error.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker
    )
    $wait = if ($Worker.Once) { 0 } else { $Worker.WaitSeconds }
    $body = [ordered]@{
        worker_id  = $Worker.Id
        types      = @($Worker.Handler.Keys)
        max        = 1
        wait       = $wait
        request_id = [guid]::NewGuid().ToString()
        started_at = $Worker.StartedAt
    }
    if ($Worker.LeaseSeconds -gt 0) {
        $body['lease'] = $Worker.LeaseSeconds
    }
    $call = @{
        Url         = $Worker.Url
        WaitSeconds = $wait
        RetryCount  = 0
    }
    for ($attempt = 0; $true; $attempt++) {
        try {
            $answer = Invoke-TaskSpoolCall -Method 'POST' -Path '/api/tasks/next' -Body $body @call
            $Worker.State = Get-Order -Answer $answer
            return $answer.task
        } catch {
            if ($Worker.Once -or -not (Test-Outage -ErrorRecord $_)) {
                throw
            }
            if ($attempt -eq 0) {
                Write-Warning -Message "cannot ask for tasks, trying again: $_"
            }
        }
        Start-Sleep -Milliseconds ([int](1000 * (Get-BackoffSecond -Attempt $attempt)))
    }
}

function Get-Order {
    <#
    .SYNOPSIS
    What an answer tells the worker to do: run, quiet or terminate.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory = $true)]
        [object] $Answer
    )
    if ($Answer.state -in 'quiet', 'terminate') {
        return $Answer.state
    }
    'run'
}

function Test-Outage {
    <#
    .SYNOPSIS
    Whether an error may be over in a moment: no answer, or "not now".
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory = $true)]
        [System.Management.Automation.ErrorRecord] $ErrorRecord
    )
    $codes = 'SERVER_UNREACHABLE', 'STORE_UNAVAILABLE', 'TOO_MANY_QUEUES'
    (Get-ErrorCode -ErrorRecord $ErrorRecord) -in $codes
}

function Send-WorkerBeat {
    <#
    .SYNOPSIS
    A worker's sign of life, for the run in hand if there is one. Says to the run when it is to stop, and why.
    .DESCRIPTION
    A beat that gets no answer is not repeated: the next one comes soon.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [hashtable] $Run
    )
    $name = [uri]::EscapeDataString($Worker.Id)
    $body = [ordered]@{
        running     = @()
        types       = @($Worker.Handler.Keys)
        kind        = 'powershell'
        concurrency = 1
        host        = [System.Environment]::MachineName
        pid         = $PID
        version     = 'powershell ' + $PSVersionTable.PSVersion
        state       = $script:StateWords[$Worker.State]
        done        = $Worker.Done
        failed      = $Worker.Failed
        started_at  = $Worker.StartedAt
    }
    if ($null -ne $Run) {
        $entry = [ordered]@{
            task_id     = $Run.TaskId
            lease_token = $Run.LeaseToken
        }
        if ($null -ne $Run.Progress) {
            $entry['progress'] = $Run.Progress
        }
        $body['running'] = @($entry)
        $Run.Progress = $null
        $Run.Beaten = $Run.Watch.Elapsed.TotalSeconds
    }
    $Worker.Beat.Restart()
    try {
        $call = @{ Url = $Worker.Url; RetryCount = 0; TimeoutSeconds = 5 }
        $answer = Invoke-TaskSpoolCall -Method 'POST' -Path "/api/workers/$name/heartbeat" -Body $body @call
    } catch {
        Write-Verbose -Message "heartbeat failed, trying again: $_"
        return
    }
    if ($Worker.State -ne 'gone') {
        $Worker.State = Get-Order -Answer $answer
    }
    if ($null -eq $Run) {
        return
    }
    if (@($answer.lost) -contains $Run.TaskId) {
        Send-StopWish -Run $Run -Reason 'lease_lost'
    } elseif (@($answer.cancel) -contains $Run.TaskId) {
        Send-StopWish -Run $Run -Reason 'cancelled'
    } elseif ($Worker.State -eq 'terminate') {
        Send-StopWish -Run $Run -Reason 'shutdown'
    }
}

function Send-RunLog {
    <#
    .SYNOPSIS
    Sends what a run has written since the last time. Lines that get no answer are sent again the next time.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    Receive-RunLine -Run $Run
    $Run.Logged = $Run.Watch.Elapsed.TotalSeconds
    $id = [uri]::EscapeDataString($Run.TaskId)
    while ($Run.Lines.Count -gt 0) {
        $count = [math]::Min($script:LogLineCount, $Run.Lines.Count)
        $body = [ordered]@{
            lease_token = $Run.LeaseToken
            offset      = $Run.Offset
            lines       = $Run.Lines.GetRange(0, $count)
        }
        try {
            $call = @{ Url = $Worker.Url; RetryCount = 0 }
            $answer = Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/log" -Body $body @call
        } catch {
            if (-not (Test-Outage -ErrorRecord $_)) {
                Write-Verbose -Message "the log of task $($Run.TaskId) was refused: $_"
                $Run.Lines.Clear()
            }
            return
        }
        $Run.Offset = $answer.next_offset
        $Run.Lines.RemoveRange(0, $count)
    }
}

function Send-RunOutcome {
    <#
    .SYNOPSIS
    Hands in how a run ended. Kept, and sent again for as long as the bridge does not answer.
    .DESCRIPTION
    What the bridge refuses fails the task with the reason. What is not this worker's any more is dropped.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run
    )
    Send-RunLog -Worker $Worker -Run $Run
    $outcome = Get-RunOutcome -Run $Run
    if ($null -eq $outcome) {
        Write-Warning -Message "task $($Run.TaskId) is not this worker's any more; its result is dropped"
        return
    }
    $outcome.Body['lease_token'] = $Run.LeaseToken
    try {
        Send-Outcome -Worker $Worker -Run $Run -Outcome $outcome
    } catch {
        $code = Get-ErrorCode -ErrorRecord $_
        if ($code -in 'LEASE_LOST', 'TASK_CANCELLED', 'TASK_NOT_FOUND', 'TASK_FINISHED') {
            Write-Warning -Message "the result of task $($Run.TaskId) is dropped: $_"
            return
        }
        if ($code -notin 'INVALID_REQUEST', 'PAYLOAD_TOO_LARGE') {
            throw
        }
        $refused = Get-Refused -Message "the handler's result was refused: $_"
        $refused.Body['lease_token'] = $Run.LeaseToken
        Send-Outcome -Worker $Worker -Run $Run -Outcome $refused
    }
}

function Send-Outcome {
    <#
    .SYNOPSIS
    Sends one outcome to where it belongs, and counts it.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [hashtable] $Run,
        [Parameter(Mandatory = $true)]
        [hashtable] $Outcome
    )
    $id = [uri]::EscapeDataString($Run.TaskId)
    $call = @{
        Body       = $Outcome.Body
        Url        = $Worker.Url
        RetryCount = [int]::MaxValue
    }
    if ($Outcome.Verb -eq 'release') {
        [void](Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/release" @call)
        return
    }
    $Outcome.Body['worker_id'] = $Worker.Id
    [void](Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/result" @call)
    if ($Outcome.Body['status'] -eq 'success') {
        $Worker.Done++
    } else {
        $Worker.Failed++
    }
}

function Invoke-Worker {
    <#
    .SYNOPSIS
    The loop: ask, run, hand in, until the worker is told to end or has done what it was to do.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker
    )
    Send-WorkerBeat -Worker $Worker
    for ($count = 0; $Worker.State -ne 'terminate'; ) {
        if ($Worker.Beat.Elapsed.TotalSeconds -ge $script:BeatSeconds) {
            Send-WorkerBeat -Worker $Worker
        }
        $task = $null
        if ($Worker.State -eq 'quiet') {
            Start-Sleep -Seconds 1
        } else {
            $task = Receive-NextTask -Worker $Worker
        }
        if ($null -ne $task) {
            Invoke-TaskRun -Worker $Worker -Task $task
            $count++
        }
        if ($Worker.Once -or ($Worker.MaxTasks -gt 0 -and $count -ge $Worker.MaxTasks)) {
            return
        }
    }
}

function Invoke-TaskRun {
    <#
    .SYNOPSIS
    Runs one task to its end. A fault of ours is a warning: the task comes back, the worker lives on.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker,
        [Parameter(Mandatory = $true)]
        [pscustomobject] $Task
    )
    Write-Verbose -Message "task $($Task.task_id) ($($Task.type)) begins, attempt $($Task.attempt)"
    try {
        $Worker.Run = Open-Run -Worker $Worker -Task $Task
        Wait-Run -Worker $Worker -Run $Worker.Run
        Send-RunOutcome -Worker $Worker -Run $Worker.Run
        Close-Run -Worker $Worker -Run $Worker.Run
        Write-Verbose -Message "task $($Task.task_id) has ended"
        $Worker.Run = $null
    } catch {
        Write-Warning -Message "task $($Task.task_id) could not be handled: $_"
        Close-HandlerSession -Worker $Worker
    }
}

function Close-Worker {
    <#
    .SYNOPSIS
    The end of a worker: what still runs is given back, and it says goodbye. Ctrl-C leads here, too.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker
    )
    Close-HandlerSession -Worker $Worker
    $Worker.State = 'gone'
    Send-WorkerBeat -Worker $Worker
}

function Close-HandlerSession {
    <#
    .SYNOPSIS
    Ends a handler that still runs, gives its task back, and lets go of the session.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Worker
    )
    $run = $Worker.Run
    $Worker.Run = $null
    if ($null -ne $run) {
        $run.Shared.StopReason = 'shutdown'
        [void]$run.Shell.BeginStop($null, $null)
        [void]$run.Handle.AsyncWaitHandle.WaitOne(2000)
        $id = [uri]::EscapeDataString($run.TaskId)
        $body = [ordered]@{
            lease_token = $run.LeaseToken
            delay       = 0
            reason      = 'the worker stops'
        }
        try {
            $call = @{ Url = $Worker.Url; RetryCount = 0; TimeoutSeconds = 2 }
            [void](Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/release" -Body $body @call)
        } catch {
            Write-Verbose -Message "task $($run.TaskId) could not be given back, its lease will run out: $_"
        }
        Close-Run -Worker $Worker -Run $run
    }
    if ($null -ne $Worker.Runspace) {
        $Worker.Runspace.CloseAsync()
        $Worker.Runspace = $null
    }
}
