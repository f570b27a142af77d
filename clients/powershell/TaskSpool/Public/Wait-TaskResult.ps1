function Wait-TaskResult {
    <#
    .SYNOPSIS
    Waits until a task is finished, and gives its result.
    .DESCRIPTION
    The bridge holds each question back for up to 25 seconds, so the answer comes when the task ends. A bridge that
    starts anew is waited for. A task that failed is an answer too: look at status.
    .PARAMETER TaskId
    The id that Submit-Task said.
    .PARAMETER TimeoutSec
    How many seconds to wait at most; then the error NOT_FINISHED. Left out or 0: as long as it takes.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $result = Wait-TaskResult -TaskId $task.task_id -TimeoutSec 60
    if ($result.status -eq 'success') { $result.data } else { $result.error_message }
    .OUTPUTS
    An object with status (success, error or cancelled), data, error_message, worker and completed_at.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [ValidateRange(0, 31536000)]
        [double] $TimeoutSec = 0,
        [string] $Url
    )
    process {
        $id = [uri]::EscapeDataString($TaskId)
        $watch = [System.Diagnostics.Stopwatch]::StartNew()
        do {
            $wait = 25
            if ($TimeoutSec -gt 0) {
                $left = $TimeoutSec - $watch.Elapsed.TotalSeconds
                $wait = [int][math]::Max(0, [math]::Min(25, [math]::Ceiling($left)))
            }
            try {
                $call = @{ Url = $Url; WaitSeconds = $wait }
                return Invoke-TaskSpoolCall -Method 'GET' -Path "/api/tasks/$id/result?wait=$wait" @call
            } catch {
                if ((Get-ErrorCode -ErrorRecord $_) -ne 'RESULT_PENDING') {
                    $PSCmdlet.ThrowTerminatingError($_)
                }
            }
        } while ($TimeoutSec -eq 0 -or $watch.Elapsed.TotalSeconds -lt $TimeoutSec)
        $message = "task $TaskId is not finished after $TimeoutSec s"
        $PSCmdlet.ThrowTerminatingError((ConvertTo-TaskSpoolError -Code 'NOT_FINISHED' -Message $message))
    }
}
