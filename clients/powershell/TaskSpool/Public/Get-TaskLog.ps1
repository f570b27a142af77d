function Get-TaskLog {
    <#
    .SYNOPSIS
    What a task has written, line by line.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER After
    Only lines behind the one with this number. They are numbered from 0.
    .PARAMETER Follow
    Go on with what is written, until the task is finished.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    Get-TaskLog -TaskId $task.task_id -Follow | ForEach-Object -Process { $_.text }
    .OUTPUTS
    An object a line: number, at, attempt, stream, text.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [int64] $After = -1,
        [switch] $Follow,
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $last = $After
            do {
                $page = Invoke-TaskSpoolCall -Method 'GET' -Path "/api/tasks/$id/log?after=$last&limit=1000" -Url $Url
                foreach ($line in $page.lines) {
                    $last = $line.number
                    $line
                }
                $isOver = @($page.lines).Count -eq 0 -and ($page.is_finished -or -not $Follow)
                if (@($page.lines).Count -eq 0 -and -not $isOver) {
                    Start-Sleep -Milliseconds 500
                }
            } while (-not $isOver)
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
