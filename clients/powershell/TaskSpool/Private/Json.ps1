# JSON is written here, not by ConvertTo-Json: that cuts off below -Depth (5.1 without a word), writes times as
# "\/Date(...)\/" in 5.1 and arrays that came out of a function as {"value": ..., "Count": ...}.

$script:MaxDepth = 60

function ConvertTo-TaskSpoolJson {
    <#
    .SYNOPSIS
    Writes a value as JSON.
    .DESCRIPTION
    Tables, custom objects, lists, texts, numbers, times (in UTC), true, false and null. Anything else, and what nests
    deeper than 60, is refused with INVALID_REQUEST: nothing is cut off.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [object] $InputObject
    )
    $text = [System.Text.StringBuilder]::new()
    Add-JsonValue -Text $text -Value $InputObject -Depth 0
    $text.ToString()
}

function ConvertTo-JsonText {
    <#
    .SYNOPSIS
    Writes a text with its quotes.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [string] $Value
    )
    $text = $Value.Replace('\', '\\').Replace('"', '\"').Replace("`r", '\r').Replace("`n", '\n').Replace("`t", '\t')
    if ($text -match '[\x00-\x1f]') {
        $text = [regex]::Replace($text, '[\x00-\x1f]', { param($found) '\u{0:x4}' -f [int][char]$found.Value })
    }
    '"' + $text + '"'
}

function ConvertTo-JsonNumber {
    <#
    .SYNOPSIS
    Writes a number as every machine does, whatever its culture.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param(
        [object] $Value
    )
    $culture = [System.Globalization.CultureInfo]::InvariantCulture
    if ($Value -is [double] -or $Value -is [single]) {
        if ([double]::IsNaN($Value) -or [double]::IsInfinity($Value)) {
            throw (ConvertTo-TaskSpoolError -Code 'INVALID_REQUEST' -Message 'JSON has no NaN and no Infinity')
        }
        return $Value.ToString('R', $culture)
    }
    $Value.ToString($culture)
}

function Test-JsonText {
    <#
    .SYNOPSIS
    Whether a value is written as a text.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [object] $Value
    )
    foreach ($type in [string], [char], [guid], [uri], [version], [enum], [timespan]) {
        if ($Value -is $type) {
            return $true
        }
    }
    $false
}

function Test-JsonNumber {
    <#
    .SYNOPSIS
    Whether a value is written as a number.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param(
        [object] $Value
    )
    foreach ($type in [int], [long], [double], [decimal], [single], [byte], [sbyte], [int16], [uint16], [uint32],
        [uint64], [bigint]) {
        if ($Value -is $type) {
            return $true
        }
    }
    $false
}

function Add-JsonValue {
    <#
    .SYNOPSIS
    Appends a value to the text, with all that is in it.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [System.Text.StringBuilder] $Text,
        [object] $Value,
        [int] $Depth
    )
    if ($Depth -gt $script:MaxDepth) {
        $message = "data nests deeper than $script:MaxDepth"
        $hint = 'Flatten it, or refer to a file.'
        throw (ConvertTo-TaskSpoolError -Code 'INVALID_REQUEST' -Message $message -Hint $hint)
    }
    if ($null -eq $Value) {
        [void]$Text.Append('null')
    } elseif ($Value -is [bool] -or $Value -is [switch]) {
        [void]$Text.Append($(if ($Value) { 'true' } else { 'false' }))
    } elseif (Test-JsonText -Value $Value) {
        [void]$Text.Append((ConvertTo-JsonText -Value ([string]$Value)))
    } elseif (Test-JsonNumber -Value $Value) {
        [void]$Text.Append((ConvertTo-JsonNumber -Value $Value))
    } elseif ($Value -is [datetime]) {
        $instant = $Value.ToUniversalTime()
        [void]$Text.Append((ConvertTo-JsonText -Value ($instant.ToString('o'))))
    } elseif ($Value -is [datetimeoffset]) {
        $instant = $Value.UtcDateTime
        [void]$Text.Append((ConvertTo-JsonText -Value ($instant.ToString('o'))))
    } elseif ($Value -is [System.Collections.IDictionary]) {
        $members = $Value.GetEnumerator()
        Add-JsonMember -Text $Text -Member $members -NameProperty 'Key' -Depth $Depth
    } elseif ($Value -is [System.Management.Automation.PSCustomObject]) {
        Add-JsonMember -Text $Text -Member $Value.PSObject.Properties -NameProperty 'Name' -Depth $Depth
    } elseif ($Value -is [System.Collections.IEnumerable]) {
        Add-JsonItem -Text $Text -Item $Value -Depth $Depth
    } else {
        $message = "a $($Value.GetType().FullName) cannot be written as JSON"
        $hint = 'Choose what is meant with Select-Object.'
        throw (ConvertTo-TaskSpoolError -Code 'INVALID_REQUEST' -Message $message -Hint $hint)
    }
}

function Add-JsonMember {
    <#
    .SYNOPSIS
    Appends an object: each member has a name (its property -NameProperty) and a Value.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [System.Text.StringBuilder] $Text,
        [object] $Member,
        [string] $NameProperty,
        [int] $Depth
    )
    $separator = '{'
    foreach ($each in $Member) {
        [void]$Text.Append($separator)
        [void]$Text.Append((ConvertTo-JsonText -Value ([string]$each.$NameProperty)))
        [void]$Text.Append(':')
        Add-JsonValue -Text $Text -Value $each.Value -Depth ($Depth + 1)
        $separator = ','
    }
    [void]$Text.Append($(if ($separator -eq '{') { '{}' } else { '}' }))
}

function Add-JsonItem {
    <#
    .SYNOPSIS
    Appends an array; one with a single item stays an array.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)]
        [System.Text.StringBuilder] $Text,
        [object] $Item,
        [int] $Depth
    )
    $separator = '['
    foreach ($each in $Item) {
        [void]$Text.Append($separator)
        Add-JsonValue -Text $Text -Value $each -Depth ($Depth + 1)
        $separator = ','
    }
    [void]$Text.Append($(if ($separator -eq '[') { '[]' } else { ']' }))
}

function ConvertFrom-TaskSpoolJson {
    <#
    .SYNOPSIS
    Reads an answer; nothing when it is not JSON. Times stay texts where PowerShell lets them (5.1, and from 7.5 on).
    #>
    [CmdletBinding()]
    [OutputType([pscustomobject])]
    param(
        [AllowEmptyString()]
        [string] $Text
    )
    $options = @{ ErrorAction = 'Stop' }
    if ((Get-Command -Name 'ConvertFrom-Json').Parameters.ContainsKey('DateKind')) {
        $options['DateKind'] = 'String'
    }
    try {
        ConvertFrom-Json -InputObject $Text @options
    } catch {
        Write-Debug -Message "to be read as tables, if at all: $_"
        ConvertFrom-OddJson -Text $Text -Options $options
    }
}

function ConvertFrom-OddJson {
    <#
    .SYNOPSIS
    Reads what ConvertFrom-Json makes no objects of: names that are empty, or differ in case only. Tables come of it.
    #>
    [CmdletBinding()]
    [OutputType([System.Collections.IDictionary])]
    param(
        [string] $Text,
        [hashtable] $Options
    )
    try {
        if ((Get-Command -Name 'ConvertFrom-Json').Parameters.ContainsKey('AsHashtable')) {
            return ConvertFrom-Json -InputObject $Text @Options -AsHashtable
        }
        Add-Type -AssemblyName 'System.Web.Extensions'
        $serializer = [System.Web.Script.Serialization.JavaScriptSerializer]::new()
        $serializer.MaxJsonLength = [int]::MaxValue
        $serializer.DeserializeObject($Text)
    } catch {
        Write-Debug -Message "not JSON: $_"
    }
}

function ConvertTo-Instant {
    <#
    .SYNOPSIS
    Reads a time of the bridge: a text, or what ConvertFrom-Json has made of it in PowerShell 7.0 to 7.4.
    #>
    [CmdletBinding()]
    [OutputType([datetimeoffset])]
    param(
        [object] $Value
    )
    if ($Value -is [datetime]) {
        return [datetimeoffset]::new($Value.ToUniversalTime())
    }
    [datetimeoffset]::Parse([string]$Value, [System.Globalization.CultureInfo]::InvariantCulture)
}
