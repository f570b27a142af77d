function Restart-Task {
    <#
    .SYNOPSIS
    Lets a dead or cancelled task wait again, with all its attempts before it.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER By
    Who wants it; stands in its history.
    .PARAMETER Reason
    Why; stands in its history.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    Restart-Task -TaskId $task.task_id -Reason 'the disk has room again'
    .OUTPUTS
    An object with task_id, status and message.
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
        if (-not $PSCmdlet.ShouldProcess($TaskId, 'try anew')) {
            return
        }
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{ by = $By }
            if ($Reason) {
                $body['reason'] = $Reason
            }
            Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/retry" -Body $body -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
