function Complete-Task {
    <#
    .SYNOPSIS
    Hands in how a task ended: its result, or with -ErrorMessage that the attempt failed.
    .DESCRIPTION
    A failed task is tried again while it has retries left. The error LEASE_LOST means that somebody else has it by now,
    TASK_CANCELLED that nobody wants it any more: throw the work away, go on with the next.
    .PARAMETER TaskId
    The id of the task; comes from Receive-Task through the pipeline.
    .PARAMETER LeaseToken
    Its lease_token; comes from Receive-Task through the pipeline.
    .PARAMETER Data
    The result; what was found out so far, when the attempt failed.
    .PARAMETER ErrorMessage
    The attempt failed, and this is why.
    .PARAMETER NoRetry
    Do not try again, whatever retries are left.
    .PARAMETER RetryAfterSeconds
    Try again in so many seconds, instead of after the task's backoff.
    .PARAMETER WorkerId
    The name of this worker; otherwise machine and process.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    Receive-Task -Type 'greet' | Complete-Task -Data @{ message = 'hello' }
    .EXAMPLE
    $task | Complete-Task -ErrorMessage 'there is no such file' -NoRetry
    .OUTPUTS
    An object with task_id, status and message.
    #>
    [CmdletBinding(DefaultParameterSetName = 'Success')]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0, ValueFromPipelineByPropertyName = $true)]
        [Alias('task_id')]
        [string] $TaskId,
        [Parameter(Mandatory = $true, ValueFromPipelineByPropertyName = $true)]
        [Alias('lease_token')]
        [string] $LeaseToken,
        [object] $Data,
        [Parameter(Mandatory = $true, ParameterSetName = 'Failure')]
        [string] $ErrorMessage,
        [Parameter(ParameterSetName = 'Failure')]
        [switch] $NoRetry,
        [Parameter(ParameterSetName = 'Failure')]
        [ValidateRange(0, 31536000)]
        [double] $RetryAfterSeconds,
        [string] $WorkerId = (Get-WorkerName),
        [string] $Url
    )
    process {
        try {
            $id = [uri]::EscapeDataString($TaskId)
            $body = [ordered]@{
                worker_id   = $WorkerId
                lease_token = $LeaseToken
                status      = 'success'
                data        = $Data
            }
            if ($PSCmdlet.ParameterSetName -eq 'Failure') {
                $body['status'] = 'error'
                $body['error_message'] = $ErrorMessage
                $body['retryable'] = -not $NoRetry
            }
            if ($PSBoundParameters.ContainsKey('RetryAfterSeconds')) {
                $body['retry_after'] = $RetryAfterSeconds
            }
            Invoke-TaskSpoolCall -Method 'POST' -Path "/api/tasks/$id/result" -Body $body -Url $Url
        } catch {
            $PSCmdlet.ThrowTerminatingError($_)
        }
    }
}
