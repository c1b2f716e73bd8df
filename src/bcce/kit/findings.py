"""One vocabulary for every engine that judges: rules, findings, verdicts, effects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding or an alert matters, from least to most."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 4 for critical."""
        return list(Severity).index(self)


class Verdict(StrEnum):
    """What may happen to a script: run freely, run after a person agreed, or never."""

    ALLOW = "allow"
    APPROVE = "approve"
    BLOCK = "block"

    @property
    def rank(self) -> int:
        """0 for allow, 1 for approve, 2 for block."""
        return list(Verdict).index(self)


class Outcome(StrEnum):
    """What a check found; what could not be read is never a pass."""

    PASS = "pass"  # noqa: S105 - a result's name, no password
    FAIL = "fail"
    WARN = "warn"
    MANUAL = "manual"
    NOT_APPLICABLE = "not-applicable"
    TIMED_OUT = "timed-out"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The strictest of `verdicts`; allow when there are none."""
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.ALLOW)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What one rule of any engine is: stable id, why it exists, what to do instead.

    `tags` name outside catalogues such as `CWE-494` or `T1105`. `examples_match` and `examples_pass` are inputs that
    must and must not give a finding; the test suite runs them all.
    """

    id: str
    title: str
    severity: Severity
    verdict: Verdict
    why: str
    instead: str
    tags: tuple[str, ...] = ()
    examples_match: tuple[str, ...] = ()
    examples_pass: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One rule's result at one place.

    Lines and columns count from 1; `end_column` is exclusive; all four are None when the finding is about the whole input. `text` is the
    exact text judged, at most 500 characters. `why` says in one sentence what can go wrong, `hint` what to do instead; `tags` name
    outside catalogues such as `CWE-494` or `T1105`.
    """

    rule_id: str
    severity: Severity
    verdict: Verdict
    message: str
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    text: str = ""
    why: str | None = None
    hint: str | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Finding":
        """The finding that `to_dict` gave; a key that it does not know is left out."""
        known = {item.name: given[item.name] for item in fields(cls) if item.name in given}
        known.update(severity=Severity(given["severity"]), verdict=Verdict(given["verdict"]), tags=tuple(given.get("tags", ())))
        return cls(**known)

    def to_dict(self) -> dict[str, object]:
        """The finding as JSON values, without the fields that are None."""
        pairs = ((item.name, getattr(self, item.name)) for item in fields(self))
        shown = {name: str(value) if isinstance(value, StrEnum) else value for name, value in pairs if value not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What a script can do, read from the script alone; a claim of a model or an author never gets in here.

    Paths, names and hosts as written in the script; an element `*` means "cannot be known". `reversible` is None when unknown.
    """

    reads: frozenset[str] = field(default_factory=frozenset)
    writes: frozenset[str] = field(default_factory=frozenset)
    deletes: frozenset[str] = field(default_factory=frozenset)
    services: frozenset[str] = field(default_factory=frozenset)
    processes: frozenset[str] = field(default_factory=frozenset)
    packages: frozenset[str] = field(default_factory=frozenset)
    users: frozenset[str] = field(default_factory=frozenset)
    network: frozenset[str] = field(default_factory=frozenset)
    cloud: frozenset[str] = field(default_factory=frozenset)
    unknown: frozenset[str] = field(default_factory=frozenset)
    privileged: bool = False
    reversible: bool | None = None

    def merge(self, other: "Effects") -> "Effects":
        """Both together: sets are joined, privilege is any; irreversible when either is, reversible only when both say so."""
        joined = {
            item.name: getattr(self, item.name) | getattr(other, item.name)
            for item in fields(self)
            if item.name not in ("privileged", "reversible")
        }
        claims = (self.reversible, other.reversible)
        reversible = False if False in claims else None if None in claims else True
        return Effects(privileged=self.privileged or other.privileged, reversible=reversible, **joined)

    def to_dict(self) -> dict[str, object]:
        """The effects as JSON values: sorted lists; empty classes are left out, `reversible` may be null."""
        shown: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, frozenset):
                if value:
                    shown[item.name] = sorted(value)
            else:
                shown[item.name] = value
        return shown
