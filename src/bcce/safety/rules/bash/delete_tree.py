"""Whole trees of the system or of everybody's data that are removed."""

from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.paths import is_tree
from bcce.safety.bash.values import ANY, OUT
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.delete-tree",
    title="A folder that the system or all data lives in is removed",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="the machine or its data is gone afterwards",
    instead="remove named files below the application's own folder",
    tags=("T1485",),
    examples_match=(
        "rm -rf /",
        "rm -rf /*",
        "sudo rm -fr --no-preserve-root /",
        "rm -rf /etc",
        "rm -r /var/lib/",
        "find / -delete",
        "rm -rf ~",
        'd=/; rm -rf "$d"',
        "rm -rf /home/../usr",
    ),
    examples_pass=("rm -f /tmp/app.lock", "rm -rf /var/cache/myapp/tmp", "find /tmp/app -name '*.tmp' -delete", "rm file"),
)
_NARROWING = frozenset(
    {
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-mtime",
        "-newer",
        "-size",
        "-regex",
        "-iregex",
        "-mmin",
        "-atime",
        "-ctime",
        "-amin",
        "-cmin",
        "-user",
        "-empty",
        "-inum",
        "-samefile",
        "-lname",
        "-newermt",
        "-xtype",
        "-perm",
    }
)
_EVERYTHING = frozenset({"*", "*.*", ".*", "?*"})


def find(view: View) -> Iterable[Place]:
    """rm -r, find -delete, find -exec rm and rsync --delete on such a folder, and the same where the folder came from cd."""
    folders = [value for call in view.calls if call.name == "cd" for value in call.operands[:1]]
    for call in view.calls:
        if call.name in ("rm", "srm", "shred", "unlink", "rmdir"):
            is_recursive = call.name != "rm" or call.has("-r", "-R", "--recursive")
            if (
                call.has("--no-preserve-root")
                or any(_is_gone(value, is_recursive) for value in call.operands)
                or _is_gone_here(call, folders, is_recursive)
                or (is_recursive and (call.chain[-1:] == ("find",) or call.is_fed) and _searches_all(view, call))
            ):
                yield Place(call.command)
        elif (
            (call.name == "find" and (call.has("-delete") or _removes(call)) and _searches_all(view, call))
            or (
                call.name == "rsync"
                and call.has("--delete", "--delete-before", "--delete-after", "--delete-excluded")
                and any(is_tree(value, large=True) for value in call.operands[-1:])
            )
            or (
                call.name == "mv"
                and len(call.operands) > 1
                and (call.operands[-1] == "/dev/null" or any(is_tree(value, large=True) for value in call.operands[:-1]))
            )
        ):
            yield Place(call.command)


def _is_gone(path: str, is_recursive: bool) -> bool:
    if not is_recursive:
        return path.endswith("/\ue003") and is_tree(path, large=True) and path.count("/") <= 2
    if path in ("\ue003", "./\ue003", ".", "./", "..", "../\ue003", ".\ue003"):
        return False
    # rm -rf "$DIR/": nothing in front of the slash is known, and empty it would be everything.
    if path in (f"{OUT}/", f"{OUT}/\ue003", f"{ANY}/", f"{ANY}/\ue003"):
        return True
    return is_tree(path)


def _is_gone_here(call: Call, folders: list[str], is_recursive: bool) -> bool:
    """`cd / && rm -rf *`."""
    return (
        is_recursive
        and any(value in ("\ue003", "./\ue003", ".", ".\ue003") for value in call.operands)
        and any(is_tree(folder, large=True) for folder in folders)
    )


def _removes(call: Call) -> bool:
    return any(value.rpartition("/")[2] in ("rm", "shred", "unlink") for value in call.values)


def _searches_all(view: View, call: Call) -> bool:
    """The find that the call is, or is run by, starts at such a folder and does not narrow the search down."""
    for other in (*view.by_command.get(id(call.command), []), *(view.sources(call) if call.is_fed else ())):
        if other.name != "find" or not other.operands:
            continue
        narrowing = [
            (option, value)
            for option, value in zip(other.args, other.args[1:], strict=False)
            if option in _NARROWING and value not in _EVERYTHING
        ]
        root = other.operands[0]
        if is_tree(root, large=bool(narrowing)) and (
            not narrowing
            or (root == "/" and not any(option.endswith("name") or "path" in option or "regex" in option for option, _ in narrowing))
        ):
            return True
    return False
