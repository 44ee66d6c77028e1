# Calls synapse inside WSL, with every word as it was given: none becomes part of a command that is read again.
$ErrorActionPreference = 'Stop'
if (-not (Get-Command wsl.exe -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine('synapse runs inside WSL, and wsl.exe is not here: run `wsl --install`, then try again.')
    exit 1
}
$script = @'
command -v wslpath >/dev/null || { echo 'synapse: this is no WSL distribution: wslpath is missing.' >&2; exit 1; }
file=$(wslpath -u "$0") && [ -r "$file" ] || { printf '%s\n' "synapse: $0 cannot be read from here." >&2; exit 1; }
exec sh "$file" "$@"
'@ -replace "`r", ''
$words = @('-e', 'sh', '-c', $script, (Join-Path $PSScriptRoot 'synapse-linux')) + $args
if ($PSVersionTable.PSVersion -lt [version]'7.3') {
    # Older versions pass on quotes bare and drop empty words: both are told as Windows programs expect them.
    $words = $words | ForEach-Object {
        $word = [string]$_ -replace '(\\*)"', '$1$1\"' -replace '(\\+)$', '$1$1'
        if ($word -eq '') { '""' } else { $word }
    }
}
& wsl.exe @words
exit $LASTEXITCODE
