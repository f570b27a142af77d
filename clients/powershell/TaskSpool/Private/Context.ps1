# What a handler gets beside its data. Made in the handler's own session; what it says goes through a shared table to
# the worker, which sends it.

function Get-HandlerContext {
    <#
    .SYNOPSIS
    The second argument of a handler; its members are told in the help of Start-TaskWorker.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Shared
    )
    $script:Server = $Shared.Server
    $task = $Shared.Task
    $context = [pscustomobject]@{
        TaskId             = $task.task_id
        Type               = $task.type
        Attempt            = $task.attempt
        MaxAttempts        = $task.max_attempts
        Priority           = $task.priority
        PreviousCheckpoint = $task.checkpoint
        PreviousError      = $task.previous_error
        Deadline           = $task.deadline_at
        Shared             = $Shared
    }
    $properties = @{
        IsCancelled = { $null -ne $this.Shared.StopReason }
        StopReason  = { $this.Shared.StopReason }
    }
    foreach ($name in $properties.Keys) {
        Add-Member -InputObject $context -MemberType ScriptProperty -Name $name -Value $properties[$name]
    }
    $methods = Get-ContextMethod
    foreach ($name in $methods.Keys) {
        Add-Member -InputObject $context -MemberType ScriptMethod -Name $name -Value $methods[$name]
    }
    $context
}

function Get-ContextMethod {
    <#
    .SYNOPSIS
    What a handler can say, and how it can end otherwise than by a result.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param()
    @{
        Progress         = {
            param($Percent, $Message)
            $share = [math]::Max(0.0, [math]::Min(100.0, [double]$Percent))
            $this.Shared.Progress = @{ percent = $share; message = Get-Part -Text $Message }
        }
        Log              = {
            param($Text, $Stream = 'log')
            $name = if ($Stream -in 'out', 'err') { $Stream } else { 'log' }
            $this.Shared.Said.Enqueue(@{ Stream = $name; Text = [string]$Text })
        }
        Checkpoint       = {
            param($Value)
            Send-Checkpoint -Shared $this.Shared -Value $Value
        }
        Wait             = {
            param($Seconds)
            Wait-StopReason -Shared $this.Shared -Seconds $Seconds
        }
        Submit           = {
            param($Type, $Data = @{})
            (Submit-Task -Type $Type -Data $Data -ParentId $this.TaskId -Url $this.Shared.Url).task_id
        }
        ThrowIfCancelled = {
            if ($null -ne $this.Shared.StopReason) {
                throw (Get-Ending -Verb 'stopped' -Message 'stopped: its result is not wanted any more')
            }
        }
        Retry            = {
            param($Seconds, $Message)
            throw (Get-Ending -Verb 'retry' -Message $Message -Seconds $Seconds)
        }
        GiveUp           = {
            param($Message)
            throw (Get-Ending -Verb 'give_up' -Message $Message)
        }
        Snooze           = {
            param($Seconds, $Message)
            throw (Get-Ending -Verb 'snooze' -Message $Message -Seconds $Seconds)
        }
    }
}

function Get-Ending {
    <#
    .SYNOPSIS
    The exception by which a handler ends otherwise than by a result; it carries the verb.
    #>
    [CmdletBinding()]
    [OutputType([System.Exception])]
    param(
        [Parameter(Mandatory = $true)]
        [string] $Verb,
        [string] $Message,
        [double] $Seconds
    )
    $ending = [System.InvalidOperationException]::new($Message)
    $ending.Data['verb'] = $Verb
    $ending.Data['seconds'] = $Seconds
    $ending
}

function Add-Failure {
    <#
    .SYNOPSIS
    Notes how a handler ended that did not return: by one of its words, or by an error.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Shared,
        [Parameter(Mandatory = $true)]
        [System.Management.Automation.ErrorRecord] $ErrorRecord
    )
    $Shared.Verb = 'failure'
    $Shared.Message = [string]$ErrorRecord
    for ($exception = $ErrorRecord.Exception; $null -ne $exception; $exception = $exception.InnerException) {
        if ($exception.Data['verb']) {
            $Shared.Verb = $exception.Data['verb']
            $Shared.Seconds = $exception.Data['seconds']
            $Shared.Message = $exception.Message
        }
    }
}

function Send-Checkpoint {
    <#
    .SYNOPSIS
    Stores a checkpoint now, and learns whether the task is still wanted.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Shared,
        [object] $Value
    )
    $task = @{
        TaskId     = $Shared.TaskId
        LeaseToken = $Shared.LeaseToken
        Url        = $Shared.Url
    }
    try {
        $answer = Send-TaskHeartbeat @task -Checkpoint $Value
    } catch {
        if ((Get-ErrorCode -ErrorRecord $_) -in 'LEASE_LOST', 'TASK_CANCELLED') {
            $Shared.StopReason = 'lease_lost'
        }
        throw
    }
    if ($answer.cancel_requested -and $null -eq $Shared.StopReason) {
        $Shared.StopReason = 'cancelled'
    }
}

function Wait-StopReason {
    <#
    .SYNOPSIS
    Waits; ends at once, and is true, when the run is to stop.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [Parameter(Mandatory = $true)]
        [hashtable] $Shared,
        [double] $Seconds
    )
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    while ($null -eq $Shared.StopReason -and $watch.Elapsed.TotalSeconds -lt $Seconds) {
        Start-Sleep -Milliseconds 50
    }
    $null -ne $Shared.StopReason
}
