"""Takes wrappers off: from the words of a command to the calls and scripts inside it."""

import re
import shlex
from collections.abc import Collection, Sequence

from bcce.safety.bash.environment import Environment
from bcce.safety.bash.script import Script
from bcce.safety.bash.values import ANY, OUT, STAR, is_literal
from bcce.safety.bash.view import Call, Embedded, View
from bcce.safety.bash.wrappers import JOINED, SCRIPT_OPTIONS, SHELLS, WRAPPERS, Wrapper

_TRUSTED_FOLDERS = ("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/")
_VERSIONED = re.compile(r"(python|perl|ruby|php|lua|node|pip|gcc|clang)[0-9.]+")
_MAX_CHAIN = 10


def make_view(script: Script, environment: Environment, parameters: Collection[str]) -> View:
    """The script as rules see it."""
    seen = View(script, environment, frozenset(parameters))
    for command in script.commands:
        settings = tuple((name, " ".join(way)) for name, word in command.assignments for way in environment.expand(word, splits=False)[:1])
        first = len(seen.calls)
        for fields in environment.line(command.argv):
            _unwrap(seen, fields, Call(None, (), (), command, settings=settings))
        seen.by_command[id(command)] = seen.calls[first:]
    folders = tuple(dict.fromkeys(value for call in seen.calls if call.name in ("cd", "pushd") for value in call.operands[:1]))
    for call in seen.calls:
        call.folders = folders
    return seen


def base_name(name: str) -> str | None:
    """The command that a word names: a path only counts in the system's own folders, because `./cat` is not `cat`."""
    if not is_literal(name):
        return None
    if "/" not in name:
        match = _VERSIONED.fullmatch(name)
        return match[1] if match else name
    folder, _, last = name.rpartition("/")
    return base_name(last) if f"{folder}/" in _TRUSTED_FOLDERS else name


def _unwrap(seen: View, fields: Sequence[str], outer: Call) -> None:
    """Adds the call, and those inside it if it is a wrapper."""
    if not fields:
        seen.calls.append(Call(None, (), outer.chain, outer.command, outer.is_fed, outer.is_clear, settings=outer.settings))
        return
    name = base_name(fields[0])
    call = Call(name, tuple(fields[1:]), outer.chain, outer.command, outer.is_fed, outer.is_clear, settings=outer.settings)
    seen.calls.append(call)
    if name is None:
        return
    if len(call.chain) >= _MAX_CHAIN:
        call.is_opaque = True
        return
    if name == "find":
        _find(seen, call)
        return
    if name == "eval" or (name in SHELLS and name != "busybox sh"):
        _shell(seen, call)
        return
    if name == "trap":
        _trap(seen, call)
        return
    grammar, key, rest = _grammar(call)
    if grammar is None:
        return
    inner = _after_options(call, grammar, rest)
    if inner is None:
        call.is_opaque = True
        return
    _inside(seen, call, key, grammar, inner)


def _grammar(call: Call) -> tuple[Wrapper | None, str, tuple[str, ...]]:
    """The wrapper's grammar, its name, and the arguments behind the words of its name."""
    name = str(call.name)
    if name in WRAPPERS:
        return WRAPPERS[name], name, call.args
    for key in WRAPPERS:
        words = key.split()
        if len(words) > 1 and words[0] == name:
            for index in range(len(call.args) - len(words) + 2):
                if call.args[index : index + len(words) - 1] == tuple(words[1:]):
                    return WRAPPERS[key], key, call.args[index + len(words) - 1 :]
    return None, name, ()


def _after_options(call: Call, grammar: Wrapper, args: tuple[str, ...]) -> tuple[str, ...] | None:
    """What follows the wrapper's own options and operands; None if that cannot be told."""
    index, left = 0, grammar.operands
    while index < len(args):
        value = args[index]
        if value == "--":
            index += 1
            break
        if grammar.assigns and re.match(r"[A-Za-z_]\w*=", value):
            name, _, text = value.partition("=")
            call.settings = (*call.settings, (name, text))
            index += 1
        elif value.startswith("-") and (value != "-" or "-" in grammar.flags):
            step = _option(grammar, value)
            if step == 0:
                return None
            index += step
        elif value[:1] in (OUT, STAR, "\ue000") and len(args) > index + 1:
            return None
        elif left:
            left -= 1
            index += 1
        else:
            break
    return args[index:]


def _option(grammar: Wrapper, value: str) -> int:
    """How many words the option takes; 0 if it is not known."""
    if value in grammar.flags:
        return 1
    if value in grammar.valued:
        return 2
    if value.startswith("--"):
        word = value.partition("=")[0]
        known = [option for option in grammar.valued | grammar.flags if option.startswith(word)]
        if "=" in value:
            return 1 if known else 0
        return (2 if known[0] in grammar.valued else 1) if len(known) == 1 else 0
    for position, letter in enumerate(value[1:], start=1):
        if f"-{letter}" in grammar.valued:
            return 1 if position < len(value) - 1 else 2
        if f"-{letter}" not in grammar.flags:
            return 0
    return 1


