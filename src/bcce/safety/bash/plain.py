"""The commands of a script that needs no grammar: words, quotes, plain variables, what joins commands, and commands within words.

Most scripts that look at a machine are written in this small part of the language. In it there is nothing to be understood in two ways, so
the second opinion on them is a list of tokens and not a process.
"""

import re

#: Words of bash that are no commands, and commands that change how what follows is read.
#: Source: bash(1), Reserved Words; shopt and alias. `let` is a command for one parser and not for the other.
_RESERVED = frozenset(
    {
        *(
            "[[",
            "alias",
            "case",
            "coproc",
            "declare",
            "do",
            "done",
            "elif",
            "else",
            "esac",
            "eval",
            "export",
            "fi",
            "for",
            "function",
            "if",
        ),
        *(
            "in",
            "let",
            "local",
            "readonly",
            "select",
            "set",
            "shopt",
            "source",
            ".",
            "then",
            "time",
            "typeset",
            "unalias",
            "unset",
            "until",
        ),
        "while",
    }
)
#: A plain assignment; the variables of bash itself can change how it reads.
_ASSIGNS = re.compile(r"(?!BASH|POSIX|SHELLOPTS)[A-Za-z_]\w*+=")
_TOKEN = re.compile(
    r"(?P<blank>[ \t]++|(?<![^ \t\n])\#(?:[^\n\\]|\\(?!\n))*+)"
    r"|(?P<joint>\|\|?|&&|;|\n)"
    r"|(?P<to>(?<![^ \t])[0-2]?(?:>&[12](?![^ \t\n;|&)])|(?:<|>>?)[ ]?(?=[A-Za-z_/.\"'$])))"
    r"|(?P<close>\))"
    r"|(?P<word>(?:[A-Za-z0-9_./:@%^+*?,=~!\[\]-]++|'[^']*+'|\\[;()!*.$]|\{\}|\$(?:[A-Za-z_]\w*+|[?#0-9@*$!-]|\{[A-Za-z_]\w*+\}))++)"
    r"|(?P<open>\$\((?!\())"
    r'|(?P<quote>")'
)
_QUOTED = re.compile(r"(?:[^\"$`\\!]|\\[A-Za-z.]|\$(?:[A-Za-z_]\w*+|[?#0-9@*$!-]|\{[A-Za-z_]\w*+\}))*+")
_DEEPEST = 4


def plain_commands(text: str) -> tuple[frozenset[int], int]:
    """The offsets at which the commands of the longest plain beginning start, and where it ends: at the end of a line, or of the text.

    A shell reads line by line, so what follows cannot change how these lines are read.

    Args:
        text: ASCII.
    """
    begins: list[int] = []
    end, kept = _commands(text, 0, begins, 0)
    return frozenset(begins[:kept]), end


def _commands(text: str, at: int, begins: list[int], depth: int) -> tuple[int, int]:
    """Where the commands from `at` on end, and how many of `begins` are before that; within `$(`, the place of its `)`, or -1.

    Four states follow a command: nothing read yet, an assignment read, its name read, and a joint that wants another command.
    """
    end, kept = (0, 0) if depth == 0 else (-1, 0)
    is_start, is_open, is_assigned = True, False, False
    while at < len(text):
        token = _TOKEN.match(text, at)
        kind = token.lastgroup if token is not None else None
        if token is None or (kind == "to" and is_start):
            break
        word = token[0]
        if kind == "close":
            return (at, 0) if depth and not (is_start and not is_assigned) else (end, kept)
        if kind == "joint":
            is_empty = is_start and not is_assigned
            # `;;`, and a joint with nothing before it, are errors or a line that goes on.
            if is_empty and word != "\n":
                break
            is_open = word not in (";", "\n") or (is_open and is_empty)
            is_start, is_assigned = True, False
            at = token.end()
        elif kind in ("blank", "to"):
            at = token.end()
        else:
            if is_start and kind == "word" and _ASSIGNS.match(word):
                is_assigned = True
            elif is_start:
                if kind != "word" or word in _RESERVED or word[0] in "'\\{$!]" or any(mark in word for mark in "=[" if word != "["):
                    break
                if word != "[":
                    begins.append(at)
                is_start = is_assigned = False
            at = _word(text, at, begins, depth)
            if at < 0:
                break
        if depth == 0 and not (is_start and is_open and not is_assigned) and (at >= len(text) or word == "\n"):
            end, kept = at, len(begins)
    return end, kept


def _word(text: str, at: int, begins: list[int], depth: int) -> int:
    """The end of the word at `at`; -1 where it is not plain."""
    is_quoted = False
    while at < len(text):
        token = (_QUOTED if is_quoted else _TOKEN).match(text, at)
        if token is None:
            return -1
        if is_quoted:
            at = token.end()
            if at >= len(text):
                return -1
            if text[at] == '"':
                is_quoted = False
                at += 1
                continue
            if not text.startswith("$(", at) or text.startswith("$((", at):
                return -1
            kind = "open"
        else:
            kind = token.lastgroup or ""
        if kind == "open":
            if depth == _DEEPEST:
                return -1
            at, _ = _commands(text, at + 2, begins, depth + 1)
            if at < 0:
                return -1
            at += 1
        elif kind == "quote":
            is_quoted = True
            at += 1
        elif kind == "word":
            at = token.end()
        else:
            return at
    return -1 if is_quoted else at
