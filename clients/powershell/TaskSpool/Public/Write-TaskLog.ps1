function Write-TaskLog {
    <#
    .SYNOPSIS
    Adds lines to the log of a task that is being worked on, for all to see.
    .PARAMETER TaskId
    The id of the task; comes from Receive-Task through the pipeline.
    .PARAMETER LeaseToken
    Its lease_token; comes from Receive-Task through the pipeline.
    .PARAMETER Line
    The lines: texts, or objects with stream and text.
    .PARAMETER Offset
    How many lines this attempt has written before: 0 at first, then what the call before gave back. So a call may be
    repeated without writing anything twice.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $offset = $task | Write-TaskLog -Line 'begin', 'still going' -Offset 0
    $offset = $task | Write-TaskLog -Line 'done' -Offset $offset
    .OUTPUTS
    The next offset.
    #>
    [CmdletBinding()]
    [OutputType([int64])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [Parameter(Mandatory = $true, ValueFromPipelineByPropertyName = $true)]
        [Alias('lease_token')]
        [string] $LeaseToken,
        [Parameter(Mandatory = $true)]
        [AllowEmptyString()]
        [object[]] $Line,
        [int64] $Offset = 0,
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{
                lease_token = $LeaseToken
                offset      = $Offset
                lines       = $Line
            }
            $answer = Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/log" -Body $body -Url $Url
            [int64]$answer.next_offset
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
