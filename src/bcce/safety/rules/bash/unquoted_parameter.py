"""Outside data in a place where it could become code or an option."""

from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.values import ANY
from bcce.safety.bash.view import View
from bcce.safety.bash.words import uses
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.parameter-as-code",
    title="A parameter could be read as code",
    severity=Severity.HIGH,
    verdict=Verdict.BLOCK,
    why="its value comes from an alert, and whoever wrote the alert would run commands here",
    instead='use it only as a quoted argument: systemctl restart -- "$SERVICE"',
    tags=("CWE-78", "CWE-88"),
    examples_match=(
        'eval "systemctl restart $SERVICE"',
        '"$SERVICE" --restart',
        'bash -c "echo $SERVICE"',
        "$SERVICE stop",
        "python3 -c \"print('$SERVICE')\"",
    ),
    examples_pass=('systemctl restart -- "$SERVICE"', 'echo "$SERVICE"'),
)
_LANGUAGES = frozenset(
    {
        "python",
        "perl",
        "ruby",
        "node",
        "php",
        "lua",
        "awk",
        "gawk",
        "mawk",
        "sed",
        "tclsh",
        "expect",
        "psql",
        "mysql",
        "sqlite3",
        "mongosh",
    }
)


def find(view: View) -> Iterable[Place]:
    """Parameters as command words, in scripts inside the script, and inside code that another interpreter reads."""
    names = view.parameters
    if not names:
        return
    for call in view.calls:
        words = call.command.argv
        if (
            call.name is None
            and words
            and any(
                part.kind in ("variable", "derived") and ANY in "".join(view.environment.values(part.text, words[0].function))
                for part in words[0].parts
            )
        ) or (
            call.name in _LANGUAGES
            and any(
                uses(word.raw, names) and ANY in way and len(way) > 1
                for word in words[1:]
                for fields in view.environment.expand(word)
                for way in fields
                if _is_code(call.name, way)
            )
        ):
            yield Place(call.command)
    for embedded in view.embedded:
        if ANY in embedded.text and any(uses(word.raw, names) for word in embedded.call.command.argv):
            yield Place(embedded.call.command)


def _is_code(name: str, text: str) -> bool:
    """The text is a program and not the name of a file or a setting."""
    return (name in ("psql", "mysql", "sqlite3", "mongosh") and " " in text) or any(mark in text for mark in "({;'\"/")
