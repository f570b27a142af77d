# Tries the module against a bridge, in whatever PowerShell runs this: 5.1 or 7. Needs nothing but the module.
# Says a line for each check that holds; the first one that does not is an error.
param(
    [Parameter(Mandatory = $true)]
    [string] $Url
)
$ErrorActionPreference = 'Stop'
$client = Join-Path -Path (Split-Path -Path (Split-Path -Path $PSScriptRoot)) -ChildPath 'clients'
Import-Module -Name (Join-Path -Path $client -ChildPath 'powershell/TaskSpool/TaskSpool.psd1') -Force
[void](Connect-TaskServer -Url $Url)

function Assert-Same {
    param($What, $Expected, $Actual)
    $wanted = ConvertTo-Json -InputObject $Expected -Depth 20 -Compress
    $found = ConvertTo-Json -InputObject $Actual -Depth 20 -Compress
    if ($wanted -cne $found) {
        throw "${What}: wanted $wanted, found $found"
    }
    "holds: $What"
}

function Assert-Refused {
    param($What, $Code, [scriptblock] $Script)
    try {
        [void](& $Script)
    } catch {
        Assert-Same -What $What -Expected $Code -Actual ($_.FullyQualifiedErrorId -split ',')[0]
        return
    }
    throw "${What}: nothing was refused"
}

function Get-Deep {
    param($Depth)
    $value = @{}
    for ($level = 1; $level -lt $Depth; $level++) {
        $value = @{ a = $value }
    }
    $value
}

# -- values on their way -----------------------------------------------------------------------------------------------
$letters = 'Zo' + [char]0xEB + ' ' + [char]0xD55C + [char]0xAE00 + " `"it's`" <a> & \ `r`n`t" + [char]1
$data = [ordered]@{
    text  = $letters
    one   = @(1)
    none  = @()
    empty = $null
    yes   = $true
    half  = 1.5
    big   = 12345678901
    deep  = [pscustomobject]@{ list = @(@(1, 2), @()) }
}
$task = Submit-Task -Type 'kept' -Data $data
Assert-Same 'values come back as they went' $data (Get-TaskInfo -TaskId $task.task_id).data
$instant = [datetime]::new(2026, 1, 31, 12, 0, 0, [System.DateTimeKind]::Utc)
$timed = Submit-Task -Type 'kept' -Data @{ at = $instant } -RunAt $instant.AddYears(60) -Tag 'one'
Assert-Same 'times are RFC 3339' 'scheduled' (Get-TaskInfo -TaskId $timed.task_id).state
[void](Submit-Task -Type 'kept' -Data (Get-Deep -Depth 59))
Assert-Refused 'what nests too deep is refused, not cut' 'INVALID_REQUEST' { Submit-Task -Type 'kept' -Data (Get-Deep -Depth 70) }
Assert-Refused 'what is no JSON is refused' 'INVALID_REQUEST' { Submit-Task -Type 'kept' -Data @{ a = [double]::NaN } }
$first = Submit-Task -Type 'kept' -IdempotencyKey 'once'
Assert-Same 'a key makes one task' $first.task_id (Submit-Task -Type 'kept' -IdempotencyKey 'once').task_id

# -- a client ----------------------------------------------------------------------------------------------------------
Assert-Same 'no result yet is nothing' $true ($null -eq (Get-TaskResult -TaskId $task.task_id))
Assert-Refused 'a wait has an end' 'NOT_FINISHED' { Wait-TaskResult -TaskId $task.task_id -TimeoutSec 0.5 }
Assert-Refused 'an unknown task is an error' 'TASK_NOT_FOUND' { Get-TaskResult -TaskId ([guid]::NewGuid().ToString()) }
Assert-Same 'cancelled at once' 'cancelled' (Stop-Task -TaskId $task.task_id -Reason 'enough').state
Assert-Same 'its result says so' 'cancelled' (Wait-TaskResult -TaskId $task.task_id).status
[void](Restart-Task -TaskId $task.task_id)
Assert-Same 'it waits again' 'ready' (Get-TaskInfo -TaskId $task.task_id).state
Assert-Refused 'nobody there' 'SERVER_UNREACHABLE' { Start-TaskWorker -Handler @{ a = { 'b' } } -Once -Url 'http://127.0.0.1:9' }

