"""Places: where secrets are kept, what is a disk, what the whole machine lives in. The patterns stand in places.txt."""

import posixpath
import re
from functools import lru_cache

from bcce.safety.bash.table import table_lines
from bcce.safety.bash.values import ANY, OUT, could_be, holes, is_literal, literal_parts, prefix


def _patterns(kind: str) -> re.Pattern[str]:
    return re.compile("|".join(line.partition(" ")[2] for line in _LINES if line.startswith(f"{kind} ")))


#: A path, as far as it is plain, wherever it stands.
_PATHS = re.compile(r"[\w.~-]{0,99}/[\w.~/-]{1,500}")
#: Longer than any path can be. Source: limits.h(0p), PATH_MAX of Linux.
_PATH_MAX = 4096
_LINES = tuple(table_lines("places.txt"))
#: A literal path that names a secret, wherever it stands, and what only looks like one.
_SECRET = _patterns("secret")
_NOT_SECRET = _patterns("public")
_DEVICE = _patterns("disk")
_TREE = _patterns("tree")
#: Where a pattern or an unknown name is looked for: one path of each kind.
_EXAMPLES = tuple(line.partition(" ")[2] for line in _LINES if line.startswith("example "))
_RELATIVE = tuple(dict.fromkeys(path.rpartition("/")[2] for path in _EXAMPLES))
#: Trees that hold single applications: removing one is a decision, not always a disaster.
_SMALL_TREE = re.compile(r"/(srv|opt|data)/[a-z]+|/var/(cache|run|opt)|/run|/backups?|/usr/lib/[^/]+|/media|/mnt")


def normal(path: str) -> str:
    """The path without `.`, `..` and double slashes; a home becomes /root or /home/NAME."""
    if path.startswith("~"):
        owner, slash, rest = path[1:].partition("/")
        path = ("/root" if owner in ("", "root", "+") else f"/home/{owner}") + slash + rest
    if not path:
        return path
    found = posixpath.normpath(path)
    return "/" + found.lstrip("/") if found.startswith("/") else found


#: A pattern with more open places than any honest path has takes too long to try out.
_MOST_HOLES = 8


@lru_cache(maxsize=4096)
def is_secret(value: str) -> bool:
    """The value names, or may turn out to name, a place where secrets are kept."""
    if len(value) > _PATH_MAX:
        return True
    if is_literal(value):
        path = normal(value)
        return bool(_SECRET.search(path)) and not _NOT_SECRET.search(path)
    if ANY in value or len(value) - len("".join(literal_parts(value))) > _MOST_HOLES:
        return True
    start = prefix(value)
    if value[0] == OUT and len(value) == 1:
        return False  # what a command on this machine printed was judged where it came from
    path = normal(start) + ("/" if start.endswith("/") and start != "/" else "") if start else ""
    if path and not path.startswith("/") and path in (".", ".."):
        path = ""
    pattern = could_be(path + value[len(start) :])
    parts = literal_parts(value)
    is_absolute = path.startswith("/") or (not start and value[0] == OUT)
    examples = _EXAMPLES if is_absolute else _RELATIVE
    if any(pattern.fullmatch(example) for example in examples):
        # A pattern that only fits because its first hole could be anything, with an ending of its own, is judged by that ending.
        return True
    joined = "x".join(parts) if not value.endswith(parts[-1] if parts else "\0") else "".join(parts)
    return bool(parts) and bool(_SECRET.search(normal(joined)) and not _NOT_SECRET.search(normal(joined)))


def covers_secret(folder: str) -> bool:
    """Everything below the folder would include a secret place."""
    if ANY in folder:
        return True
    if not is_literal(folder):
        return is_secret(folder) or covers_secret(prefix(folder).rpartition("/")[0] or "/") if prefix(folder).startswith("/") else False
    path = normal(folder)
    base = "/" if path == "/" else f"{path}/"
    return is_secret(folder) or (path.startswith("/") and any(example.startswith(base) for example in _EXAMPLES))


def names_secret(text: str) -> bool:
    """Somewhere in the text stands a path to a place where secrets are kept."""
    return any(is_secret(path) for path in set(_PATHS.findall(text.lower())))


def is_device(path: str) -> bool:
    """A disk, a volume or the machine's memory."""
    return _DEVICE.match(normal(prefix(path))) is not None


def is_endless(path: str) -> bool:
    """Reading it never comes to an end."""
    return path in ("/dev/zero", "/dev/full") or (path.startswith("/dev/") and path.endswith("random"))


def is_tree(path: str, *, large: bool = False) -> bool:
    """The whole of a folder that the system or all data lives in; with `large`, not those of single applications."""
    value = path
    for ending in ("/\ue003", "/.\ue003", "/{\ue003,.\ue003}", "/\ue003\ue003"):
        value = value.removesuffix(ending)
    if value in ("\ue003", ".", "..", "./", "../") or path in ("./\ue003", "../\ue003"):
        return False
    if value == "" and path.startswith("/"):
        value = "/"
    if not is_literal(value):
        # /h*me, /*/bin: a pattern over such a folder.
        if holes(value) & {ANY, OUT} or not value.startswith("/"):
            return False
        return value.count("/") == 1 and any(could_be(value).fullmatch(f"/{name}") for name in ("etc", "usr", "var", "home", "bin", "boot"))
    cleaned = normal(value)
    return bool(_TREE.fullmatch(cleaned) or (value.startswith("~") and re.fullmatch(r"~[^/]*/?", value))) and not (
        large and _SMALL_TREE.fullmatch(cleaned)
    )
