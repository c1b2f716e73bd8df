"""Who may do what."""

import itertools

import pytest

from bcce.kit.errors import Forbidden, Unauthenticated
from bcce.security.actor import Actor, role_actor, source_actor, system_actor
from bcce.security.authz import ROLE_PERMISSIONS, SOURCE_PERMISSIONS, SYSTEM_PERMISSIONS, Permission, Role, require
from bcce.security.origin import require_source, token_of

LADDER = [Role.VIEWER, Role.RESPONDER, Role.APPROVER, Role.ADMIN]
CHANGING = {permission for permission in Permission if not permission.endswith((":read", ":check"))}


def somebody(role: Role) -> Actor:
    """An actor with this role."""
    return role_actor(role, id=f"token:{role}", name=f"the {role}")


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(LADDER)))
def test_each_role_may_do_more_than_the_one_before(lower: Role, higher: Role) -> None:
    assert ROLE_PERMISSIONS[lower] < ROLE_PERMISSIONS[higher]


def test_a_viewer_changes_nothing() -> None:
    assert not ROLE_PERMISSIONS[Role.VIEWER] & CHANGING


def test_no_role_starts_a_script_and_only_approvers_decide() -> None:
    assert not [role for role in Role if Permission.SCRIPTS_DISPATCH in ROLE_PERMISSIONS[role]]
    assert [role for role in LADDER if Permission.APPROVALS_DECIDE in ROLE_PERMISSIONS[role]] == [Role.APPROVER, Role.ADMIN]


def test_the_program_itself_never_agrees_and_hands_out_no_tokens() -> None:
    assert not SYSTEM_PERMISSIONS & {Permission.APPROVALS_DECIDE, Permission.TOKENS_MANAGE}
    assert Permission.SCRIPTS_DISPATCH in system_actor("gate").permissions


def test_a_source_sends_and_nothing_else() -> None:
    source = source_actor("alertmanager", "prod")

    assert source.permissions == SOURCE_PERMISSIONS == {Permission.ALERTS_SEND}
    assert (source.id, source.provider, source.source) == ("source:alertmanager/prod", "alertmanager", "prod")


@pytest.mark.parametrize("role", LADDER)
@pytest.mark.parametrize("permission", list(Permission))
def test_require_lets_pass_exactly_what_the_role_has(role: Role, permission: Permission) -> None:
    if permission in ROLE_PERMISSIONS[role]:
        require(somebody(role), permission)
        return
    with pytest.raises(Forbidden) as caught:
        require(somebody(role), permission)
    assert (caught.value.details["permission"], caught.value.details["actor"]) == (str(permission), f"token:{role}")
    assert permission in str(caught.value)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic OmFiYw==", "abc"),
        ("Basic dXNlcjphYmM=", "abc"),
        ("Basic dXNlcjphOmI=", "a:b"),
    ],
)
def test_the_token_is_the_bearer_or_the_password(header: str, token: str) -> None:
    assert token_of(header) == token


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer  ", "abc", "Token abc", "Basic", "Basic !!", "Basic YWJj", "Basic dXNlcjo=", "Basic //8="]
)
def test_anything_else_is_no_token(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        token_of(header)
    assert "Bearer" in (caught.value.hint or "")


def test_a_source_sends_for_itself_only_and_people_for_every_source() -> None:
    source = source_actor("alertmanager", "prod")
    require_source(source, "alertmanager", "prod")
    require_source(somebody(Role.RESPONDER), "alertmanager", "test")
    for provider, name in (("alertmanager", "test"), ("zabbix", "prod")):
        with pytest.raises(Forbidden, match="alertmanager/prod"):
            require_source(source, provider, name)
