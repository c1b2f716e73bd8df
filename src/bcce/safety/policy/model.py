"""The policy file as data."""

from typing import Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from bcce.config.model import Section
from bcce.kit.findings import Effects, Severity, Verdict
from bcce.safety.policy.patterns import CommandPattern, InvalidPattern, PathPattern
from bcce.safety.policy.windows import Window

_ID = r"^[a-z][a-z0-9-]{0,63}$"

EffectClass = Literal[
    "reads", "writes", "deletes", "services", "processes", "packages", "users", "network", "cloud", "unknown", "privileged", "irreversible"
]


def has_effect(effects: Effects, name: EffectClass) -> bool:
    """Whether effects of a class are among `effects`; `irreversible` also when it is not known whether they can be undone."""
    if name == "privileged":
        return effects.privileged
    if name == "irreversible":
        return effects.reversible is not True
    return bool(getattr(effects, name))


class PolicyRule(Section):
    """One rule: what it is about, and what is decided. Of all rules that match, the strictest counts."""

    id: str = Field(pattern=_ID, description="Its name in decisions; once in a layer.")
    decision: Literal["allow", "approve", "forbid"] = Field(
        description="`allow`: nobody has to agree to these commands. `approve`: somebody has to. `forbid`: they never run."
    )
    commands: tuple[str, ...] = Field(default=(), description="Patterns for commands, such as `systemctl restart {nginx,apache2}`.")
    paths: tuple[str, ...] = Field(default=(), description="Patterns for files that are written or deleted, such as `/srv/payments/**`.")
    effects: tuple[EffectClass, ...] = Field(default=(), description="Classes of effects, one of which the script has.")
    input: bool = Field(default=False, description="For `allow`: also when something is piped into the command.")
    reason: str = Field(default="", max_length=500, description="Why; shown to whoever is asked or refused.")

    @field_validator("commands")
    @classmethod
    def _commands(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            CommandPattern.parse(text)
        return value

    @field_validator("paths")
    @classmethod
    def _paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _checked_paths(value)

    @model_validator(mode="after")
    def _about_something(self) -> "PolicyRule":
        if not (self.commands or self.paths or self.effects):
            raise ValueError(f"the rule {self.id!r} is about nothing; give it commands, paths or effects")
        if self.decision == "allow" and (self.paths or self.effects):
            raise ValueError(f"the rule {self.id!r} allows, which only commands can be: paths and effects tell too little of what runs")
        return self


class Limits(Section):
    """How much one script may touch; above it the script is refused, and where it cannot be known, somebody has to agree."""

    commands: int | None = Field(default=None, ge=0, description="Commands in it, those of inner scripts included.")
    files_written: int | None = Field(default=None, ge=0, description="Files that it writes.")
    files_deleted: int | None = Field(default=None, ge=0, description="Files that it deletes.")
    edits: int | None = Field(default=None, ge=0, description="Files that it writes or deletes.")
    services: int | None = Field(default=None, ge=0, description="Services that it starts, stops or changes.")
    processes: int | None = Field(default=None, ge=0, description="Processes that it signals.")
    packages: int | None = Field(default=None, ge=0, description="Packages that it installs or removes.")
    hosts: int | None = Field(default=None, ge=0, description="Other machines that it talks to.")
    cloud: int | None = Field(default=None, ge=0, description="Objects of a cloud or a cluster.")


class ApprovalRule(Section):
    """How many people have to agree. Of all that match, the largest number counts."""

    id: str = Field(pattern=_ID, description="Its name in decisions; once in a layer.")
    effects: tuple[EffectClass, ...] = Field(
        default=(), description="Classes of effects, one of which the script has; empty: every script that somebody has to agree to."
    )
    severities: tuple[Severity, ...] = Field(default=(), description="Severities of the incident; empty: all.")
    count: int = Field(default=1, ge=1, le=10, description="How many different people.")


class Layer(Section):
    """What holds in one place."""

    rules: tuple[PolicyRule, ...] = Field(default=(), description="What is allowed, asked for and forbidden.")
    write_paths: tuple[str, ...] | None = Field(
        default=None, description="The only places where scripts may write and delete; null for no such limit."
    )
    limits: Limits = Field(default_factory=Limits, description="How much one script may touch.")
    approvals: tuple[ApprovalRule, ...] = Field(default=(), description="How many people have to agree.")
    windows: tuple[Window, ...] = Field(default=(), description="When scripts that change something may start.")

    @field_validator("write_paths")
    @classmethod
    def _paths(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else _checked_paths(value)

    @model_validator(mode="after")
    def _told_apart(self) -> "Layer":
        for kind in ("rules", "approvals", "windows"):
            ids = [item.id for item in getattr(self, kind)]
            twice = sorted({item for item in ids if ids.count(item) > 1})
            if twice:
                raise ValueError(f"{twice[0]!r} names two of the {kind}")
        return self


class ScopedLayer(Layer):
    """A layer that holds only where all of what it names applies."""

    environments: tuple[str, ...] = Field(default=(), description="Names of environments, one of which BCCE runs in; empty: all.")
    targets: tuple[str, ...] = Field(default=(), description="Patterns for names of targets, such as `db-*`; empty: all.")
    groups: tuple[str, ...] = Field(default=(), description="Groups, one of which the target is in; empty: all.")

    @model_validator(mode="after")
    def _somewhere(self) -> "ScopedLayer":
        if not (self.environments or self.targets or self.groups):
            raise ValueError("a layer names environments, targets or groups; what holds everywhere stands at the top of the file")
        return self


class PolicyTest(Section):
    """An example in the policy file itself: a script, where and when it would run, and what has to come out."""

    name: str = Field(min_length=1, max_length=200, description="What the example shows.")
    script: str = Field(description="The script.")
    shell: str = Field(default="bash", description="bash or powershell.")
    environment: str | None = Field(default=None, description="The environment; null for none.")
    target: str = Field(default="local", description="The target's name.")
    groups: tuple[str, ...] = Field(default=(), description="The target's groups.")
    severity: Severity = Field(default=Severity.MEDIUM, description="The incident's severity.")
    at: AwareDatetime | None = Field(
        default=None, description="When it would start, with a UTC offset; null for any time: windows do not count."
    )
    expect: Verdict = Field(description="allow, approve or block.")
    approvals: int | None = Field(default=None, ge=0, description="How many people have to agree; null: not looked at.")


class ScriptPolicy(Layer):
    """The whole file."""

    version: Literal["1"] = Field(default="1", description="The version of this format.")
    name: str = Field(default="script policy", max_length=100, description="What people call it.")
    layers: dict[str, ScopedLayer] = Field(default_factory=dict, description="Layers by name, each for some environments or targets.")
    tests: tuple[PolicyTest, ...] = Field(default=(), description="Examples that `bcce script policy test` runs.")

    @field_validator("layers")
    @classmethod
    def _names(cls, value: dict[str, ScopedLayer]) -> dict[str, ScopedLayer]:
        if BASE in value:
            raise ValueError(f"{BASE!r} is the name of what stands at the top of the file")
        return value


#: The name of what holds everywhere.
BASE = "base"


def _checked_paths(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        if not text:
            raise InvalidPattern("a path is empty")
        PathPattern(text)
    return value
