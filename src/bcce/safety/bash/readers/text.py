"""Tools with a language of their own for text and files: find, sed, and archives."""

import re

from bcce.safety.bash.readers.files import secret_in
from bcce.safety.bash.readers.options import given, options
from bcce.safety.bash.values import ANY, OUT, shown
from bcce.safety.bash.view import Call

_MOST_TEXT = 4000
_FIND = options(
    "-- -HLPO0123D= -daxX --maxdepth= --mindepth= --depth --d --mount --xdev --daystart --noleaf --follow --warn --nowarn --regextype="
    " --ignore_readdir_race --noignore_readdir_race --name= --iname= --path= --ipath= --wholename= --iwholename= --regex= --iregex="
    " --lname= --ilname= --type= --xtype= --fstype= --size= --empty --user= --group= --uid= --gid= --nouser --nogroup --perm= --links="
    " --inum= --samefile= --newer= --anewer= --cnewer= --mtime= --atime= --ctime= --mmin= --amin= --cmin= --used= --readable --writable"
    " --executable --true --false --context= --prune --print --print0 --printf= --ls --quit --not --and --or -o --a"
    " --newermt= --newerat= --newerct= --newerBt= --newermm= --newerma= --newermc= --newermB= --newerac= --newercc= --newerBB="
    " --xattr --acl --xattrname= --flags= --sparse --Btime= --Bmin= --mnewer= --Bnewer="
)


_SED_SUBSTITUTES = re.compile(r"[sy](.)(?:\\.|(?!\1).)*\1(?:\\.|(?!\1).)*\1([a-zA-Z0-9]*)", re.DOTALL)
#: The same where brackets keep what ends a pattern, as in the seds of BSD and busybox.
_SED_BRACKETS = re.compile(r"[sy](.)(?>\\.|\[\^?\]?[^]\n]*\]|(?!\1).)*+\1(?:\\.|(?!\1).)*\1([a-zA-Z0-9]*)", re.DOTALL)
_SED_ADDRESSES = (r"(?<!\\)/(\\.|[^/])*/", r"(?<!\\)/(?>\\.|\[\^?\]?[^]\n]*\]|[^/])*+/")
_SED_DOES = re.compile(r"(^|[;{}\n!]|[0-9$,+~IM])\s*[eEwWrR]|(^|[;,{}\n])\s*\\[^\s]")
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def find(call: Call) -> str | None:
    """find with tests and actions that only show; what it runs is judged on its own."""
    args = list(call.args)
    while (start := next((index for index, value in enumerate(args) if value in _FIND_RUNS), None)) is not None:
        end = next((index for index in range(start, len(args)) if args[index] in (";", "+")), len(args) - 1)
        del args[start : end + 1]
    if not call.is_wrapper and any(value in _FIND_RUNS for value in call.args):
        return "find runs something that is not known"
    unknown = given(args, _FIND).unknown
    if unknown is None:
        return None
    return "find could be given an action" if unknown[:1] == ANY else f"find {shown(unknown)} is not known to read only"


def sed(call: Call) -> str | None:
    """sed that prints: no editing in place, no writing, no running."""
    if call.has("-i", "--in-place") or any(re.match(r"-[nErsuz]*i", value) for value in call.args):
        return "sed -i changes files"
    if call.has("-l", "--line-length"):
        return "this option of sed takes a word that could be taken for its script"
    if call.has("-f", "--file"):
        return "sed reads its script from a file"
    scripts, files = _scripts(
        call,
        ("-e", "--expression"),
        (
            "-E",
            "-r",
            "-n",
            "-s",
            "-u",
            "-z",
            "--quiet",
            "--silent",
            "--regexp-extended",
            "--separate",
            "--unbuffered",
            "--null-data",
            "--posix",
            "--debug",
            "--sandbox",
            "--follow-symlinks",
            "--binary",
            "-b",
        ),
    )
    if not scripts or any(value.startswith("-") for value in files if value != "-"):
        return "sed's script is not known"
    for script in scripts:
        if len(script) > _MOST_TEXT:
            return "sed's script is too long to be judged"
        if OUT in script or ANY in script:
            text = script.replace(ANY, "x")
            if ANY in script or not re.match(r"\d|s(.)|/|\\?\$|\^", text):
                return "sed's script is not known"
        if _sed_does_more(script):
            return "sed's script may write a file, read another one or run a command"
    return secret_in(call, files)


def _sed_does_more(script: str) -> bool:
    """A command of the script writes, reads or runs something, in one of the two ways in which its patterns can end."""
    for substitutes, address in zip((_SED_SUBSTITUTES, _SED_BRACKETS), _SED_ADDRESSES, strict=True):
        rest = substitutes.sub(lambda match: "\0" if set(match[2]) & set("ewWE") else "", script)
        rest = re.sub(address, "1", rest)
        if "\0" in rest or _SED_DOES.search(rest):
            return True
    return False