def _inside(seen: View, call: Call, key: str, grammar: Wrapper, inner: tuple[str, ...]) -> None:
    """Adds what the wrapper runs."""
    is_clear = call.is_clear and grammar.is_clear
    given = Call(None, (), (*call.chain, key), call.command, call.is_fed or key == "xargs", is_clear, settings=call.settings)
    for option in SCRIPT_OPTIONS.get(key, ()):
        if option in call.args[:-1]:
            call.is_wrapper = True
            seen.embedded.append(Embedded(given, call.args[call.args.index(option) + 1]))
            return
    if key in ("su", "runuser"):
        inner = inner[1:] if key == "su" else inner
    if not inner:
        return
    call.is_wrapper = True
    if key in JOINED and not (key == "watch" and call.has("-x", "--exec")):
        text = " ".join(inner)
        if key == "parallel":
            text = " ".join(inner[: inner.index(":::")] if ":::" in inner else inner)
        seen.embedded.append(Embedded(given, text))
        return
    if key == "xargs":
        if call.has("-a", "--arg-file"):
            given.is_clear = call.is_clear = False
        marks = [call.args[index + 1] for index, value in enumerate(call.args[:-1]) if value in ("-I", "--replace")]
        marks += [value[2:] for value in call.args if value.startswith("-I") and len(value) > 2]
        marks += ["{}"] if "-i" in call.args else []
        is_piped = call.command.inputs and not call.has("-a", "--arg-file")
        fed = seen.environment.printed(call.command.inputs) if is_piped else (ANY,)
        if "xargs" in call.chain:
            # Not line by line for each line of another: that has no end.
            fed = fed[:1] if seen.environment.lost(fed) != ANY else (ANY,)
        known = [mark for mark in marks if mark and is_literal(mark)]
        given.is_fed = given.is_fed and not known
        for line in fed if known else ():
            replaced = inner
            for mark in known:
                replaced = tuple(value.replace(mark, line) for value in replaced)
            _unwrap(seen, replaced, given)
        if known:
            return
        if not marks:
            inner = (*inner, *_words(seen, call, fed))
    _unwrap(seen, inner, given)


def _words(seen: View, call: Call, lines: Sequence[str]) -> Sequence[str]:
    """What xargs makes of lines: words, which may be quoted. What another separator makes is added as a hole."""
    if call.has("-0", "--null", "-d", "--delimiter"):
        return (*lines, seen.environment.lost(lines))
    found: list[str] = []
    for line in lines:
        try:
            found += shlex.split(line)
        except ValueError:
            found += line.split()
    return found or [""]


def _find(seen: View, call: Call) -> None:
    """What `find -exec` runs, with the found paths for `{}`."""
    args = call.args
    roots = [value for value in call.operands[:1] if not value.startswith(("(", "!"))]
    path = f"{roots[0].rstrip('/')}/{STAR}{OUT}" if roots and is_literal(roots[0]) else OUT
    for index, value in enumerate(args):
        if value in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(index + 1, len(args)) if args[i] in (";", "+")), len(args))
            call.is_wrapper = True
            inner = tuple(word.replace("{}", path) for word in args[index + 1 : end])
            _unwrap(seen, inner, Call(None, (), (*call.chain, "find"), call.command, False, call.is_clear, settings=call.settings))


def _shell(seen: View, call: Call) -> None:
    """The script that a shell or `eval` is given in its arguments or its input."""
    given = Call(None, (), (*call.chain, str(call.name)), call.command, call.is_fed, call.is_clear, settings=call.settings)
    if call.name == "eval":
        if call.args:
            call.is_wrapper = True
            seen.embedded.append(Embedded(given, " ".join(value for value in call.args if value != "--")))
        return
    args = call.args
    for index, value in enumerate(args):
        if re.fullmatch(r"-[a-z]*c[a-z]*", value) and index + 1 < len(args):
            rest = [word for word in args[index + 1 :] if not word.startswith("-")]
            if rest and all(re.fullmatch(r"-[ceux]+|-[euxo]+|pipefail|errexit|nounset|--", word) for word in (*args[:index], value)):
                call.is_wrapper = True
                seen.embedded.append(Embedded(given, rest[0], arguments=tuple(rest[1:])))
            elif rest:
                seen.embedded.append(Embedded(given, rest[0], arguments=tuple(rest[1:])))
            return
        if not value.startswith("-"):
            return
    if any(option in ("-n", "--version", "--help") for option in args):
        return
    found = False
    for redirect in call.command.redirects:
        if redirect.operator == "<<":
            seen.embedded.append(Embedded(given, redirect.body))
            found = True
        elif redirect.operator == "<<<":
            seen.embedded.extend(Embedded(given, text) for text in seen.targets(redirect))
            found = True
    if call.command.inputs:
        texts = seen.environment.texts(call.command.inputs)
        seen.embedded.extend(Embedded(given, text) for text in texts)
        found = bool(texts)
    call.is_wrapper = found and all(re.fullmatch(r"-[euxs]+|--", value) for value in args)


def _trap(seen: View, call: Call) -> None:
    """The script that a trap runs; `trap - EXIT`, `trap '' INT` and `trap -p` run none."""
    words = [value for value in call.args if value != "--"]
    call.is_wrapper = True
    if len(words) < 2 or words[0] in ("-", "", "-p", "-l"):
        return
    if any(word in ("DEBUG", "RETURN") for word in words[1:]) or not is_literal(words[0]):
        call.is_wrapper = False
    seen.embedded.append(Embedded(call, words[0]))