# -- a worker by hand --------------------------------------------------------------------------------------------------
$id = (Submit-Task -Type 'hand').task_id
$held = Receive-Task -Type 'hand'
Assert-Same 'it is held' $id $held.task_id
$beat = $held | Send-TaskHeartbeat -Progress 40 -Message 'half' -Checkpoint @{ row = 4 }
Assert-Same 'no cancel' $false $beat.cancel_requested
Assert-Same 'the log is written once' 2 ($held | Write-TaskLog -Line 'one', 'two' -Offset 0)
[void]($held | Unlock-Task -Reason 'not now')
$before = $held
$held = Receive-Task -Type 'hand' -WaitSeconds 5
Assert-Same 'the checkpoint was kept' 4 $held.checkpoint.row
Assert-Refused 'who gave it back has it no more' 'LEASE_LOST' { $before | Complete-Task -ErrorMessage 'late' }
[void]($held | Complete-Task -Data @{ text = $letters })
Assert-Same 'the result' $letters (Wait-TaskResult -TaskId $id).data.text
Assert-Same 'the log is there' @('one', 'two') @(Get-TaskLog -TaskId $id | ForEach-Object -Process { $_.text })

# -- the worker --------------------------------------------------------------------------------------------------------
$handlers = @{
    greet  = {
        param($data, $context)
        $context.Log('greeting')
        Write-Host 'hi'
        @{ message = Get-Greeting -Name $data.name }
    }
    list   = { , @(1) }
    fail   = { Get-Item -Path 'no such file anywhere' }
    give   = {
        param($data, $context)
        $context.GiveUp('there is nothing to do')
    }
    retry  = {
        param($data, $context)
        if ($context.Attempt -eq 1) {
            $context.Retry(0, 'again')
        }
        $context.Attempt
    }
    snooze = {
        param($data, $context)
        if (-not (Test-Path -Path $data.file)) {
            [System.IO.File]::WriteAllText($data.file, 'was here')
            $context.Snooze(0, 'not now')
        }
        'now'
    }
    keep   = {
        param($data, $context)
        $context.Checkpoint(@{ row = 3 })
        if (-not $context.PreviousCheckpoint) {
            throw 'gone'
        }
        $context.PreviousCheckpoint.row
    }
    parent = {
        param($data, $context)
        $context.Submit('child', @{ a = 1 })
    }
    stop   = {
        param($data, $context)
        [void](Stop-Task -TaskId $context.TaskId)
        [void]$context.Wait(60)
        'never'
    }
    deaf   = {
        param($data, $context)
        [void](Stop-Task -TaskId $context.TaskId)
        while ($true) {
            Start-Sleep -Milliseconds 50
        }
    }
    slow   = {
        while ($true) {
            Start-Sleep -Milliseconds 50
        }
    }
    dark   = { [System.Threading.Thread]::CurrentThread }
}
$mark = [System.IO.Path]::GetTempFileName()
Remove-Item -Path $mark
$tasks = @{}
foreach ($type in $handlers.Keys) {
    $asked = @{ Type = $type; Data = @{ name = 'you'; file = $mark } }
    if ($type -in 'retry', 'keep') {
        $asked['MaxRetries'] = 1
        $asked['Backoff'] = @{ kind = 'constant'; base = 0; cap = 0; jitter = 0 }
    }
    if ($type -eq 'slow') {
        $asked['TimeoutSeconds'] = 1
    }
    $tasks[$type] = (Submit-Task @asked).task_id
}
$runs = $handlers.Count + 3
$worker = @{ Handler = $handlers; MaxTasks = $runs; GraceSeconds = 1; LeaseSeconds = 3; WorkerId = 'tested' }
$prepare = {
    function Get-Greeting {
        param($Name)
        "hello $Name"
    }
}
Start-TaskWorker @worker -InitializationScript $prepare
$results = @{}
foreach ($type in $tasks.Keys) {
    $results[$type] = Wait-TaskResult -TaskId $tasks[$type] -TimeoutSec 30
}
Assert-Same 'a result' @{ message = 'hello you' } $results.greet.data
Assert-Same 'its log' @('greeting', 'hi') @(Get-TaskLog -TaskId $tasks.greet -Follow | ForEach-Object -Process { $_.text })
Assert-Same 'a list of one' @(1) @($results.list.data)
Assert-Same 'an error fails it' 'error' $results.fail.status
Assert-Same 'given up' 'there is nothing to do' $results.give.error_message
Assert-Same 'tried again' 2 $results.retry.data
Assert-Same 'put off' 'now' $results.snooze.data
Assert-Same 'went on from its checkpoint' 3 $results.keep.data
Assert-Same 'a child' $tasks.parent (Get-TaskInfo -TaskId $results.parent.data).parent_id
Assert-Same 'cancelled while it ran' 'cancelled' $results.stop.status
Assert-Same 'cancelled though it did not listen' 'cancelled' $results.deaf.status
Assert-Same 'out of time' 'error' $results.slow.status
Assert-Same 'no JSON' $true ($results.dark.error_message -like '*cannot be written as JSON*')
Remove-Item -Path $mark
'everything holds'
