# One exchange with the bridge, the same in Windows PowerShell 5.1 and PowerShell 7. HttpWebRequest and not
# Invoke-RestMethod: of the two editions one raises WebException and the other HttpResponseException, only one can do
# without the proxy, and one reads answers as Latin-1 and waits for "100 Continue".

$script:BackoffCapSeconds = 5.0

function Send-TaskSpoolRequest {
    <#
    .SYNOPSIS
    Sends one request; the answer whatever its status: Status, Body (parsed, or nothing), Reason.
    .DESCRIPTION
    Status is 0 when there was no answer within -TimeoutSeconds. Ctrl-C ends it at once: it waits in short steps.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [string] $Method,
        [Parameter(Mandatory = $true)]
        [uri] $Uri,
        [byte[]] $Content,
        [hashtable] $Header = @{},
        [double] $TimeoutSeconds = 15
    )
    $request = [System.Net.WebRequest]::Create($Uri)
    $request.Method = $Method
    $request.Accept = 'application/json'
    $request.UserAgent = 'TaskSpool-PowerShell/0.1.0'
    $request.AllowAutoRedirect = $false
    $request.ServicePoint.Expect100Continue = $false
    $request.ReadWriteTimeout = [int](1000 * $TimeoutSeconds)
    if ($Uri.IsLoopback -or $script:Server.NoProxy) {
        $request.Proxy = $null
    }
    foreach ($name in $Header.Keys) {
        $request.Headers.Add($name, $Header[$name])
    }
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $answer = $null
    try {
        if ($null -ne $Content) {
            $request.ContentType = 'application/json; charset=utf-8'
            $request.ContentLength = $Content.Length
            $opening = $request.GetRequestStreamAsync()
            Wait-Exchange -Task $opening -Seconds $TimeoutSeconds
            $stream = $opening.GetAwaiter().GetResult()
            $stream.Write($Content, 0, $Content.Length)
            $stream.Close()
        }
        $answering = $request.GetResponseAsync()
        Wait-Exchange -Task $answering -Seconds ($TimeoutSeconds - $watch.Elapsed.TotalSeconds)
        $response = $answering.GetAwaiter().GetResult()
        $answer = Read-Answer -Response $response
    } catch {
        $answer = Read-Failure -ErrorRecord $_
    } finally {
        if ($null -eq $answer -or $answer.Status -eq 0) {
            $request.Abort()
        }
    }
    $answer
}

function Wait-Exchange {
    <#
    .SYNOPSIS
    Waits for one step of an exchange, at most -Seconds.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [System.Threading.Tasks.Task] $Task,
        [double] $Seconds
    )
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    while (-not $Task.AsyncWaitHandle.WaitOne(100)) {
        if ($watch.Elapsed.TotalSeconds -gt $Seconds) {
            throw [System.Net.WebException]::new('it took too long')
        }
    }
}

function Read-Answer {
    <#
    .SYNOPSIS
    What a response says: its status and its body, which is UTF-8 whatever its header says.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [System.Net.WebResponse] $Response
    )
    $reader = [System.IO.StreamReader]::new($Response.GetResponseStream(), [System.Text.Encoding]::UTF8)
    try {
        $text = $reader.ReadToEnd()
        [pscustomobject]@{
            Status     = [int]$Response.StatusCode
            Body       = ConvertFrom-TaskSpoolJson -Text $text
            Reason     = ''
            RetryAfter = $Response.Headers.Get('Retry-After')
        }
    } finally {
        $reader.Close()
        $Response.Close()
    }
}

function Read-Failure {
    <#
    .SYNOPSIS
    The answer inside an error: a status of 400 and above is a WebException that holds it; without one Status is 0.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [System.Management.Automation.ErrorRecord] $ErrorRecord
    )
    $failure = $ErrorRecord.Exception
    while ($null -ne $failure.InnerException -and $failure -isnot [System.Net.WebException]) {
        $failure = $failure.InnerException
    }
    if ($failure -is [System.Net.WebException] -and $null -ne $failure.Response) {
        return Read-Answer -Response $failure.Response
    }
    [pscustomobject]@{
        Status     = 0
        Body       = $null
        Reason     = $failure.Message
        RetryAfter = ''
    }
}

function Get-BackoffSecond {
    <#
    .SYNOPSIS
    How long to wait after the failure number -Attempt in a row, from 0: doubling from 0.1 to 5 s, half of it by chance.
    #>
    [CmdletBinding()]
    [OutputType([double])]
    param(
        [int] $Attempt
    )
    $seconds = [math]::Min($script:BackoffCapSeconds, 0.1 * [math]::Pow(2, [math]::Min($Attempt, 30)))
    $seconds * (0.5 + (Get-Random -Minimum 0.0 -Maximum 0.5))
}

function Invoke-TaskSpoolCall {
    <#
    .SYNOPSIS
    One call of the bridge: the object it answers with.
    .DESCRIPTION
    Repeats the call, -RetryCount times, while no answer comes or the bridge says "not now" (429, 502, 503, 504). What
    is refused otherwise is an error whose id is the bridge's code. -WaitSeconds: so long the bridge may hold it back.
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [Parameter(Mandatory = $true)]
        [ValidateSet('GET', 'POST')]
        [string] $Method,
        [Parameter(Mandatory = $true)]
        [string] $Path,
        [System.Collections.IDictionary] $Body,
        [string] $Url,
        [hashtable] $Header = @{},
        [double] $WaitSeconds = 0,
        [double] $TimeoutSeconds = $script:Server.TimeoutSec,
        [int] $RetryCount = 5
    )
    $address = [uri]($(if ($Url) { $Url } else { $script:Server.Url }).TrimEnd('/') + $Path)
    $exchange = @{
        Method         = $Method
        Uri            = $address
        Header         = $Header
        TimeoutSeconds = $TimeoutSeconds + $WaitSeconds
    }
    if ($null -ne $Body) {
        $exchange['Content'] = [System.Text.Encoding]::UTF8.GetBytes((ConvertTo-TaskSpoolJson -InputObject $Body))
    }
    for ($attempt = 0; $true; $attempt++) {
        $answer = Send-TaskSpoolRequest @exchange
        if ($answer.Status -ge 200 -and $answer.Status -lt 300 -and $null -ne $answer.Body) {
            return $answer.Body
        }
        if ($attempt -ge $RetryCount -or $answer.Status -notin 0, 429, 502, 503, 504) {
            throw (ConvertFrom-Refusal -Answer $answer -Uri $address)
        }
        $seconds = Get-BackoffSecond -Attempt $attempt
        if ($answer.RetryAfter -match '^\d{1,4}$') {
            $seconds = [math]::Min($script:BackoffCapSeconds, [math]::Max($seconds, [double]$answer.RetryAfter))
        }
        Start-Sleep -Milliseconds ([int](1000 * $seconds))
    }
}
