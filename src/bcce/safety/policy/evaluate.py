"""What the policy decides about one script. Pure.

The strictest answer counts: of the validator, of every rule of every layer that holds, and of the limits. `allow` takes back only the
validator's answer "not known to be harmless" about a command that a pattern covers word for word.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property

from bcce.kit.findings import Effects, Finding, Severity, Verdict, worst
from bcce.kit.text import digest
from bcce.safety.model import CommandUse, Judgement
from bcce.safety.policy.model import BASE, ApprovalRule, EffectClass, Layer, PolicyRule, ScopedLayer, ScriptPolicy, has_effect
from bcce.safety.policy.patterns import CommandPattern, PathPattern

#: The validators' answers that a policy may take back, behind the name of the shell.
_TAKEN_BACK = (".unknown-command",)
#: Names the rules of this module; a change of them gets a new name, so that old approvals no longer fit.
_SEMANTICS = "script-policy/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyContext:
    """Where and when a script would start. `at` None leaves windows out; `groups` are those of the target."""

    environment: str | None = None
    target: str = "local"
    groups: tuple[str, ...] = ()
    severity: Severity = Severity.MEDIUM
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """One thing that had a say: `rule` is `layer/id`, `command` the one it was about; both texts are for people."""

    rule: str
    decision: str
    what: str
    command: str = ""
    line: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What may happen to the script.

    `judgement` is the validator's with the policy's findings added and those taken back marked as allowed; its verdict is the final one.
    `approvals` is how many people have to agree: 0 when nobody has to, or nobody can. `reasons` say why, for whoever is asked.
    `policy_version` names what held, so that an approval can be bound to it.
    """

    judgement: Judgement
    approvals: int
    reasons: tuple[str, ...]
    decided: tuple[Decided, ...]
    policy_version: str

    def to_dict(self) -> dict[str, object]:
        """As JSON values: those of the judgement, and `policy` with what the policy adds."""
        decided = [{key: value for key, value in asdict(item).items() if value not in (None, "")} for item in self.decided]
        policy = {"version": self.policy_version, "approvals": self.approvals, "reasons": list(self.reasons), "decided": decided}
        return {**self.judgement.to_dict(), "policy": policy}


class EffectivePolicy:
    """The layers of a policy that hold in one place."""

    def __init__(self, policy: ScriptPolicy, *, environment: str | None, target: str, groups: tuple[str, ...]) -> None:
        chosen = {name: layer for name, layer in policy.layers.items() if _holds(layer, environment, target, groups)}
        self.layers: Mapping[str, Layer] = {BASE: policy, **chosen}

    @cached_property
    def version(self) -> str:
        """`script-policy/1+` and 12 hex digits over everything that holds."""
        parts = {name: layer.model_dump(mode="json", exclude={"tests", "layers", "name", "version"}) for name, layer in self.layers.items()}
        return f"{_SEMANTICS}+{digest(parts).removeprefix('sha256:')[:12]}"

    def decide(self, judgement: Judgement, context: PolicyContext) -> Decision:
        """The decision about a script that was judged."""
        deciding = _Deciding(judgement, context)
        for name, layer in self.layers.items():
            deciding.look(name, layer)
        return deciding.decision(self.version)


def decide(policy: ScriptPolicy, judgement: Judgement, context: PolicyContext) -> Decision:
    """What the policy says about a judged script in that place."""
    effective = EffectivePolicy(policy, environment=context.environment, target=context.target, groups=context.groups)
    return effective.decide(judgement, context)


def _holds(layer: ScopedLayer, environment: str | None, target: str, groups: tuple[str, ...]) -> bool:
    return (
        (not layer.environments or environment in layer.environments)
        and (not layer.targets or any(fnmatchcase(target, pattern) for pattern in layer.targets))
        and (not layer.groups or bool(set(layer.groups) & set(groups)))
    )


