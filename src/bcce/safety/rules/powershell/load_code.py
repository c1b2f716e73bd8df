"""Machine code and assemblies that are loaded into the process."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.powershell.nodes import TypeName
from bcce.safety.powershell.view import View
from bcce.safety.rules.powershell import Place

RULE = Rule(
    id="powershell.load-code",
    title="Machine code is loaded into the process",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="what it does is not in the script",
    instead="call a program that is installed and signed",
    tags=("T1055", "T1620"),
    examples_match=(
        "[Reflection.Assembly]::Load($bytes)",
        "Add-Type -MemberDefinition '[DllImport(\"kernel32\")] public static extern IntPtr VirtualAlloc();' -Name W -Namespace N",
        "[System.Runtime.InteropServices.Marshal]::Copy($sc, 0, $p, $sc.Length)",
    ),
    examples_pass=("Add-Type -AssemblyName System.Web", "[math]::Round(1.5)", "Add-Type -TypeDefinition 'public class A {}'"),
)
_NATIVE = re.compile(
    r"(?i)dllimport|virtualalloc|virtualprotect|createthread|writeprocessmemory|createremotethread|getprocaddress|loadlibrary|"
    r"rtlmovememory|ntcreatethread|openprocess|adjusttokenprivileges|setwindowshookex|getasynckeystate|minidumpwritedump"
)


def find(view: View) -> Iterable[Place]:
    """Reflection, Add-Type with imports, and unmanaged memory."""
    for member in view.members:
        name = (view.values.text(member.name) or "").lower()
        if isinstance(member.target, TypeName):
            kind = member.target.name.removeprefix("system.")
            if (kind == "reflection.assembly" and name in ("load", "loadfile", "loadfrom", "unsafeloadfrom")) or (
                kind == "runtime.interopservices.marshal"
                and name
                in (
                    "copy",
                    "getdelegateforfunctionpointer",
                    "writebyte",
                    "writeint32",
                    "allochglobal",
                )
            ):
                yield Place(member)
        if name in ("definedynamicassembly", "definepinvokemethod", "unsafenativemethods", "getdelegateforfunctionpointer"):
            yield Place(member)
    for call in view.calls:
        if (
            call.name == "add-type"
            and (
                _NATIVE.search(" ".join(view.everything(call)))
                or any(
                    _NATIVE.search(view.raw(made.value))
                    for item in view.variables
                    if call.command.start <= item.start < call.command.end
                    for made in view.assigned.get(item.name, ())
                )
            )
        ) or (call.name and re.match(r"(?i)invoke-(?:shellcode|reflectivepeinjection|dllinjection|psinject|wmicommand)$", call.name)):
            yield Place(call.command)
