function Unlock-Task {
    <#
    .SYNOPSIS
    Gives a task back undone. It costs no attempt.
    .PARAMETER TaskId
    The id of the task; comes from Receive-Task through the pipeline.
    .PARAMETER LeaseToken
    Its lease_token; comes from Receive-Task through the pipeline.
    .PARAMETER DelaySeconds
    It may be taken again in so many seconds.
    .PARAMETER Reason
    Why; stands in its history.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $task | Unlock-Task -DelaySeconds 30 -Reason 'the table is locked'
    .OUTPUTS
    An object with task_id, status and message.
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
        [ValidateRange(0, 31536000)]
        [double] $DelaySeconds = 0,
        [string] $Reason,
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{
                lease_token = $LeaseToken
                delay       = $DelaySeconds
                reason      = $Reason
            }
            Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/release" -Body $body -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
