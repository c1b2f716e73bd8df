"""Databases, directories, virtual machines and cloud accounts that are deleted."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.readers import only_says
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.destroy-service",
    title="A database, directory, cluster or cloud resource is deleted",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="what it held is gone",
    instead="restart or scale it; deleting is for its owners, with a backup",
    tags=("T1485", "T1531"),
    examples_match=(
        "Remove-AzResourceGroup -Name prod -Force",
        "Invoke-Sqlcmd -Query 'DROP DATABASE prod'",
        "Remove-ADOrganizationalUnit -Identity 'OU=x' -Recursive",
        "Remove-VM -Name db1 -Force",
        "kubectl delete namespace prod",
        "aws s3 rb s3://prod --force",
        "sqlcmd -Q 'TRUNCATE TABLE orders'",
        "az group delete --name prod --yes",
    ),
    examples_pass=(
        "Get-AzResourceGroup",
        "Invoke-Sqlcmd -Query 'SELECT 1'",
        "kubectl delete pod web-1",
        "Remove-ADGroupMember -Identity g -Members u",
    ),
)
_CMDLETS = re.compile(
    r"remove-(?:az(?:resourcegroup|resource|vm|storageaccount|sqldatabase|sqlserver|keyvault|disk|snapshot|recoveryservices\w*|"
    r"cosmosdb\w*|akscluster|webapp|virtualnetwork|resourcelock)|adorganizationalunit|adobject|addomaincontroller|vm|vmsnapshot|vhd|"
    r"cluster|clustergroup|s3bucket|ec2instance|rdsdbinstance|mailbox|mailboxdatabase|datastore|gpo|dnsserverzone|dhcpserverv4scope|"
    r"dbadatabase|sqldatabase|dfsnroot|database)|uninstall-addsdomaincontroller|stop-cluster"
)
_SQL = re.compile(
    r"(?i)\b(?:drop\s+(?:database|table|schema|user|login)|truncate\s+table|delete\s+from\s+[\w.\[\]]+\s*(?:;|$|['\"])|"
    r"alter\s+database\s+\S+\s+set\s+offline|xp_cmdshell|shutdown\s+with\s+nowait)"
)
_PROGRAM = re.compile(
    r"(?i)^(?:kubectl(?:\.exe)? +(?:.* )?delete +(?:ns|namespaces?|nodes?|pv\w*|persistentvolume\w*|crd\w*|all|deploy\w*|statefulset\w*|"
    r"-f|--all)|kubectl(?:\.exe)? .*delete .*--all\b|aws(?:\.exe)? .*(?:s3 +rb|s3 +rm .*--recursive|terminate-instances|"
    r"delete-(?:db-\w+|stack|bucket|table|cluster|file-system|volume|trail|snapshot|key\S*|user|role|vpc|load-balancer|function|"
    r"log-group))|az(?:\.cmd)? +(?:group|vm|aks|sql \w+|storage account|keyvault|disk|resource|network vnet|cosmosdb|acr|webapp|"
    r"functionapp) +delete|gcloud(?:\.cmd)? .* delete|terraform(?:\.exe)? +(?:destroy|apply .*-destroy)|helm(?:\.exe)? +(?:uninstall|"
    r"delete)|docker(?:\.exe)? +(?:system +prune .*-a|volume +(?:rm|prune)|rm +-f +\$)|dsrm(?:\.exe)? |redis-cli(?:\.exe)? .*flush|"
    r"mongo\w*(?:\.exe)? .*drop|dnscmd(?:\.exe)? .*/zonedelete)"
)
_CLIENTS = frozenset(
    [
        "invoke-sqlcmd",
        "sqlcmd",
        "sqlcmd.exe",
        "osql",
        "osql.exe",
        "mysql",
        "mysql.exe",
        "psql",
        "psql.exe",
        "invoke-dbaquery",
        "mysqladmin",
        "invoke-sqlcmd2",
        "sqlplus",
    ]
)


def find(view: View) -> Iterable[Place]:
    """Cmdlets, statements in SQL clients, and the command line tools of clusters and clouds."""
    for call in view.calls:
        if only_says(call):
            continue
        said = view.said(call)
        if _CMDLETS.fullmatch(call.name or "") or (call.name in _CLIENTS and _SQL.search(said)) or _PROGRAM.match(said):
            yield Place(call.command)
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if name in ("executenonquery", "executescalar", "executereader") and _SQL.search(view.text):
            yield Place(member)
