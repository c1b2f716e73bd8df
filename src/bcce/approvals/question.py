"""Questions: approvals that are about no script, but ask people whether a run may go on. Pure.

What a question says and who may answer it are in what is shown, and so in its digest: no answer is about anything else.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from bcce.approvals.errors import MayNotApprove
from bcce.approvals.model import Approval
from bcce.kit.text import digest
from bcce.security.actor import Actor
from bcce.security.authz import ROLE_PERMISSIONS, Role

#: The roles that a question can be for: only these may decide at all.
Answerer = Literal["approver", "admin"]

_KIND = "question"
#: The layout of what is hashed; part of it, so that the digest of a script's approval is never that of a question.
_LAYOUT = "bcce.question/1"


def question(
    step: str, message: str, details: object, *, required: int, role: Answerer = "approver", approvers: Sequence[str] = ()
) -> Mapping[str, object]:
    """What a person is shown, as JSON values.

    Args:
        step: the key of the step that asks.
        details: any JSON value; None for nothing.
        required: how many people have to agree.
        role: who may answer has at least this role.
        approvers: those who alone may answer, each by the id or name of a token, or by the owner of tokens; empty: everybody with the role.
    """
    about = {"message": message, "details": details, "step": step}
    return {"kind": _KIND, **about, "required": required, "role": role, "approvers": list(approvers)}


def question_digest(shown: Mapping[str, object]) -> str:
    """`sha256:` and 64 hex digits that name everything that is shown.

    Raises:
        TypeError: the details are no JSON value.
        ValueError: the details hold a number or a text that JSON cannot.
    """
    return digest({"layout": _LAYOUT, "shown": dict(shown)})


def is_question(approval: Approval) -> bool:
    """Whether it asks if a run may go on, and is about no script."""
    return approval.shown.get("kind") == _KIND


def check_entitled(actor: Actor, approval: Approval) -> None:
    """Does nothing if `actor` is one of those whom a question is for.

    Raises:
        MayNotApprove: it is for others.
    """
    if not is_question(approval):
        return
    role = Role(str(approval.shown["role"]))
    if not ROLE_PERMISSIONS[role] <= actor.permissions:
        raise MayNotApprove(f"{actor.name} may not answer this: it is for the role {role}", details={"actor": actor.id, "role": str(role)})
    approvers = cast(Sequence[str], approval.shown["approvers"])
    if approvers and {actor.id, actor.name, actor.person, actor.owner}.isdisjoint(approvers):
        raise MayNotApprove(
            f"{actor.name} may not answer this: others are asked", hint="`bcce approval show` says who", details={"actor": actor.id}
        )
