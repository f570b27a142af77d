# The module is its files: Private holds what the commands share, Public a file for each command.

$script:Server = @{
    Url        = 'http://127.0.0.1:8091'
    TimeoutSec = 15
    NoProxy    = $false
}

foreach ($folder in 'Private', 'Public') {
    $place = Join-Path -Path $PSScriptRoot -ChildPath $folder
    foreach ($file in Get-ChildItem -Path $place -Filter '*.ps1') {
        . $file.FullName
    }
}

Export-ModuleMember -Function @(
    'Complete-Task'
    'Connect-TaskServer'
    'Get-TaskInfo'
    'Get-TaskLog'
    'Get-TaskResult'
    'Receive-Task'
    'Restart-Task'
    'Send-TaskHeartbeat'
    'Start-TaskWorker'
    'Stop-Task'
    'Submit-Task'
    'Unlock-Task'
    'Wait-TaskResult'
    'Write-TaskLog'
)
