<#
.SYNOPSIS
Brings back contacts that purgeengine deleted, from the Purges folder of their mailboxes.

.DESCRIPTION
@@HEADER@@

Without a switch, the script only looks: it lists what it would bring back, and changes nothing.
With -Restore it brings them back to the folder they were in, or to Contacts if that folder is gone.
It deletes nothing, and it can be started again: what was brought back is no longer in Purges.

An item belongs to the purge if it has the name of a purged contact and was removed when that contact was. If a mailbox
holds more such items than the purge deleted, nobody can say which are the purge's: they are listed as ambiguous, and stay where they are.

It needs:
- the module ExchangeOnlineManagement, and a session: Connect-ExchangeOnline
- the role "Mailbox Import Export", which no role group has by default. It takes up to an hour to work after it was assigned.

.EXAMPLE
.\restore.ps1
Look, and write what was found to the file of -Report.

.EXAMPLE
.\restore.ps1 -Restore
Bring them back.

.EXAMPLE
.\restore.ps1 -Restore -Mailbox ada@example.com
Bring back those of one mailbox.

.LINK
https://learn.microsoft.com/powershell/module/exchange/restore-recoverableitems
#>
#Requires -Version 5.1
[CmdletBinding()]
param(
    # Bring the items back. Without it, nothing is changed.
    [switch] $Restore,
    # Only these mailboxes, as the list below names them.
    [string[]] $Mailbox = @(),
    # Seconds by which the clocks of the purge and of Exchange may differ.
    [ValidateRange(0, 3600)]
    [int] $ToleranceSeconds = 60,
    # The CSV file that tells what became of each item. It is replaced.
    [string] $Report = 'restore-result.csv'
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# One line for each group of contacts that share a name. "user": the mailbox. "names": what their items may be called; none if the
# list told no names. "rows": how many were purged at most. "doubt": how many of these may not have been. "spans": from and to,
# in milliseconds since 1970 UTC.
$lines = @'
@@GROUPS@@
'@ -split '\r?\n'

function Get-PurgedContact {
    # Every contact in Purges of a mailbox that was removed within these times.
    param([string] $User, [datetime] $From, [datetime] $To)
    Get-RecoverableItems -Identity $User -SourceFolder PurgedItems -FilterItemType 'IPM.Contact' `
        -FilterStartTime $From -FilterEndTime $To -ResultSize Unlimited
}

function Get-Utc {
    param([double] $Milliseconds)
    [DateTimeOffset]::FromUnixTimeMilliseconds([long] $Milliseconds).UtcDateTime
}

function Get-RemovedUtc {
    # The time at which an item was removed. A time without a zone is UTC.
    param($Item)
    $time = [datetime] $Item.LastModifiedTime
    if ($time.Kind -eq [DateTimeKind]::Local) { return $time.ToUniversalTime() }
    [datetime]::SpecifyKind($time, [DateTimeKind]::Utc)
}

function Test-InSpan {
    param([datetime] $Time, $Group)
    foreach ($span in $Group.spans) {
        $from = (Get-Utc $span[0]).AddSeconds(-$ToleranceSeconds)
        $to = (Get-Utc $span[1]).AddSeconds($ToleranceSeconds)
        if ($Time -ge $from -and $Time -le $to) { return $true }
    }
    $false
}

function Get-Subject {
    param($Item)
    if ($null -eq $Item.Subject) { return '' }
    ([string] $Item.Subject).Trim()
}

$results = [System.Collections.Generic.List[object]]::new()
function Add-Result {
    param([string] $User, [string] $Name, [string] $State, [int] $Items, [string] $Text = '')
    $results.Add([pscustomobject]@{ Mailbox = $User; Name = $Name; State = $State; Items = $Items; Message = $Text })
}

function Restore-One {
    # Bring back one item, or say what would be.
    param([string] $User, $Item)
    $name = Get-Subject $Item
    if (-not $Restore) {
        Add-Result $User $name 'would be restored' 1 ([string] $Item.LastParentPath)
        return
    }
    try {
        $answer = @(Restore-RecoverableItems -Identity $User -SourceFolder PurgedItems -EntryID $Item.EntryID)
        if ($answer.Count -eq 0 -or -not $answer[0].WasRestoredSuccessfully) {
            Add-Result $User $name 'failed' 1 'Exchange does not say that it was restored. Look with .\restore.ps1 once more.'
        }
        else {
            Add-Result $User $name 'restored' 1 ([string] $answer[0].RestoredToFolderPath)
        }
    }
    catch {
        Add-Result $User $name 'failed' 1 $_.Exception.Message
    }
}

function Resolve-Group {
    # Bring back the items of a group, unless there are more of them than the purge deleted.
    param($Group, [object[]] $Items)
    $label = if (@($Group.names).Count -gt 0) { @($Group.names) -join ' / ' } else { '(any name)' }
    if ($Items.Count -gt $Group.rows) {
        $text = "Purges holds $($Items.Count) such items, and the purge deleted $($Group.rows) at most. Bring them back by hand."
        Add-Result $Group.user $label 'ambiguous' $Items.Count $text
        return
    }
    foreach ($item in $Items) { Restore-One $Group.user $item }
    $missing = $Group.rows - $Items.Count
    if ($missing -gt 0) {
        $text = 'Brought back already, or no longer kept.'
        if ($Group.doubt -gt 0) { $text += " Of all of them, $($Group.doubt) may never have been deleted." }
        Add-Result $Group.user $label 'not found' $missing $text
    }
}

function Resolve-Mailbox {
    # Look into Purges of one mailbox once, and bring back what belongs to its groups.
    param([string] $User, [object[]] $Groups)
    $times = @($Groups | ForEach-Object { foreach ($span in $_.spans) { $span[0]; $span[1] } } | Sort-Object)
    $from = (Get-Utc $times[0]).AddSeconds(-$ToleranceSeconds)
    $to = (Get-Utc $times[-1]).AddSeconds($ToleranceSeconds)
    try {
        $found = @(Get-PurgedContact -User $User -From $from -To $to)
    }
    catch {
        Add-Result $User '' 'failed' 0 $_.Exception.Message
        return
    }
    $groupOf = [System.Collections.Generic.Dictionary[string, int]]::new([StringComparer]::Ordinal)
    $unnamed = -1
    for ($number = 0; $number -lt $Groups.Count; $number++) {
        $names = @($Groups[$number].names)
        if ($names.Count -eq 0) { $unnamed = $number }
        foreach ($name in $names) { $groupOf[$name] = $number }
    }
    $itemsOf = @{}
    foreach ($item in $found) {
        $subject = Get-Subject $item
        $number = if ($groupOf.ContainsKey($subject)) { $groupOf[$subject] } else { $unnamed }
        if ($number -lt 0 -or -not (Test-InSpan (Get-RemovedUtc $item) $Groups[$number])) { continue }
        if (-not $itemsOf.ContainsKey($number)) { $itemsOf[$number] = [System.Collections.Generic.List[object]]::new() }
        $itemsOf[$number].Add($item)
    }
    for ($number = 0; $number -lt $Groups.Count; $number++) {
        $items = @()
        if ($itemsOf.ContainsKey($number)) { $items = $itemsOf[$number].ToArray() }
        Resolve-Group $Groups[$number] $items
    }
}

if (-not (Get-Command Restore-RecoverableItems -ErrorAction SilentlyContinue)) {
    throw 'There is no cmdlet Restore-RecoverableItems in this session. Install the module ExchangeOnlineManagement, run ' +
        'Connect-ExchangeOnline, and see that your account has the role "Mailbox Import Export".'
}

# The groups of a mailbox stand together.
$waiting = [System.Collections.Generic.List[object]]::new()
$mailboxes = 0
function Complete-Waiting {
    if ($waiting.Count -eq 0) { return }
    $user = $waiting[0].user
    if ($Mailbox.Count -eq 0 -or $Mailbox -contains $user) {
        $script:mailboxes++
        Write-Progress -Activity 'Purges' -Status $user
        Resolve-Mailbox $user $waiting.ToArray()
    }
    $waiting.Clear()
}
foreach ($line in $lines) {
    if ($line.Trim() -eq '') { continue }
    $group = ConvertFrom-Json $line
    if ($waiting.Count -gt 0 -and $waiting[0].user -ne $group.user) { Complete-Waiting }
    $waiting.Add($group)
}
Complete-Waiting
Write-Progress -Activity 'Purges' -Completed

$results | Export-Csv -Path $Report -NoTypeInformation -Encoding UTF8
foreach ($state in 'restored', 'would be restored', 'not found', 'ambiguous', 'failed') {
    $items = 0
    foreach ($result in $results) { if ($result.State -eq $state) { $items += $result.Items } }
    if ($items -gt 0 -or $state -eq 'restored') { Write-Host ('{0,8} {1}' -f $items, $state) }
}
Write-Host "Looked into $mailboxes mailboxes. What became of each item stands in $Report."
if (-not $Restore) { Write-Host 'Nothing was changed. Add -Restore to bring them back.' }
if (@($results | Where-Object { $_.State -eq 'ambiguous' -or $_.State -eq 'failed' }).Count -gt 0) { exit 1 }
