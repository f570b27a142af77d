function Receive-Task {
    <#
    .SYNOPSIS
    Takes tasks to work on; nothing when there is none.
    .DESCRIPTION
    What was taken must be finished (Complete-Task), given back (Unlock-Task) or, while it lasts, kept alive
    (Send-TaskHeartbeat); otherwise somebody else gets it. Start-TaskWorker does all of that by itself.
    .PARAMETER Type
    Only tasks of these types: ask for what you can do. Left out: any.
    .PARAMETER WorkerId
    The name of this worker; otherwise machine and process.
    .PARAMETER WaitSeconds
    How long to wait for a task when there is none, up to 25.
    .PARAMETER LeaseSeconds
    How long this worker may be silent; otherwise as the bridge says.
    .PARAMETER MaxCount
    How many tasks at most.
    .PARAMETER RequestId
    The same again, by the same worker: the same tasks again. Made by itself, so that a lost answer costs nothing.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $task = Receive-Task -Type 'greet' -WaitSeconds 25
    if ($task) { $task | Complete-Task -Data @{ message = "hello $($task.data.name)" } }
    .OUTPUTS
    An object a task: task_id, type, data, attempt, checkpoint, deadline_at, lease, lease_token.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Position = 0)]
        [string[]] $Type,
        [string] $WorkerId = (Get-WorkerName),
        [ValidateRange(0, 25)]
        [double] $WaitSeconds = 0,
        [int] $LeaseSeconds,
        [ValidateRange(1, 100)]
        [int] $MaxCount = 1,
        [string] $RequestId = [guid]::NewGuid().ToString(),
        [string] $Url
    )
    try {
        $body = [ordered]@{
            worker_id  = $WorkerId
            max        = $MaxCount
            wait       = $WaitSeconds
            request_id = $RequestId
        }
        if ($Type) {
            $body['types'] = $Type
        }
        if ($LeaseSeconds -gt 0) {
            $body['lease'] = $LeaseSeconds
        }
        $call = @{ Url = $Url; WaitSeconds = $WaitSeconds }
        $answer = Invoke-TaskSpoolCall -Method 'POST' -Path '/api/tasks/next' -Body $body @call
        foreach ($task in $answer.tasks) {
            Add-Member -InputObject $task -NotePropertyName 'lease_token' -NotePropertyValue $task.lease.token -PassThru
        }
    } catch {
        $PSCmdlet.ThrowTerminatingError($_)
    }
}
