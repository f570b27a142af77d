@{
    RootModule           = 'TaskSpool.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '6f0c4b0e-6d0f-4f57-9d0a-3f5c2f6f4b11'
    Author               = 'the taskspool authors'
    CompanyName          = 'the taskspool authors'
    Copyright            = '(c) the taskspool authors. MIT licence.'
    Description          = 'Hand tasks to a taskspool bridge, wait for their results, and work on them.'
    PowerShellVersion    = '5.1'
    CompatiblePSEditions = @('Desktop', 'Core')
    FunctionsToExport    = @(
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
    CmdletsToExport      = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags       = @('queue', 'tasks', 'worker', 'taskspool')
            ProjectUri = 'https://github.com/taskspool/taskspool'
        }
    }
}
