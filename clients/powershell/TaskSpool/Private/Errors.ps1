# Errors carry what the bridge says of them: the code is the error's id, so that a script can tell them apart.

$script:Categories = @{
    INVALID_REQUEST       = 'InvalidArgument'
    TASK_NOT_FOUND        = 'ObjectNotFound'
    RESULT_PENDING        = 'ObjectNotFound'
    LEASE_LOST            = 'ResourceUnavailable'
    TASK_CANCELLED        = 'OperationStopped'
    SERVER_UNREACHABLE    = 'ConnectionError'
    STORE_UNAVAILABLE     = 'ResourceBusy'
    NOT_FINISHED          = 'OperationTimeout'
}

function ConvertTo-TaskSpoolError {
    <#
    .SYNOPSIS
    An error record: -Code is its id and stands in Exception.Data['code'], the details are its target.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory = $true)]
        [string] $Code,
        [string] $Message,
        [string] $Hint,
        [int] $Status,
        [object] $Details
    )
    $text = if ($Hint) { "$Message ($Code). $Hint" } else { "$Message ($Code)" }
    $exception = [System.InvalidOperationException]::new($text)
    $exception.Data['code'] = $Code
    $exception.Data['status'] = $Status
    $category = [System.Management.Automation.ErrorCategory]::InvalidOperation
    if ($script:Categories.ContainsKey($Code)) {
        $category = [System.Management.Automation.ErrorCategory]$script:Categories[$Code]
    }
    [System.Management.Automation.ErrorRecord]::new($exception, $Code, $category, $Details)
}

function ConvertFrom-Refusal {
    <#
    .SYNOPSIS
    The error that an answer tells: its code, message, hint and details, or what there is instead.
    #>
    [CmdletBinding()]
    [OutputType([System.Management.Automation.ErrorRecord])]
    param(
        [Parameter(Mandatory = $true)]
        [object] $Answer,
        [Parameter(Mandatory = $true)]
        [uri] $Uri
    )
    $place = $Uri.GetLeftPart([System.UriPartial]::Authority)
    if ($Answer.Status -eq 0) {
        $message = "no answer from ${place}: $($Answer.Reason)"
        $hint = 'Start it: taskspool serve bridge'
        return ConvertTo-TaskSpoolError -Code 'SERVER_UNREACHABLE' -Message $message -Hint $hint
    }
    if ($null -eq $Answer.Body -or -not $Answer.Body.code) {
        $message = "$place answered HTTP $($Answer.Status), and not as a bridge does; another program may listen there"
        return ConvertTo-TaskSpoolError -Code 'SERVER_UNREACHABLE' -Message $message -Status $Answer.Status
    }
    $told = @{
        Code    = $Answer.Body.code
        Message = $Answer.Body.message
        Hint    = $Answer.Body.hint
        Status  = $Answer.Status
        Details = $Answer.Body.details
    }
    ConvertTo-TaskSpoolError @told
}

function Get-ErrorCode {
    <#
    .SYNOPSIS
    The bridge's code in an error record; empty for any other error.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [Parameter(Mandatory = $true)]
        [System.Management.Automation.ErrorRecord] $ErrorRecord
    )
    for ($exception = $ErrorRecord.Exception; $null -ne $exception; $exception = $exception.InnerException) {
        if ($exception.Data['code']) {
            return [string]$exception.Data['code']
        }
    }
    ''
}
