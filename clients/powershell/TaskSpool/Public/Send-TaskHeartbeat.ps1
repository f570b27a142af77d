function Send-TaskHeartbeat {
    <#
    .SYNOPSIS
    Says that the task is still worked on, and how far it is.
    .DESCRIPTION
    At least every lease.heartbeat_every seconds. Look at the answer: when cancel_requested is true, stop and give the
    task back with Unlock-Task. The error LEASE_LOST means that somebody else has it by now.
    .PARAMETER TaskId
    The id of the task; comes from Receive-Task through the pipeline.
    .PARAMETER LeaseToken
    Its lease_token; comes from Receive-Task through the pipeline.
    .PARAMETER Progress
    How far it is, in percent.
    .PARAMETER Message
    What is being done, for people.
    .PARAMETER Checkpoint
    Kept for this attempt and the next ones, which find it in the task.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $beat = $task | Send-TaskHeartbeat -Progress 40 -Message 'page 4 of 10'
    if ($beat.cancel_requested) { $task | Unlock-Task -Reason 'cancelled' }
    .OUTPUTS
    An object with lease_expires_at, cancel_requested, reason and next_beat.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [Parameter(Mandatory = $true, ValueFromPipelineByPropertyName = $true)]
        [Alias('lease_token')]
        [string] $LeaseToken,
        [ValidateRange(0, 100)]
        [double] $Progress,
        [string] $Message,
        [object] $Checkpoint,
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{ lease_token = $LeaseToken }
            if ($PSBoundParameters.ContainsKey('Progress')) {
                $body['progress'] = $Progress
            }
            if ($Message) {
                $body['message'] = $Message
            }
            if ($PSBoundParameters.ContainsKey('Checkpoint')) {
                $body['checkpoint'] = $Checkpoint
            }
            Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/heartbeat" -Body $body -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
