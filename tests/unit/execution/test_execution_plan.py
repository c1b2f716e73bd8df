"""Plans, scripts and targets: what they refuse, and that their digests miss nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from bcce.execution.errors import InvalidScript, InvalidTarget
from bcce.execution.model import HttpCheck, Plan, PlannedAction, Script, Shell, Target, Verification
from bcce.execution.model.plan import MAX_SCRIPT_BYTES
from bcce.kit.errors import InvalidInput
from bcce.kit.text import canonical_json

TARGET = Target(name="web", executor="ssh", address="web-1", base_dir="/var/lib/jobs", login="fixer", host_keys=("ssh-ed25519 AAAA",))
ACTION = PlannedAction(
    id="repair",
    title="Restart checkout",
    script=Script(text="systemctl restart checkout\n", parameters={"SERVICE": "checkout"}),
    target=TARGET,
    expected="it answers again",
    undo=Script(text="systemctl stop checkout\n"),
)
PLAN = Plan(
    id="plan_1",
    incident_id="inc_1",
    diagnosis="it is down",
    source="sop:restart-checkout@sha256:00",
    actions=(ACTION,),
    verification=Verification(http=HttpCheck(url="http://127.0.0.1/health", contains="ok"), resolved=True, timeout_s=60),
)
CHECK = HttpCheck(url="http://127.0.0.1/health", contains="ok")


def test_a_script_is_hashed_as_its_bytes() -> None:
    expected = hashlib.sha256("echo ü\n".encode()).hexdigest()
    assert Script(text="echo ü\n").digest == f"sha256:{expected}"


@pytest.mark.parametrize("text", ["", " \n\t", "echo \x00", "echo \ud800", "x" * (MAX_SCRIPT_BYTES + 1)])
def test_a_text_that_cannot_be_a_script_is_refused(text: str) -> None:
    with pytest.raises(InvalidScript):
        Script(text=text)


def test_a_script_of_the_largest_size_is_taken() -> None:
    assert len(Script(text="x" * MAX_SCRIPT_BYTES).data) == MAX_SCRIPT_BYTES


def test_parameters_cannot_be_changed_afterwards() -> None:
    given = {"A": "1"}
    script = Script(text="true", parameters=given)
    given["A"] = "2"
    assert script.parameters["A"] == "1"
    with pytest.raises(TypeError):
        script.parameters["A"] = "3"  # type: ignore[index]  # that it fails is the point


@pytest.mark.parametrize("field", ["name", "executor", "base_dir"])
@pytest.mark.parametrize("value", ["", "a\nb", "a\x1b[0m", "\u202e"])
def test_a_target_needs_names_that_can_be_shown(field: str, value: str) -> None:
    with pytest.raises(InvalidTarget):
        replace(TARGET, **{field: value})  # type: ignore[arg-type]  # the fields are texts


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "web2"},
        {"executor": "local"},
        {"address": None},
        {"base_dir": "/other"},
        {"login": "root"},
        {"host_keys": ()},
        {"host_keys": ("ssh-ed25519 AAAA", "ssh-ed25519 BBBB")},
    ],
)
def test_every_field_of_a_target_is_in_its_digest(changes: dict[str, object]) -> None:
    assert replace(TARGET, **changes).digest != TARGET.digest  # type: ignore[arg-type]  # real fields


def test_a_plan_survives_its_way_through_json() -> None:
    assert Plan.from_dict(PLAN.to_dict()) == PLAN
    assert Plan.from_dict(PLAN.to_dict()).digest == PLAN.digest
    bare = replace(PLAN, actions=(replace(ACTION, undo=None),), verification=Verification(timeout_s=1.5))
    assert Plan.from_dict(bare.to_dict()) == bare


def test_the_same_plan_has_the_same_bytes_whatever_way_a_number_was_written() -> None:
    whole, broken = (replace(PLAN, verification=Verification(timeout_s=seconds)) for seconds in (60, 60.0))
    assert canonical_json(whole.to_dict()) == canonical_json(broken.to_dict())


CHANGES: list[tuple[str, Callable[[Plan], Plan]]] = [
    ("id", lambda plan: replace(plan, id="plan_2")),
    ("incident", lambda plan: replace(plan, incident_id="inc_2")),
    ("diagnosis", lambda plan: replace(plan, diagnosis="it is up")),
    ("source", lambda plan: replace(plan, source="sop:other")),
    ("title", lambda plan: replace(plan, actions=(replace(ACTION, title="Stop checkout"),))),
    ("action id", lambda plan: replace(plan, actions=(replace(ACTION, id="other"),))),
    ("expectation", lambda plan: replace(plan, actions=(replace(ACTION, expected="nothing"),))),
    ("script", lambda plan: replace(plan, actions=(replace(ACTION, script=Script(text="true", parameters=ACTION.script.parameters)),))),
    ("parameter", lambda plan: replace(plan, actions=(replace(ACTION, script=replace(ACTION.script, parameters={"SERVICE": "x"})),))),
    ("target", lambda plan: replace(plan, actions=(replace(ACTION, target=replace(TARGET, login="root")),))),
    ("undo", lambda plan: replace(plan, actions=(replace(ACTION, undo=None),))),
    ("order", lambda plan: replace(plan, actions=(replace(ACTION, id="first"), ACTION))),
    ("page", lambda plan: replace(plan, verification=replace(plan.verification, http=replace(CHECK, url="http://127.0.0.1/other")))),
    ("status", lambda plan: replace(plan, verification=replace(plan.verification, http=replace(CHECK, expect_status=204)))),
    ("content", lambda plan: replace(plan, verification=replace(plan.verification, http=replace(CHECK, contains=None)))),
    ("monitor", lambda plan: replace(plan, verification=replace(plan.verification, resolved=False))),
    ("time", lambda plan: replace(plan, verification=replace(plan.verification, timeout_s=61))),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_every_part_of_a_plan_is_in_its_digest(name: str, change: Callable[[Plan], Plan]) -> None:
    assert change(PLAN).digest != PLAN.digest


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"extra": 1}, "extra"),
        ({"id": 1}, "id"),
        ({"actions": "x"}, "actions"),
        ({"verification": {"http": None, "resolved": "yes", "timeout_s": 1.0}}, "verification.resolved"),
        ({"verification": 1}, "verification"),
        ({"incident_id": 1}, "incident_id"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_place(spoil: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=f"not a plan: {said}"):
        Plan.from_dict({**PLAN.to_dict(), **spoil})


def test_an_unknown_shell_is_refused() -> None:
    values = PLAN.to_dict()
    values["actions"] = [{**ACTION.to_dict(), "script": {"shell": "fish", "text": "true", "parameters": {}}}]
    with pytest.raises(InvalidInput, match="shell"):
        Plan.from_dict(values)


def test_a_stored_script_with_a_name_that_is_denied_now_is_refused() -> None:
    values = PLAN.to_dict()
    values["actions"] = [{**ACTION.to_dict(), "script": {"shell": "bash", "text": "true", "parameters": {"LD_PRELOAD": "x"}}}]
    with pytest.raises(InvalidScript):
        Plan.from_dict(values)


@pytest.mark.parametrize("actions", [(), (ACTION, ACTION)])
def test_a_plan_needs_actions_with_ids_of_their_own(actions: tuple[PlannedAction, ...]) -> None:
    with pytest.raises(InvalidInput, match="at least one action"):
        replace(PLAN, actions=actions)


def test_bash_is_the_shell_if_none_is_named() -> None:
    assert Script(text="true").shell is Shell.BASH
