# A worker in PowerShell (5.1 or 7): counts the words of a text.
$ErrorActionPreference = 'Stop'
$task = [Console]::In.ReadToEnd() | ConvertFrom-Json               # id, type, data, attempt, checkpoint, ...
[Console]::Error.WriteLine("attempt $($task.attempt)")             # stderr and stdout are the task's live log
if ($task.data.text -isnot [string]) {
    [Console]::Error.WriteLine('the task has no text')
    exit 65                                                        # give up: it will never have one
}
[Console]::Out.WriteLine('::progress 50 counting')
$words = @($task.data.text -split '\s+' | Where-Object { $_ }).Count
[Console]::Out.WriteLine((ConvertTo-Json @{ words = $words } -Compress))   # the last line is the result
