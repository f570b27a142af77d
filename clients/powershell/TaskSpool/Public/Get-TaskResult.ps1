function Get-TaskResult {
    <#
    .SYNOPSIS
    The result of a task; nothing while there is none.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $result = Get-TaskResult -TaskId $task.task_id
    if ($null -eq $result) { 'not yet' } else { $result.data }
    .OUTPUTS
    An object with status (success, error or cancelled), data, error_message, worker and completed_at; or nothing.
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
            Invoke-TaskSpoolCall -Method 'GET' -Path "/api/tasks/$id/result" -Url $Url
        } catch {
            if ((Get-ErrorCode -ErrorRecord $_) -ne 'RESULT_PENDING') {
                $PSCmdlet.ThrowTerminatingError($_)
            }
        }
    }
}
