"""Plans: what shall be done where, why, and how it is verified. Pure values with one canonical form each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from bcce.execution.errors import InvalidScript, InvalidTarget
from bcce.execution.model.machine import lock_keys
from bcce.execution.model.parameters import check_parameters, encode_parameters, parameters_digest
from bcce.kit.errors import InvalidInput
from bcce.kit.references import SealedText
from bcce.kit.text import canonical_json, digest

MAX_SCRIPT_BYTES = 1024 * 1024
_STRICT = ConfigDict(extra="forbid", strict=True)


class Shell(StrEnum):
    """What reads a script."""

    BASH = "bash"


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A script's exact text and its parameters, which it sees as environment variables.

    Nothing is ever filled into `text`: what is judged, approved and hashed is what runs. `references` are parameters whose values nobody
    sees: they are judged, approved and hashed by the names in them, and only the executor fills them in.

    Raises:
        InvalidScript: empty, too large, not encodable, holds a NUL, or a parameter is not allowed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    shell: Shell = Shell.BASH
    text: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, SealedText] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidScript("the script is empty")
        if "\x00" in self.text:
            raise InvalidScript("the script holds a NUL character")
        try:
            size_bytes = len(self.text.encode())
        except UnicodeEncodeError:
            raise InvalidScript("the script is no valid text") from None
        if size_bytes > MAX_SCRIPT_BYTES:
            raise InvalidScript(f"the script is larger than {MAX_SCRIPT_BYTES} bytes")
        check_parameters(self.parameters)
        check_parameters(dict.fromkeys(self.references, ""))
        if not self.parameters.keys().isdisjoint(self.references):
            raise InvalidScript("a parameter cannot have a value and a reference")
        object.__setattr__(self, "references", MappingProxyType(dict(self.references)))
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    @property
    def data(self) -> bytes:
        """The bytes that are sent: the text in UTF-8."""
        return self.text.encode()

    @property
    def digest(self) -> str:
        """`sha256:` over exactly the bytes that are sent, so that `sha256sum` on the target shows the same."""
        return digest(self.data)

    @property
    def names(self) -> frozenset[str]:
        """The names of everything that it sees as environment variables."""
        return frozenset(self.parameters) | frozenset(self.references)

    @property
    def parameters_digest(self) -> str:
        """`sha256:` over the encoded parameters as they are sent, and over the names in references instead of their values."""
        block = encode_parameters(self.parameters)
        if self.references:
            # No parameter is encoded as an empty string, so no parameters give the same bytes.
            block += b"\x00" + canonical_json({name: sealed.to_dict() for name, sealed in self.references.items()})
        return parameters_digest(block)

    def to_dict(self) -> dict[str, object]:
        """The script as JSON values; without references it has the form that it had before there were any."""
        known: dict[str, object] = {"shell": str(self.shell), "text": self.text, "parameters": dict(self.parameters)}
        references = {name: sealed.to_dict() for name, sealed in self.references.items()}
        return {**known, "references": references} if references else known


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where scripts run.

    Attributes:
        name: how configuration and SOPs call it.
        executor: the executor that reaches it.
        address: host name or address; None for the machine that BCCE runs on.
        base_dir: absolute path of the folder there that keeps one folder for each job; nobody but the login may write in it.
        login: the account that scripts run as; None for the account of the BCCE server.
        host_keys: the host keys that are accepted; empty where there are none.

    Raises:
        InvalidTarget: a field cannot be used.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    executor: str
    address: str | None = None
    base_dir: str
    login: str | None = None
    host_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label, value in (("name", self.name), ("executor", self.executor), ("base folder", self.base_dir)):
            if not value or not value.isprintable():
                raise InvalidTarget(f"{value[:80]!r} cannot be the {label} of a target")

    @property
    def digest(self) -> str:
        """`sha256:` over every field."""
        return digest(self.to_dict())

    @property
    def lock_keys(self) -> tuple[str, ...]:
        """What a script here must have for itself, in a fixed order: the machine, and the entry that names it."""
        return lock_keys(self.name, self.executor, self.address)

    def to_dict(self) -> dict[str, object]:
        """The target as JSON values."""
        return {
            "name": self.name,
            "executor": self.executor,
            "address": self.address,
            "base_dir": self.base_dir,
            "login": self.login,
            "host_keys": list(self.host_keys),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpCheck:
    """A page that shows whether a service is well. `contains` is text that the body must hold, None for any body."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    url: str
    expect_status: int = 200
    contains: str | None = None

    def to_dict(self) -> dict[str, object]:
        """The check as JSON values."""
        return {"url": self.url, "expect_status": self.expect_status, "contains": self.contains}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """How it is seen that a plan helped.

    Attributes:
        http: a page to look at; None for none.
        resolved: whether the source monitor must say that the alert is over.
        timeout_s: how long after the script both may take, in seconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    http: HttpCheck | None = None
    resolved: bool = True
    timeout_s: float

    def __post_init__(self) -> None:
        # One JSON form for 60 and 60.0, so that a plan's digest does not depend on how a document wrote the number.
        object.__setattr__(self, "timeout_s", float(self.timeout_s))

    def to_dict(self) -> dict[str, object]:
        """The verification as JSON values."""
        return {"http": None if self.http is None else self.http.to_dict(), "resolved": self.resolved, "timeout_s": self.timeout_s}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedAction:
    """One script on one target.

    Attributes:
        expected: says in words what it shall do.
        undo: takes it back; None when nothing can.
        timeout_s: after how many whole seconds it is ended, if that is sooner than the operator's limit; None for that limit.
        min_approvals: how many people have to agree whatever the validator and the policy say; 0 leaves it to them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    title: str
    script: Script
    target: Target
    expected: str
    undo: Script | None = None
    timeout_s: int | None = None
    min_approvals: int = 0

    def __post_init__(self) -> None:
        if self.timeout_s is not None and self.timeout_s < 1:
            raise InvalidInput("a script has at least one second")

    def to_dict(self) -> dict[str, object]:
        """The action as JSON values; what it does not say is left out, so that it has the digest that it had before that could be said."""
        limits: dict[str, object] = {"timeout_s": self.timeout_s, "min_approvals": self.min_approvals}
        return {
            "id": self.id,
            "title": self.title,
            "script": self.script.to_dict(),
            "target": self.target.to_dict(),
            "expected": self.expected,
            "undo": None if self.undo is None else self.undo.to_dict(),
            **{name: value for name, value in limits.items() if value},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a planner proposes for one incident, or a step of a workflow for its run.

    Attributes:
        id: `plan_…`.
        incident_id: `inc_…`; None when it is for no incident.
        diagnosis: what is believed to be wrong, in words.
        source: who wrote it, such as `sop:restart-checkout@sha256:…`.
        actions: in the order in which they shall be started; at least one.
        verification: how it is seen that they helped; None when nobody looks.

    Raises:
        InvalidInput: no action, or two with the same id.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    incident_id: str | None
    diagnosis: str
    source: str
    actions: tuple[PlannedAction, ...]
    verification: Verification | None

    def __post_init__(self) -> None:
        names = [action.id for action in self.actions]
        if not names or len(set(names)) != len(names):
            raise InvalidInput("a plan needs at least one action, and each needs an id of its own")

    @property
    def digest(self) -> str:
        """`sha256:` over every field."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON values; `from_dict` gives an equal plan."""
        return {
            "id": self.id,
            "incident_id": self.incident_id,
            "diagnosis": self.diagnosis,
            "source": self.source,
            "actions": [action.to_dict() for action in self.actions],
            "verification": None if self.verification is None else self.verification.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Plan":
        """The plan that `to_dict` wrote.

        Raises:
            InvalidInput: a field is missing, unknown or of the wrong type.
            InvalidScript: a script that this release does not take.
        """
        try:
            return _plan_adapter().validate_json(canonical_json(values))
        except ValidationError as error:
            raise InvalidInput(f"not a plan: {explain(error)}") from error


@cache
def _plan_adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def explain(error: ValidationError) -> str:
    """Where the first fault is and what it is, without the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
