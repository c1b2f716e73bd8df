"""What a question says is what is answered, and only those whom it is for can answer it."""

from dataclasses import replace

import pytest
from tests.unit.approvals.test_approvals_model import APPROVAL

from bcce.approvals.errors import MayNotApprove
from bcce.approvals.question import check_entitled, is_question, question, question_digest
from bcce.security.actor import role_actor
from bcce.security.authz import Role

ANN = role_actor(Role.APPROVER, id="token:tok_1", name="Ann", owner="Ann Lee")
BOSS = role_actor(Role.ADMIN, id="token:tok_2", name="Boss")
SHOWN = question("gate", "Go on?", {"n": 1}, required=1)


def test_what_is_about_a_script_is_no_question_and_is_for_whoever_may_decide() -> None:
    assert (is_question(APPROVAL), is_question(replace(APPROVAL, shown=SHOWN))) == (False, True)
    check_entitled(ANN, APPROVAL)


@pytest.mark.parametrize(
    "other",
    [
        question("other", "Go on?", {"n": 1}, required=1),
        question("gate", "Go on!", {"n": 1}, required=1),
        question("gate", "Go on?", {"n": 2}, required=1),
        question("gate", "Go on?", {"n": 1}, required=2),
        question("gate", "Go on?", {"n": 1}, required=1, role="admin"),
        question("gate", "Go on?", {"n": 1}, required=1, approvers=["Ann"]),
    ],
)
def test_the_digest_changes_with_everything_that_is_shown(other: dict[str, object]) -> None:
    assert question_digest(SHOWN) == question_digest(question("gate", "Go on?", {"n": 1}, required=1))
    assert question_digest(SHOWN) != question_digest(other)


def test_a_question_is_for_a_role_and_for_those_it_names() -> None:
    check_entitled(ANN, replace(APPROVAL, shown=SHOWN))
    check_entitled(BOSS, replace(APPROVAL, shown=question("gate", "Go?", None, required=1, role="admin")))
    for named in ("Ann", "token:tok_1", "Ann Lee", "user:ann lee"):
        check_entitled(ANN, replace(APPROVAL, shown=question("gate", "Go?", None, required=1, approvers=["Bob", named])))


@pytest.mark.parametrize(
    "shown", [question("gate", "Go?", None, required=1, role="admin"), question("g", "?", None, required=1, approvers=["Bob"])]
)
def test_it_is_for_nobody_else(shown: dict[str, object]) -> None:
    with pytest.raises(MayNotApprove):
        check_entitled(ANN, replace(APPROVAL, shown=shown))
