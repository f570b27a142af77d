function Stop-Task {
    <#
    .SYNOPSIS
    Cancels a task: one that waits at once, one that runs as soon as its worker has let go.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER By
    Who wants it; stands in its history.
    .PARAMETER Reason
    Why; stands in its history.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    Stop-Task -TaskId $task.task_id -Reason 'not needed any more'
    .OUTPUTS
    An object with state and cancel_requested (true: its worker has to let go first).
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [string] $By = 'powershell',
        [string] $Reason,
        [string] $Url
    )
    process {
        if (-not $PSCmdlet.ShouldProcess($TaskId, 'cancel')) {
            return
        }
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{ by = $By }
            if ($Reason) {
                $body['reason'] = $Reason
            }
            Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/cancel" -Body $body -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
