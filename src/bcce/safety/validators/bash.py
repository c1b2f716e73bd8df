"""Judges bash and POSIX sh: the verdict is the strictest over every command of the parse tree."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

from bcce.kit.findings import Effects, Finding, Rule, Severity, Verdict, worst
from bcce.kit.text import has_hidden
from bcce.plugins import Services
from bcce.safety.bash.effects import effects_of, writes
from bcce.safety.bash.environment import Environment
from bcce.safety.bash.hidden import hides_in_index
from bcce.safety.bash.opinion import disagreement
from bcce.safety.bash.parse import Columns
from bcce.safety.bash.paths import is_device, is_endless, is_secret
from bcce.safety.bash.printed import Printer
from bcce.safety.bash.reader import read_script
from bcce.safety.bash.readers import STREAMING, why_not_reader
from bcce.safety.bash.readers.variables import is_harmful_name
from bcce.safety.bash.script import Command, Redirect, Script
from bcce.safety.bash.unwrap import make_view
from bcce.safety.bash.values import ANY, OUT, STAR, has_private, holes
from bcce.safety.bash.view import Call, Embedded, View
from bcce.safety.bash.wrappers import SHELLS
from bcce.safety.model import MAX_BYTES, CommandUse, Judgement
from bcce.safety.report import CommonRules, command_use, finding, in_order, judge_version, rule
from bcce.safety.rules.bash import BashRule, all_rules

MAX_EMBEDDED = 5
_REDEFINERS = frozenset({"alias", "hash", "enable"})
_ARGUMENTS = ("@", "*", *map(str, range(1, 100)))
#: Source: bash(1), Parameter Expansion: the operator P runs what it finds.
_PROMPT = re.compile(r"@P\}")
#: Wrappers that only bound, time or repeat what they run.
_PLAIN_WRAPPERS = frozenset({"timeout", "env", "sudo", "time", "command", "nohup", "bash", "sh", "stdbuf"})
_ODD = (
    (re.compile(r"\$\{(?:LD_|BASH_|DYLD_|PERL|PYTHON|GIT_)\w{0,40}:?="), "what other commands do is changed"),
    (re.compile(r"\bhead\b[^|;\n]{0,80}-c ?\d{1,9}[GTPEZY]"), "more is read than fits into memory"),
    (re.compile(r"(?<!\$)\({3,}"), "parentheses that can be read in two ways"),
    (re.compile(r"\bPATH=[^\s;&|]{0,200}\$\{PATH[^}]|\$\{PATH:?="), "the folders of the commands are changed"),
)
_ENDLESS = re.compile(r"\b(?:while\s{1,9}(?:true|:|\(\(\s{0,9}1\s{0,9}\)\)|\[\s1\s\])|until\s{1,9}false)\s{0,9}[;\n]\s{0,9}do\b")
_ENDS = re.compile(r"\b(?:break|sleep|read|exit|return|wait|inotifywait)\b")
#: A value to be put into the text before it runs. Format strings of Go (`{{.Names}}`, `{{json .}}`) are read by the command itself.
_TEMPLATE = re.compile(
    r"\{\{-?\s{0,9}(?!(json|range|end|if|else|with|printf|println|index|len|eq|ne|and|or|not|upper|lower|join|split|slice|title|define|"
    r"block"
    r"|template|call)\b)[A-Za-z_]\w{0,99}(\.\w{1,99}|\[[^\[\]{}]{0,99}\]){0,9}\s{0,9}(\|[^{}]{0,200})?-?\}\}"
)

_COMMON = CommonRules.of("bash", parameter='"$NAME"')
FORK_BOMB = rule(
    "bash.fork-bomb",
    "The script multiplies itself without end",
    Verdict.BLOCK,
    Severity.CRITICAL,
    "the machine stops answering",
    "remove it",
)
BUILT_IN = (*_COMMON.all(), FORK_BOMB)


class BashValidator:
    """A ScriptValidator for bash."""

    name = "bash"

    def __init__(self, rules: tuple[BashRule, ...] | None = None, *, second_opinion: bool = True) -> None:
        self._rules = all_rules() if rules is None else rules
        self._second_opinion = second_opinion
        self.version = judge_version(self.name, 2)

    @classmethod
    def build(cls, services: Services) -> "BashValidator":
        """A validator with every rule."""
        return cls()

    def judge(self, text: str, *, parameters: Collection[str] = ()) -> Judgement:
        """The judgement; never raises."""
        text = text.replace("\r\n", "\n")
        uses: list[CommandUse] = []
        findings, effects = self._judge(text, frozenset(parameters), 0, uses)
        if self._second_opinion and not findings:
            found = disagreement(text)
            if found is not None:
                findings = [finding(_COMMON.disagreement, message=found)]
        shown = in_order(findings, _COMMON.too_large)
        if not text.isascii():
            columns = Columns(text)
            shown = [
                replace(item, column=columns.of(item.line, item.column), end_column=columns.of(item.end_line, item.end_column))
                for item in shown
            ]
            uses = [replace(use, column=columns.of(use.line, use.column)) for use in uses]
        return Judgement(
            verdict=worst(item.verdict for item in shown),
            findings=tuple(shown),
            effects=effects,
            validator_version=self.version,
            shell=self.name,
            commands=tuple(uses),
        )

    def _judge(self, text: str, parameters: frozenset[str], depth: int, uses: list[CommandUse]) -> tuple[list[Finding], Effects]:
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            return [finding(_COMMON.too_large)], Effects(unknown=frozenset({"everything"}))
        script = read_script(text)
        seen = look(script, parameters)
        findings = [
            *_about_text(text, is_outer=depth == 0),
            *(
                finding(_COMMON.not_understood, line=item.line, column=item.column, text=item.text, message=item.what)
                for item in script.problems
            ),
            *(_at(item.rule, place.at, place.message) for item in self._rules for place in item.find(seen)),
            *_about_calls(seen),
            *_about_variables(seen),
        ]
        effects = effects_of(seen)
        uses += (_use(call, script.functions) for call in _judged(seen))
        for embedded in seen.embedded:
            command = embedded.call.command
            if depth >= MAX_EMBEDDED:
                findings.append(_at(_COMMON.not_understood, command, "scripts within scripts are nested too deeply"))
                continue
            if not embedded.text.strip() or holes(embedded.text) & {ANY, OUT, STAR}:
                findings.append(_at(_COMMON.dynamic, command, "a part of the script that runs here is computed"))
            if not embedded.call.is_clear:
                findings.append(_at(_COMMON.unknown, command, "a script runs somewhere else, or as somebody else"))
            inner_uses: list[CommandUse] = []
            more, inner_effects = self._judge(embedded.text, parameters.union(_handed_on(seen, embedded)), depth + 1, inner_uses)
            findings += [_moved(item, command) for item in more]
            uses += [replace(use, line=command.line, column=command.column) for use in inner_uses]
            effects = effects.merge(inner_effects)
        if script.problems:
            effects = effects.merge(Effects(unknown=frozenset({"parts that are not understood"})))
        return findings, effects


def look(script: Script, parameters: Collection[str]) -> View:
    """The script as rules see it."""
    printer = Printer(script)
    environment = Environment(script, parameters, printer)
    printer.environment = environment
    return make_view(script, environment, parameters)


def _handed_on(seen: View, embedded: Embedded) -> Iterator[str]:
    """The names under which a script inside may find outside text, or the name of a secret place."""
    lost = seen.environment.lost
    if embedded.arguments and lost(embedded.arguments) == ANY:
        yield from _ARGUMENTS
    yield from (name for name in seen.script.assigned if lost(seen.environment.values(name)) == ANY)
    yield from (name for name, value in embedded.call.settings if lost((value,)) == ANY)


def _about_text(text: str, *, is_outer: bool) -> Iterator[Finding]:
    if is_outer and ("\ufffd" in text or has_hidden(text) or has_private(text) or "\r" in text or "\0" in text):
        yield finding(_COMMON.hidden)
    match = _TEMPLATE.search(text)
    if match:
        yield finding(_COMMON.template, line=text[: match.start()].count("\n") + 1, column=1, text=match[0])
    match = _PROMPT.search(text)
    if match:
        line = text[: match.start()].count("\n") + 1
        yield finding(
            _COMMON.not_understood, line=line, column=1, text=match[0], message="the value of a variable is expanded like a prompt"
        )
    for match in islice(_ENDLESS.finditer(text), 20):
        body = text[match.end() : text.find("done", match.end())]
        if not _ENDS.search(body):
            line = text[: match.start()].count("\n") + 1
            yield finding(_COMMON.unknown, line=line, column=1, text=match[0], message="the loop never ends")
    for pattern, what in _ODD:
        match = pattern.search(text)
        if match:
            line = text[: match.start()].count("\n") + 1
            yield finding(_COMMON.not_understood, line=line, column=1, text=match[0], message=what)


def _about_calls(seen: View) -> Iterator[Finding]:
    functions = seen.script.functions
    for call in seen.calls:
        if call.is_opaque and why_not_reader(call) is not None:
            yield _at(_COMMON.not_understood, call.command, f"what {call.name} runs here is not understood")
        elif call.name is None:
            yield _at(_COMMON.dynamic, call.command, None)
        elif call.name in _REDEFINERS and why_not_reader(call) is not None:
            yield _at(_COMMON.redefined, call.command, None)
        elif call.name in SHELLS and set(call.chain) - _PLAIN_WRAPPERS:
            yield _at(_COMMON.unknown, call.command, f"a shell runs inside {call.chain[-1]}, which no look at the machine needs")
        elif call.is_wrapper and call.name != "find":  # which acts by itself as well
            if not call.is_clear or any(is_harmful_name(name, value) for name, value in call.settings):
                yield _at(_COMMON.unknown, call.command, f"{call.name} is not proven to read only")
            continue  # what it runs is judged instead of it
        else:
            reason = why_not_reader(call, functions)
            if call.name in functions and call.command.function == call.name:
                reason = "the function calls itself"
            if reason is None and not call.is_clear:
                reason = f"it runs inside {call.chain[-1]}, somewhere else or as somebody else"
            if reason is not None:
                yield _at(_COMMON.secret if "secrets are kept" in reason else _COMMON.unknown, call.command, reason)
    for redirect in seen.redirects():
        if writes(seen, redirect):
            yield _at(_COMMON.writes, redirect, None)
        elif redirect.operator in ("<", "<>") and any(is_secret(target) for target in seen.targets(redirect)):
            yield _at(_COMMON.secret, redirect, None)
        elif redirect.operator in ("<", "<>") and any(is_device(target) for target in seen.targets(redirect)):
            yield _at(_COMMON.unknown, redirect, "it reads a disk or memory directly")
    endless = {
        id(redirect)
        for redirect in seen.redirects()
        if redirect.operator == "<" and any(is_endless(item) for item in seen.targets(redirect))
    }
    for call in seen.calls if endless else ():
        if call.name not in STREAMING and any(id(redirect) in endless for redirect in call.command.redirects):
            yield _at(_COMMON.unknown, call.command, "it reads without end")


def _judged(seen: View) -> Iterator[Call]:
    """The calls that need a decision: wrappers that do not are judged by what they run."""
    for call in seen.calls:
        is_plain = call.is_wrapper and call.is_clear and not any(is_harmful_name(name, value) for name, value in call.settings)
        if not is_plain:
            yield call


def _use(call: Call, functions: Collection[str]) -> CommandUse:
    command = call.command
    names = [name for name, _ in (*call.settings, *command.assignments)]
    is_plain = call.is_clear and not call.is_opaque and call.name not in functions and not any(map(is_harmful_name, names))
    argv = (call.name or ANY, *call.args, *((ANY,) if call.is_fed else ()))
    is_fed = bool(command.inputs) or any(redirect.operator.startswith("<") for redirect in command.redirects)
    return command_use(argv, command.raw, line=command.line, column=command.column, is_plain=is_plain, is_fed=is_fed)


def _about_variables(seen: View) -> Iterator[Finding]:
    script = seen.script
    first = script.commands[0] if script.commands else None
    for name in script.assigned:
        values = seen.environment.values(name)
        is_given = any(place.kind not in ("set", "append") for place in script.assigned[name])
        if any(is_harmful_name(name, None if is_given else value) for value in values):
            yield _at(_COMMON.redefined, first, f"{name} changes what other commands do")
        if any(map(hides_in_index, values)):
            yield _at(_COMMON.not_understood, first, f"the value of {name} would run a command in arithmetic")
    for name, body in script.functions.items():
        itself = [command for command in body if command.argv and command.argv[0].raw == name]
        if len(itself) > 1 and any(other in command.inputs for command in itself for other in itself):
            yield _at(FORK_BOMB, itself[0], None)
        if name in ("command_not_found_handle", "PROMPT_COMMAND"):
            yield _at(_COMMON.redefined, first, f"{name} runs without being called")
    for name in sorted(script.computed):
        if name not in seen.parameters and not any(ANY in value for value in seen.environment.values(name)):
            continue
        yield _at(_COMMON.not_understood, first, f"arithmetic would run a command that {name} holds")


def _at(rule: Rule, place: Command | Redirect | None, message: str | None) -> Finding:
    if place is None:
        return finding(rule, message=message)
    if isinstance(place, Redirect):
        text = f"{place.operator} {place.target.raw if place.target else ''}".strip()
        return finding(rule, line=place.line, column=place.column, text=text, message=message)
    base = finding(rule, line=place.line, column=place.column, text=place.raw, message=message)
    return replace(base, end_line=place.end_line, end_column=place.end_column)


def _moved(finding: Finding, command: Command) -> Finding:
    """A finding inside embedded text, shown at the command that runs it."""
    return replace(finding, line=command.line, column=command.column, end_line=command.end_line, end_column=command.end_column)