def _scripts(call: Call, valued: tuple[str, ...], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The scripts and the files of sed's arguments."""
    scripts: list[str] = []
    rest: list[str] = []
    args = list(call.args)
    while args:
        value = args.pop(0)
        if value in valued and args:
            scripts.append(args.pop(0))
        elif value.startswith("--expression="):
            scripts.append(value.partition("=")[2])
        elif re.fullmatch(r"-[nErsuz]+e", value) and args:
            scripts.append(args.pop(0))
        elif value in flags or re.fullmatch(r"-[nErsuz]+|-l\d*", value):
            continue
        elif value == "--":
            rest.extend(args)
            break
        elif value.startswith("-") and value != "-":
            return [], []  # an option that is not known may take the script for its value
        else:
            rest.append(value)
    if not scripts and rest:
        scripts.append(rest.pop(0))
    return scripts, rest


_TAR = options(
    "!-td -xOvzjJaWpPinsRhSkmZlB -fbCNKVH= !--list !--diff !--compare --extract --get !--to-stdout --gzip --gunzip --ungzip --bzip2 --xz"
    " --lzma --lzip --lzop --zstd --auto-compress --no-auto-compress --uncompress --verbose --file= --directory= --wildcards --no-wildcards"
    " --wildcards-match-slash --no-wildcards-match-slash --anchored --no-anchored --ignore-case --no-ignore-case --exclude="
    " --strip-components= --show-transformed-names --full-time --utc --numeric-owner --occurrence=? --force-local --absolute-names"
    " --ignore-zeros --block-number --totals=? --quoting-style= --one-file-system --same-owner --no-same-owner --no-same-permissions"
    " --same-permissions --preserve-permissions --selinux --acls --xattrs --no-recursion --recursion --seek --no-seek --test-label"
    " --record-size= --blocking-factor= --read-full-records --format= --posix --starting-file= --newer= --newer-mtime= --after-date="
    " --warning= --check-device --no-check-device --label= --no-quote-chars="
)


def tar(call: Call) -> str | None:
    """tar that lists, compares or prints."""
    args = list(call.args)
    if args and re.fullmatch("[A-Za-z]+", args[0]):
        # The old style: no dash, and the names behind all the letters.
        letters = args.pop(0)
        args = [f"-{letters.replace('f', '')}", *(["-f"] if "f" in letters else []), *args]
    said = given(args, _TAR)
    if said.unknown is not None:
        return f"tar {shown(said.unknown)} is not known to read only"
    archives = said.values(("-f", "--file"))
    if any(re.match(r"[^/]*:", value) for value in (*archives, *said.operands)) and not said.has(("--force-local",)):
        return "tar asks another machine for the archive"
    writes = said.has(("-x", "--extract", "--get")) and not said.has(("-O", "--to-stdout"))
    return "tar writes files" if writes or not said.has((*_TAR.musts, "-x", "--extract", "--get")) else None


_UNZIP = options("!-lvtzpZc -qjaCLMTs12hmUVWx -P=")


def unzip(call: Call) -> str | None:
    """unzip that lists, tests or prints."""
    # Behind the archive stand the names of what is in it, which may look like options.
    is_told = not given(call.args, _UNZIP, most=1).misses(_UNZIP)
    return None if is_told and given(call.args, _UNZIP).unknown is None else "unzip writes files"


_COMPRESSOR = options(
    "-dkvqflctLnNhVze# -TMC= --list --test --stdout --to-stdout --decompress --uncompress --compress --keep --force --quiet --verbose"
    " --no-name --name --fast=? --best --threads= --memory= --memlimit= --format= --check= --robot --long=? --ultra --adapt --no-progress"
    " --small --no-check --rsyncable --synchronous --single-stream --ignore-check --info-memory --extreme --no-warn --progress"
)
_PRINTS = ("-l", "-t", "-c", "--list", "--test", "--stdout", "--to-stdout")


def compressor(call: Call) -> str | None:
    """gzip, xz, bzip2, zstd and lz4 that list, test or print."""
    said = given(call.args, _COMPRESSOR)
    if said.unknown is not None:
        return f"{call.name} {shown(said.unknown)} is not known to read only"
    if call.name == "lz4" and (len(said.operands) > 1 or said.has(("-l",))):
        return "lz4 writes its second operand, or the older format"
    if said.has(_PRINTS) or not any(value != "-" for value in said.operands):
        return secret_in(call, said.operands)
    return f"{call.name} replaces files"
