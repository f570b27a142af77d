function Get-TaskInfo {
    <#
    .SYNOPSIS
    Everything that is known of a task: where it is, how far it is, what has happened to it.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    (Get-TaskInfo -TaskId $task.task_id).history
    .OUTPUTS
    An object with status, state, progress, checkpoint, options, lease, deadline_at, cancel_requested and history.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            Invoke-TaskSpoolCall -Method 'GET' -Path "/api/tasks/$id" -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
