function Submit-Task {
    <#
    .SYNOPSIS
    Hands a task over, and says its id.
    .DESCRIPTION
    When it returns, the task is stored. Every call has an idempotency key: repeated because an answer was lost, it
    still makes one task.
    .PARAMETER Type
    What kind of work.
    .PARAMETER Data
    What the worker gets: a table or an object.
    .PARAMETER Requester
    Who asks.
    .PARAMETER Priority
    Higher goes first.
    .PARAMETER MaxRetries
    Tries after the first.
    .PARAMETER DelaySeconds
    Not before so many seconds from now.
    .PARAMETER RunAt
    Not before this time.
    .PARAMETER StartBefore
    Given up when nobody began it by then.
    .PARAMETER TimeoutSeconds
    How long one attempt may take.
    .PARAMETER TotalTimeoutSeconds
    How long all of it may take, tries and waits included.
    .PARAMETER LeaseSeconds
    How long its worker may be silent.
    .PARAMETER Backoff
    The wait before a retry: @{ kind = 'exponential'; base = 1; cap = 300; jitter = 0.1 }.
    .PARAMETER UniqueKey
    Only one unfinished task may have it.
    .PARAMETER OnConflict
    When another has the unique key: take that one, refuse, or take its place.
    .PARAMETER Group
    What it belongs to.
    .PARAMETER Tag
    Names to find it by.
    .PARAMETER ParentId
    The task that this one is a part of.
    .PARAMETER IdempotencyKey
    A key of your own, when the script itself may be started again: the same key and the same task, once.
    .PARAMETER Url
    The bridge; otherwise the one of Connect-TaskServer, or http://127.0.0.1:8091.
    .EXAMPLE
    $task = Submit-Task -Type 'calculation' -Data @{ operation = 'average'; numbers = @(1, 2, 3) }
    $task.task_id
    .EXAMPLE
    Submit-Task -Type 'ping' | Wait-TaskResult -TimeoutSec 10
    .OUTPUTS
    An object with task_id, status, state and created (false: the key had come before).
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [string] $Type,
        [Parameter(Position = 1)]
        [object] $Data = @{},
        [string] $Requester = 'powershell',
        [ValidateSet('low', 'normal', 'high', 'critical')]
        [string] $Priority,
        [int] $MaxRetries,
        [double] $DelaySeconds,
        [datetime] $RunAt,
        [datetime] $StartBefore,
        [double] $TimeoutSeconds,
        [double] $TotalTimeoutSeconds,
        [int] $LeaseSeconds,
        [System.Collections.IDictionary] $Backoff,
        [string] $UniqueKey,
        [ValidateSet('existing', 'reject', 'replace')]
        [string] $OnConflict,
        [string] $Group,
        [string[]] $Tag,
        [string] $ParentId,
        [string] $IdempotencyKey = [guid]::NewGuid().ToString(),
        [string] $Url
    )
    try {
        $body = [ordered]@{
            task_type = $Type
            data      = $Data
            requester = $Requester
        }
        $fields = [ordered]@{
            Priority            = 'priority'
            MaxRetries          = 'max_retries'
            DelaySeconds        = 'delay'
            RunAt               = 'run_at'
            StartBefore         = 'start_before'
            TimeoutSeconds      = 'timeout'
            TotalTimeoutSeconds = 'total_timeout'
            LeaseSeconds        = 'lease'
            Backoff             = 'backoff'
            UniqueKey           = 'unique_key'
            OnConflict          = 'on_conflict'
            Group               = 'group'
            Tag                 = 'tags'
            ParentId            = 'parent_id'
        }
        foreach ($field in $fields.GetEnumerator()) {
            if ($PSBoundParameters.ContainsKey($field.Key)) {
                $body[$field.Value] = $PSBoundParameters[$field.Key]
            }
        }
        $header = @{ 'Idempotency-Key' = $IdempotencyKey }
        Invoke-TaskSpoolCall -Method 'POST' -Path '/api/tasks' -Body $body -Header $header -Url $Url
    } catch {
        $PSCmdlet.ThrowTerminatingError($_)
    }
}
