"""Judges PowerShell: the verdict is the strictest over every command, method and assignment of the parse tree."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

from bcce.kit.findings import Effects, Finding, Rule, Severity, Verdict, worst
from bcce.kit.text import has_hidden
from bcce.plugins import Services
from bcce.safety.bash.values import ANY, has_private
from bcce.safety.model import MAX_BYTES, CommandUse, Judgement
from bcce.safety.powershell.effects import effects_of
from bcce.safety.powershell.embedded import embedded_scripts
from bcce.safety.powershell.grammar import Parser
from bcce.safety.powershell.members import why_not_assigned, why_not_method, why_not_type
from bcce.safety.powershell.nodes import Assign, Node, Parameter, Variable
from bcce.safety.powershell.opinion import disagreement
from bcce.safety.powershell.prepare import prepare
from bcce.safety.powershell.readers import why_not
from bcce.safety.powershell.secrets import is_secret_place, is_secret_property
from bcce.safety.powershell.tables import is_cmdlet
from bcce.safety.powershell.view import Call, View, make_view
from bcce.safety.report import CommonRules, command_use, finding, in_order, judge_version, rule
from bcce.safety.rules.powershell import PowerShellRule, all_rules

MAX_EMBEDDED = 5
_ASK = Verdict.APPROVE
_SECRET_NAME = re.compile(r"(?i)env:\w*(?:password|passwd|secret|token|api_?key|access_?key|credential|connectionstring)")
_ENDLESS = re.compile(r"(?i)\b(?:while\s*\(\s*(?:\$true|1)\s*\)|for\s*\(\s*;\s*;\s*\)|until\s*\(\s*(?:\$false|0)\s*\))")
_ENDS = re.compile(r"(?i)\b(?:break|return|exit|throw|sleep|wait-\w+)\b")
_REQUIRES = re.compile(r"(?im)^[ \t]*#requires[ \t]+-(?!version|runasadministrator|psedition).*")
_TEMPLATE = re.compile(r"\{\{-?\s{0,9}[A-Za-z_][\w.]{0,99}(?:\s{0,9}\|[^{}]{0,200})?\s{0,9}-?\}\}")

_COMMON = CommonRules.of("powershell", parameter="$env:NAME")
METHOD = rule(
    "powershell.unknown-method",
    "What this method does is not known to be harmless",
    _ASK,
    Severity.LOW,
    "it is not proven to read only",
    "a person decides",
)
ASSIGNS = rule(
    "powershell.sets-something",
    "Something other than a variable of the script is set",
    _ASK,
    Severity.MEDIUM,
    "it changes the machine or what later commands do",
    "a person decides",
)
BUILT_IN = (*_COMMON.all(), METHOD, ASSIGNS)


class PowerShellValidator:
    """A ScriptValidator for Windows PowerShell 5.1 and PowerShell 7."""

    name = "powershell"

    def __init__(self, rules: tuple[PowerShellRule, ...] | None = None, *, second_opinion: bool = True) -> None:
        self._rules = all_rules() if rules is None else rules
        self._second_opinion = second_opinion
        self.version = judge_version(self.name, 1)

    @classmethod
    def build(cls, services: Services) -> "PowerShellValidator":
        """A validator with every rule."""
        return cls()

    def judge(self, text: str, *, parameters: Collection[str] = ()) -> Judgement:
        """The judgement; never raises. `parameters` come as environment variables, which are never constant."""
        uses: list[CommandUse] = []
        findings, effects = self._judge(text, 0, uses)
        if self._second_opinion and not findings:
            found = disagreement(prepare(text))
            if found is not None:
                findings = [finding(_COMMON.disagreement, message=found)]
        shown = in_order(findings, _COMMON.too_large)
        return Judgement(
            verdict=worst(item.verdict for item in shown),
            findings=tuple(shown),
            effects=effects,
            validator_version=self.version,
            shell=self.name,
            commands=tuple(uses),
        )

    def _judge(self, text: str, depth: int, uses: list[CommandUse]) -> tuple[list[Finding], Effects]:
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            return [finding(_COMMON.too_large)], Effects(unknown=frozenset({"everything"}))
        findings: list[Finding] = []
        prepared = prepare(text)
        if depth == 0 and ("\ufffd" in text or has_hidden(text) or has_private(text) or prepared != text or "\0" in text):
            findings.append(finding(_COMMON.hidden))
        match = _TEMPLATE.search(text)
        if match:
            findings.append(finding(_COMMON.template, line=text[: match.start()].count("\n") + 1, column=1, text=match[0]))
        parser = Parser(prepared)
        try:
            statements = parser.script()
        except RecursionError:
            return [*findings, finding(_COMMON.not_understood, message="the script is nested too deeply")], Effects(
                unknown=frozenset({"everything"})
            )
        view = make_view(prepared, statements)
        places = _Places(prepared)
        findings += [places.near(_COMMON.not_understood, at, "", what) for what, at in parser.problems]
        if view.is_too_much:
            findings.append(finding(_COMMON.too_large, message="the script has too many commands"))
        findings += [places.at(item.rule, view, place.at, place.message) for item in self._rules for place in item.find(view)]
        findings += self._about(view, places)
        effects = effects_of(view)
        uses += (_use(view, call, places) for call in view.calls)
        for inner in embedded_scripts(view):
            if inner.text is None:
                findings.append(places.at(_COMMON.dynamic, view, inner.call.command, "the text that runs here is computed"))
            elif depth >= MAX_EMBEDDED:
                findings.append(places.at(_COMMON.not_understood, view, inner.call.command, "scripts within scripts are nested too deeply"))
            else:
                inner_uses: list[CommandUse] = []
                more, inner_effects = self._judge(inner.text, depth + 1, inner_uses)
                findings += [places.moved(item, inner.call.command) for item in more]
                line, column = places.of(inner.call.command.start)
                uses += [replace(use, line=line, column=column) for use in inner_uses]
                effects = effects.merge(inner_effects)
        if parser.problems:
            effects = effects.merge(Effects(unknown=frozenset({"parts that are not understood"})))
        return findings, effects

    def _about(self, view: View, places: "_Places") -> Iterator[Finding]:
        for call in view.calls:
            reason = why_not(view, call)
            if reason is not None:
                kind = _COMMON.secret if "secrets are kept" in reason else _COMMON.dynamic if call.name is None else _COMMON.unknown
                yield places.at(kind, view, call.command, reason)
        for member in view.members:
            reason = why_not_method(view, member) if member.args is not None else None
            if reason is not None:
                yield places.at(_COMMON.secret if "secrets are kept" in reason else METHOD, view, member, reason)
            elif member.args is None and is_secret_property(view.values.text(member.name) or ""):
                yield places.at(_COMMON.secret, view, member, "a property that holds a secret is read")
        for item in view.types:
            reason = why_not_type(item.name)
            if reason is not None:
                yield places.at(METHOD, view, item, reason)
        for assign in [*view.assigns, *_counted(view)]:
            reason = why_not_assigned(view, assign)
            if reason is not None:
                yield places.at(ASSIGNS, view, assign, reason)
        for redirect in view.redirects:
            target = redirect.target
            if (
                target is not None
                and not (isinstance(target, Variable) and target.name == "null")
                and view.word(target).lower() not in ("nul", "$null")
            ):
                yield places.at(_COMMON.writes, view, redirect, None)
        for variable in view.variables:
            if _SECRET_NAME.match(variable.name):
                yield places.at(_COMMON.secret, view, variable, "a variable that holds a secret is read")
            elif is_secret_place(variable.name) and ":" in variable.name:
                yield places.at(_COMMON.secret, view, variable, "a place where secrets are kept is read")
        for match in islice(_ENDLESS.finditer(view.text), 20):
            if not _ENDS.search(view.text, match.end(), match.end() + 2000):
                yield places.near(_COMMON.unknown, match.start(), match[0], "the loop never ends")
        required = _REQUIRES.search(view.text)
        if required is not None:
            yield places.near(_COMMON.unknown, required.start(), required[0], "a module runs code when it is loaded")
        for pipeline in view.pipelines:
            if pipeline.is_background:
                yield places.at(_COMMON.unknown, view, pipeline, "it goes on in the background")
        for name, function in view.functions.items():
            if is_cmdlet(name) or name in ("prompt", "tabexpansion2"):
                yield places.at(_COMMON.redefined, view, function, f"{name} gets another meaning")


def _use(view: View, call: Call, places: "_Places") -> CommandUse:
    argv = [call.name or ANY]
    for word in call.command.words:
        if isinstance(word, Parameter):
            argv += [f"-{word.name}", *([] if word.value is None else [view.word(word.value)])]
        else:
            argv.append(view.word(word))
    if call.command.verbatim:
        argv.append(ANY)
    line, column = places.of(call.command.start)
    return command_use(
        argv, view.raw(call.command), line=line, column=column, is_plain=call.name not in view.functions, is_fed=bool(call.inputs)
    )


def _counted(view: View) -> Iterator[Assign]:
    """`++` and `--` as assignments."""
    for item in view.counts:
        yield Assign(item.start, item.end, item.value, "++", item.value)


class _Places:
    """Lines and columns of offsets, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def of(self, at: int) -> tuple[int, int]:
        """The line and column of an offset."""
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1

    def near(self, rule: Rule, at: int, text: str, message: str | None) -> Finding:
        """A finding at an offset."""
        line, column = self.of(at)
        return finding(rule, line=line, column=column, text=text, message=message)

    def at(self, rule: Rule, view: View, node: Node, message: str | None) -> Finding:
        """A finding at a node."""
        return self.moved(self.near(rule, node.start, view.raw(node), message), node)

    def moved(self, item: Finding, node: Node) -> Finding:
        """A finding inside embedded text, shown at the command that runs it."""
        line, column = self.of(node.start)
        end_line, end_column = self.of(max(node.end - 1, node.start))
        return replace(item, line=line, column=column, end_line=end_line, end_column=end_column + 1)
