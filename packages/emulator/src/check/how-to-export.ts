/**
 * A PowerShell script that an admin runs to export all that the check reads, the link of each root included. It reads beta, where alone
 * certificate profiles are, and asks for each root by the route through its profile's type: no other one answers. There 404 says that the
 * profile names no root, and 400 that its type has none.
 */
export const exportScript: string = `#Requires -Version 7 -Modules Microsoft.Graph.Authentication
# Exports what "certfleet check" reads: every device configuration with its assignments, and in links.json
# which Trusted profile each certificate profile names; that is in no other export. Nothing is changed.
# Permission: DeviceManagementConfiguration.Read.All. Once before: Install-Module Microsoft.Graph.Authentication
# Run: pwsh ./export.ps1 -Folder export; then: certfleet check export
param([string] $Folder = 'export')
$ErrorActionPreference = 'Stop'
$all = 'https://graph.microsoft.com/beta/deviceManagement/deviceConfigurations'
$withRoot = '\\.(\\w+scep|(android|aosp)\\w*(pkcs|importedpfx))certificateprofile$'
$links = @()
$page = 0
Connect-MgGraph -Scopes DeviceManagementConfiguration.Read.All -NoWelcome
$null = New-Item -ItemType Directory -Force $Folder
for ($next = $all + '?$expand=assignments'; $next; $next = $answer.'@odata.nextLink') {
  $answer = Invoke-MgGraphRequest -Uri $next
  $page++
  $answer | ConvertTo-Json -Depth 20 | Set-Content -Encoding utf8 "$Folder/page-$page.json"
  foreach ($item in $answer.value) {
    $type = $item.'@odata.type'.TrimStart('#')
    if ($type -notmatch $withRoot) { continue }
    $root = Invoke-MgGraphRequest -Uri "$all/$($item.id)/$type/rootCertificate" -SkipHttpErrorCheck -StatusCodeVariable status
    if ($status -eq 200) { $links += @{ profile = $item.id; rootCertificate = $root.id } }
    elseif ($status -notin 400, 404) { throw "$($item.displayName): Graph answered $status" }
  }
}
@{ links = $links } | ConvertTo-Json -Depth 20 | Set-Content -Encoding utf8 "$Folder/links.json"
`
