"""The digest that ties an approval to exactly what was approved. Pure.

Whatever could change what happens is in it: every byte of every script, every field of every target, every parameter, what the scripts can
do, the plan around them, and the versions of the policy and the validator that judged them. A change of any of these makes another
digest, and so needs a new approval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bcce.kit.findings import Effects
from bcce.kit.text import digest

#: The layout of what is hashed; part of it, so that no other layout can give the same digest.
_LAYOUT = "bcce.approval/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundScript:
    """One script of a plan as it would be started.

    `action_id` and `role` say where in the plan it stands. `script` is the exact bytes that would be sent. `target` is the resolved
    target with all its fields as JSON values, among them host keys and login.
    """

    action_id: str
    role: Literal["script", "undo"]
    shell: str
    script: bytes
    parameters: Mapping[str, str]
    target: Mapping[str, object]
    effects: Effects


def approval_digest(scripts: Sequence[BoundScript], *, plan: Mapping[str, object], policy_version: str, validator_version: str) -> str:
    """`sha256:` and 64 hex digits that name everything an approval is about.

    Args:
        scripts: every script that the approval would let run, in the plan's order.
        plan: the whole plan as JSON values.
        policy_version: names the rules by which approval was asked for.
        validator_version: names the validator that found the effects.

    Raises:
        TypeError: something in the plan or a target is no JSON value.
    """
    return digest(
        {
            "layout": _LAYOUT,
            "scripts": [_bound(script) for script in scripts],
            "plan": plan,
            "policyVersion": policy_version,
            "validatorVersion": validator_version,
        }
    )


def _bound(bound: BoundScript) -> dict[str, object]:
    return {
        "actionId": bound.action_id,
        "role": bound.role,
        "shell": bound.shell,
        "script": digest(bound.script),
        "parameters": dict(bound.parameters),
        "target": dict(bound.target),
        "effects": bound.effects.to_dict(),
    }
