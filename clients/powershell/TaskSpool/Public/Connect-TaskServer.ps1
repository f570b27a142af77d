function Connect-TaskServer {
    <#
    .SYNOPSIS
    Says which bridge the other commands speak to, and looks whether it is there.
    .DESCRIPTION
    Without it they speak to http://127.0.0.1:8091. Holds until the module is loaded anew.
    .PARAMETER Url
    The address of the bridge; http://127.0.0.1:8091/queues/reports is another queue of the same one.
    .PARAMETER TimeoutSec
    How long an answer may take, in seconds; where the bridge is asked to wait, so much longer.
    .PARAMETER NoProxy
    Ask it directly, whatever proxy this machine uses. For this machine itself that is always so.
    .EXAMPLE
    Connect-TaskServer -Url 'http://127.0.0.1:8091'
    .OUTPUTS
    What the bridge says of itself: status, version, durability, queue, paused.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [uri] $Url,
        [ValidateRange(1, 3600)]
        [int] $TimeoutSec = 15,
        [switch] $NoProxy
    )
    try {
        $script:Server = @{
            Url        = $Url.AbsoluteUri.TrimEnd('/')
            TimeoutSec = $TimeoutSec
            NoProxy    = [bool]$NoProxy
        }
        $root = $script:Server.Url -replace '/queues/[^/]+$', ''
        Invoke-TaskSpoolCall -Method 'GET' -Path '/health' -Url $root -RetryCount 0
    } catch {
        $PSCmdlet.ThrowTerminatingError($_)
    }
}