@dataclass
class _Deciding:
    """Collects what every layer says."""

    judgement: Judgement
    context: PolicyContext
    findings: list[Finding] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    allowed: dict[int, str] = field(default_factory=dict)
    approvals: int = 0
    reasons: list[str] = field(default_factory=list)
    counts: list[tuple[str, ApprovalRule]] = field(default_factory=list)

    def look(self, name: str, layer: Layer) -> None:
        for rule in layer.rules:
            self._rule(f"{name}/{rule.id}", rule)
        if layer.write_paths is not None:
            self._write_paths(f"{name}/write-paths", tuple(map(PathPattern, layer.write_paths)))
        for limit, most in layer.limits:
            if most is not None:
                self._limit(f"{name}/limits", limit, most)
        self._windows(name, layer)
        self.counts += [(f"{name}/{rule.id}", rule) for rule in layer.approvals]

    def _rule(self, name: str, rule: PolicyRule) -> None:
        # Names in PowerShell have no case.
        patterns = [CommandPattern.parse(text.lower() if self.judgement.shell == "powershell" else text) for text in rule.commands]
        if rule.decision == "allow":
            for index, use in enumerate(self.judgement.commands):
                pattern = next((item for item in patterns if item.allows(self._words(use))), None)
                if pattern is not None and use.is_plain and (rule.input or not use.is_fed):
                    self.allowed.setdefault(index, name)
                    self._say(name, "allow", pattern.text, use)
            return
        verdict = Verdict.BLOCK if rule.decision == "forbid" else Verdict.APPROVE
        for use in self.judgement.commands:
            for pattern in patterns:
                if pattern.catches(self._words(use)):
                    self._find(name, verdict, f"the policy has {pattern.text!r} {_WORDS[verdict]}", rule.reason, use)
                elif pattern.could_catch(self._words(use)):
                    self._find(name, Verdict.APPROVE, f"it could turn out to be {pattern.text!r}", rule.reason, use)
        effects = self.judgement.effects
        for path in sorted(effects.writes | effects.deletes):
            for place in map(PathPattern, rule.paths):
                if place.catches(path):
                    self._find(name, verdict, f"the policy has changes of {place.text} {_WORDS[verdict]}: {path}", rule.reason)
                elif place.could_catch(path):
                    self._find(name, Verdict.APPROVE, f"{path} could turn out to be in {place.text}", rule.reason)
        for kind in rule.effects:
            if has_effect(effects, kind):
                self._find(name, verdict, f"the policy has this kind of effect {_WORDS[verdict]}: {_told(effects, kind)}", rule.reason)

    def _words(self, use: CommandUse) -> list[str]:
        return [word.lower() for word in use.argv] if self.judgement.shell == "powershell" else list(use.argv)

    def _write_paths(self, name: str, places: tuple[PathPattern, ...]) -> None:
        effects = self.judgement.effects
        for path in sorted(effects.writes | effects.deletes):
            if not any(place.allows(path) for place in places):
                self._find(name, Verdict.BLOCK, f"it changes {path}, which is not certainly in a place where scripts may write")
        if effects.unknown:
            self._find(name, Verdict.APPROVE, "not everything that it writes can be known")

    def _limit(self, name: str, limit: str, most: int) -> None:
        effects = self.judgement.effects
        edits = effects.writes | effects.deletes
        touched = {
            "files_written": effects.writes,
            "files_deleted": effects.deletes,
            "edits": edits,
            "services": effects.services,
            "processes": effects.processes,
            "packages": effects.packages,
            "hosts": effects.network,
            "cloud": effects.cloud,
        }
        count = len(self.judgement.commands) if limit == "commands" else len(touched[limit])
        what = limit.replace("_", " ")
        if count > most:
            self._find(name, Verdict.BLOCK, f"{what}: {count}, and the policy's limit is {most}")
        elif limit != "commands" and (effects.unknown or any(_is_open(item) for item in touched[limit])):
            self._find(name, Verdict.APPROVE, f"{what}: how many cannot be known, and the policy's limit is {most}")

    def _windows(self, name: str, layer: Layer) -> None:
        at = self.context.at
        if at is None or self.judgement.verdict is Verdict.ALLOW:
            return
        for window in layer.windows:
            if window.kind == "freeze" and window.holds(at):
                self._find(f"{name}/{window.id}", Verdict.BLOCK, "changes are frozen now")
        changes = [window for window in layer.windows if window.kind == "change"]
        if changes and not any(window.holds(at) for window in changes):
            opens = min((moment for window in changes if (moment := window.opens_after(at)) is not None), default=None)
            when = f"; the next opens at {opens.isoformat(timespec='minutes')}" if opens is not None else ""
            self._find(f"{name}/{changes[0].id}", Verdict.BLOCK, f"changes may only start in a change window{when}")

    def decision(self, version: str) -> Decision:
        findings = tuple(self._taken_back(finding) for finding in self.judgement.findings) + tuple(dict.fromkeys(self.findings))
        verdict = worst(finding.verdict for finding in findings)
        # Effects first: one of them may be why somebody has to agree at all.
        for name, rule in sorted(self.counts, key=lambda pair: not pair[1].effects):
            verdict = worst((verdict, self._people(name, rule, verdict)))
        if verdict is Verdict.APPROVE:
            self.approvals = max(self.approvals, 1)
        elif verdict is Verdict.BLOCK:
            self.approvals = 0
        return Decision(
            judgement=replace(self.judgement, verdict=verdict, findings=findings),
            approvals=self.approvals,
            reasons=tuple(dict.fromkeys(self.reasons)),
            decided=tuple(dict.fromkeys(self.decided)),
            policy_version=version,
        )

    def _people(self, name: str, rule: ApprovalRule, verdict: Verdict) -> Verdict:
        """Approve when the rule asks for people, else allow."""
        effects = self.judgement.effects
        found = next((kind for kind in rule.effects if has_effect(effects, kind)), None)
        if rule.severities and self.context.severity not in rule.severities:
            return Verdict.ALLOW
        if found is None if rule.effects else verdict is not Verdict.APPROVE:
            return Verdict.ALLOW
        what = _told(effects, found) if found is not None else "somebody has to agree to it"
        if rule.severities:
            what = f"{what}, and the incident is {self.context.severity}"
        people = "1 person" if rule.count == 1 else f"{rule.count} people"
        self.decided.append(Decided(rule=name, decision="approve", what=f"{people}: {what}"))
        if rule.count > 1 or found is not None:
            self.reasons.append(f"the policy asks {people} to agree: {what} ({name})")
        self.approvals = max(self.approvals, rule.count)
        return Verdict.APPROVE

    def _taken_back(self, finding: Finding) -> Finding:
        """The finding, as allowed when a rule covers every command that it can be about."""
        if finding.verdict is not Verdict.APPROVE or not finding.rule_id.endswith(_TAKEN_BACK):
            return finding
        place = (finding.line, finding.column, finding.text)
        about = [index for index, use in enumerate(self.judgement.commands) if (use.line, use.column, use.text) == place]
        if not about or any(index not in self.allowed for index in about):
            return finding
        rules = ", ".join(sorted({self.allowed[index] for index in about}))
        return replace(finding, verdict=Verdict.ALLOW, message=f"{finding.message}; allowed by {rules}")

    def _find(self, name: str, verdict: Verdict, what: str, reason: str = "", use: CommandUse | None = None) -> None:
        severity = Severity.HIGH if verdict is Verdict.BLOCK else Severity.MEDIUM
        message = f"{what} ({reason})" if reason else what
        self.findings.append(
            Finding(
                rule_id=f"policy.{name}",
                severity=severity,
                verdict=verdict,
                message=message,
                line=use.line if use else None,
                column=use.column if use else None,
                text=use.text if use else "",
                why="the script policy says so",
                hint="change the script, or ask whoever keeps the policy",
            )
        )
        self._say(name, "forbid" if verdict is Verdict.BLOCK else "approve", message, use)

    def _say(self, name: str, decision: str, what: str, use: CommandUse | None) -> None:
        self.decided.append(
            Decided(rule=name, decision=decision, what=what, command=use.text if use else "", line=use.line if use else None)
        )


_WORDS = {Verdict.BLOCK: "forbidden", Verdict.APPROVE: "for a person to decide"}


def _is_open(item: str) -> bool:
    return "*" in item or "…" in item or "?" in item


def _told(effects: Effects, kind: EffectClass) -> str:
    if kind == "privileged":
        return "it uses the rights of an administrator"
    if kind == "irreversible":
        return "what it does cannot be undone" if effects.reversible is False else "it is not known whether what it does can be undone"
    return f"{kind} {', '.join(sorted(getattr(effects, kind))[:5])}"
