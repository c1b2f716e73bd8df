"""Clearances: signed permission to start one script once on one target. Pure."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from bcce.execution.errors import ClearanceRefused
from bcce.execution.model.plan import Shell, Target, explain
from bcce.kit.clock import format_time, parse_time
from bcce.kit.ids import ApprovalId, ClearanceId, RunId, TenantId
from bcce.kit.text import canonical_json

#: How long a clearance may be valid at most, in seconds; an executor refuses one that claims more.
MAX_VALIDITY_S = 60
#: The longest time limit that a script can be given, in seconds: one day.
MAX_TIMEOUT_S = 24 * 60 * 60
_FORMAT = "bcce.clearance/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clearance:
    """What the gate decided, at dispatch time; never stored, since whoever holds it may start the script.

    Attributes:
        dispatch_key: names the job on the target; one script is started at most once under it.
        epoch: the run's epoch under which the gate decided.
        target: the whole resolved target, so that an executor needs no configuration of its own.
        target_digest: its digest, which the approval and the dispatch's row hold too.
        script_digest: over the bytes of the script.
        parameters_digest: over the encoded parameters.
        approval_digest: the digest D that the approvals bind.
        approval_ids: the approvals that were checked; empty when none was needed.
        issued_at: UTC; not valid before.
        expires_at: UTC; not valid from then on.
        shell: what reads the script.
        timeout_s: after how many whole seconds the target ends the script; None for no limit.
        correlation_id: names the delivery that all this began with; the script finds it as BCCE_CORRELATION_ID. None: it is not told.
    """

    id: ClearanceId
    dispatch_key: str
    tenant_id: TenantId
    run_id: RunId
    epoch: int
    target: Target
    target_digest: str
    script_digest: str
    parameters_digest: str
    approval_digest: str
    approval_ids: tuple[ApprovalId, ...]
    validator_version: str
    issued_at: datetime
    expires_at: datetime
    shell: Shell = Shell.BASH
    timeout_s: int | None = None
    correlation_id: str | None = None

    def payload(self) -> bytes:
        """The bytes that are signed: canonical JSON of every field and the format's name.

        Raises:
            ValueError: a time without a time zone.
        """
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {
            "format": _FORMAT,
            "target": self.target.to_dict(),
            "approval_ids": list(self.approval_ids),
            "issued_at": format_time(self.issued_at),
            "expires_at": format_time(self.expires_at),
        }
        return canonical_json(values)

    @classmethod
    def from_payload(cls, payload: bytes) -> "Clearance":
        """The clearance in `payload`; says nothing about who signed it.

        Raises:
            ClearanceRefused: not a clearance of a format that this release knows, or not in the one canonical form.
        """
        try:
            wire = _wire_adapter().validate_json(payload)
            values = {item.name: getattr(wire, item.name) for item in fields(cls)}
            values |= {"issued_at": parse_time(wire.issued_at), "expires_at": parse_time(wire.expires_at)}
            clearance = cls(**values)
        except ValidationError as error:
            raise ClearanceRefused(f"not a clearance: {explain(error)}") from error
        except ValueError as error:
            raise ClearanceRefused("not a clearance: it holds no valid times") from error
        if clearance.payload() != payload:
            raise ClearanceRefused("the clearance is not in its canonical form")
        return clearance


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedClearance:
    """A clearance's bytes, their signature and the id of the key that made it. Whoever holds it may start the script until it expires."""

    payload: bytes
    signature: bytes
    key_id: str


@validated(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid", strict=True))
class _Wire:
    """A clearance as JSON holds it: times are text."""

    format: Literal["bcce.clearance/1"]
    id: str
    dispatch_key: str
    tenant_id: str
    run_id: str
    epoch: int
    target: Target
    target_digest: str
    script_digest: str
    parameters_digest: str
    approval_digest: str
    approval_ids: tuple[str, ...]
    validator_version: str
    issued_at: str
    expires_at: str
    shell: Shell
    timeout_s: int | None
    correlation_id: str | None


@cache
def _wire_adapter() -> TypeAdapter[_Wire]:
    return TypeAdapter(_Wire)
