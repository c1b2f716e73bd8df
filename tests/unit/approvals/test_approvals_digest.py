"""The approval digest changes with everything that could change what happens, and with nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.approvals.digest import BoundScript, approval_digest
from bcce.kit.findings import Effects

SCRIPT = BoundScript(  # noqa: S604 - a field that names the shell; nothing is started
    action_id="repair",
    role="script",
    shell="bash",
    script=b'systemctl restart "$SERVICE"\n',
    parameters={"SERVICE": "checkout"},
    target={
        "name": "web",
        "executor": "ssh",
        "address": "10.0.0.1",
        "base_dir": "/var/lib/bcce",
        "login": "deploy",
        "host_keys": ["ssh-ed25519 AAAA"],
    },
    effects=Effects(services=frozenset({"checkout"}), reversible=True),
)
UNDO = replace(SCRIPT, role="undo", script=b"true\n")
PLAN: dict[str, object] = {"id": "plan_1", "actions": [{"id": "repair", "expected": "it answers"}], "verification": {"timeout": 300}}


def digest_of(
    scripts: tuple[BoundScript, ...] = (SCRIPT, UNDO),
    plan: dict[str, object] = PLAN,
    policy_version: str = "p1",
    validator_version: str = "v1",
) -> str:
    """The digest of the above, with changes."""
    return approval_digest(scripts, plan=plan, policy_version=policy_version, validator_version=validator_version)


def with_target(**changes: object) -> BoundScript:
    """SCRIPT on a target with one other field."""
    return replace(SCRIPT, target={**SCRIPT.target, **changes})


CHANGES: dict[str, Callable[[], str]] = {
    "one byte of the script": lambda: digest_of((replace(SCRIPT, script=SCRIPT.script + b" "), UNDO)),
    "the undo": lambda: digest_of((SCRIPT, replace(UNDO, script=b"false\n"))),
    "no undo": lambda: digest_of((SCRIPT,)),
    "script and undo swapped": lambda: digest_of((replace(SCRIPT, script=UNDO.script), replace(UNDO, script=SCRIPT.script))),
    "the order": lambda: digest_of((UNDO, SCRIPT)),
    "a script twice": lambda: digest_of((SCRIPT, UNDO, UNDO)),
    "the role": lambda: digest_of((replace(SCRIPT, role="undo"), UNDO)),
    "the shell": lambda: digest_of((replace(SCRIPT, shell="powershell"), UNDO)),  # noqa: S604 - as above
    "the action": lambda: digest_of((replace(SCRIPT, action_id="other"), UNDO)),
    "a parameter's value": lambda: digest_of((replace(SCRIPT, parameters={"SERVICE": "payment"}), UNDO)),
    "a parameter's name": lambda: digest_of((replace(SCRIPT, parameters={"UNIT": "checkout"}), UNDO)),
    "one more parameter": lambda: digest_of((replace(SCRIPT, parameters={"SERVICE": "checkout", "A": ""}), UNDO)),
    "the target's name": lambda: digest_of((with_target(name="db"), UNDO)),
    "the executor": lambda: digest_of((with_target(executor="local"), UNDO)),
    "the address": lambda: digest_of((with_target(address="10.0.0.2"), UNDO)),
    "the base folder": lambda: digest_of((with_target(base_dir="/tmp"), UNDO)),  # noqa: S108 - compared, never opened
    "the login": lambda: digest_of((with_target(login="root"), UNDO)),
    "a host key": lambda: digest_of((with_target(host_keys=["ssh-ed25519 BBBB"]), UNDO)),
    "one more host key": lambda: digest_of((with_target(host_keys=["ssh-ed25519 AAAA", "ssh-ed25519 BBBB"]), UNDO)),
    "no login": lambda: digest_of((with_target(login=None), UNDO)),
    "an effect": lambda: digest_of((replace(SCRIPT, effects=replace(SCRIPT.effects, deletes=frozenset({"/x"}))), UNDO)),
    "privilege": lambda: digest_of((replace(SCRIPT, effects=replace(SCRIPT.effects, privileged=True)), UNDO)),
    "irreversible": lambda: digest_of((replace(SCRIPT, effects=replace(SCRIPT.effects, reversible=False)), UNDO)),
    "reversible unknown": lambda: digest_of((replace(SCRIPT, effects=replace(SCRIPT.effects, reversible=None)), UNDO)),
    "the plan": lambda: digest_of(plan={**PLAN, "id": "plan_2"}),
    "deep in the plan": lambda: digest_of(plan={**PLAN, "actions": [{"id": "repair", "expected": "something else"}]}),
    "the policy's version": lambda: digest_of(policy_version="p2"),
    "the validator's version": lambda: digest_of(validator_version="v2"),
    "the versions swapped": lambda: digest_of(policy_version="v1", validator_version="p1"),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_change_makes_another_digest(change: str) -> None:
    assert CHANGES[change]() != digest_of()


def test_no_two_changes_make_the_same_digest() -> None:
    assert len({change() for change in CHANGES.values()}) == len(CHANGES)


def test_the_same_things_have_the_same_digest_in_whatever_order_a_mapping_holds_them() -> None:
    backwards = replace(
        SCRIPT,
        parameters=dict(reversed(SCRIPT.parameters.items())),
        target=dict(reversed(SCRIPT.target.items())),
        effects=Effects(reversible=True, services=frozenset({"checkout"})),
    )
    assert digest_of((backwards, UNDO), plan=dict(reversed(PLAN.items()))) == digest_of()


def test_the_digest_of_a_layout_never_changes() -> None:
    """An approval that waits while BCCE is updated must still fit: whoever changes this number changes `_LAYOUT` too."""
    assert digest_of() == "sha256:384237d143cc0b413ccb42f86e06ce003ee0e5fc7066c515b83ff194a1720db8"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_two_scripts_share_a_digest_only_when_they_are_the_same_bytes(one: bytes, other: bytes) -> None:
    same = digest_of((replace(SCRIPT, script=one),)) == digest_of((replace(SCRIPT, script=other),))
    assert same is (one == other)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_two_sets_of_parameters_share_a_digest_only_when_they_are_equal(one: dict[str, str], other: dict[str, str]) -> None:
    same = digest_of((replace(SCRIPT, parameters=one),)) == digest_of((replace(SCRIPT, parameters=other),))
    assert same is (one == other)


def test_what_is_no_json_value_has_no_digest() -> None:
    with pytest.raises(TypeError):
        digest_of(plan={"when": object()})
