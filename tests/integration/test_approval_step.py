"""`approval` with a message: people are asked whether a run may go on, in any workflow."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.integration.shell_support import ANN, BOB, asked, only, shell_runtime
from tests.integration.workflow_support import ACTOR, events, finished, look, open_gates, start, until

from bcce.approvals.errors import AlreadyDecided, ApprovalChanged, ApprovalExpired, ApprovalNotOpen, MayNotApprove
from bcce.approvals.model import Approval, ApprovalState, Decision
from bcce.kit.errors import Forbidden
from bcce.kit.ids import RunId
from bcce.remediation.view import revoke_unstarted
from bcce.runtime.runtime import Runtime
from bcce.security.actor import Actor, role_actor
from bcce.security.audit.tables import audit
from bcce.security.authz import Role
from bcce.workflows.errors import InvalidWorkflow, NotRepeatable, RunEnded
from bcce.workflows.model import RunState, StepState

CARA = role_actor(Role.ADMIN, id="user:cara", name="Cara", kind="user")
RESPONDER = role_actor(Role.RESPONDER, id="user:rik", name="Rik", kind="user")
ASKS = """version: "1.0"
name: deploy
inputs: {version: {default: "7"}}
steps:
  - id: gate
    type: approval
    message: Deploy {{ inputs.version }}?
    details: {version: "{{ inputs.version }}", hosts: [a, b]}
    required: 1
  - {id: go, type: transform, value: "{{ steps.gate.output.by }}"}
outputs: {reason: "{{ steps.gate.output.reason }}"}
"""


def gate(extra: str = "", *, rest: str = "") -> str:
    """A workflow of one question, with more lines of its step."""
    return f'version: "1.0"\nname: test\nsteps:\n  - id: gate\n    type: approval\n    message: May it go on?\n{extra}{rest}'


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with shell_runtime(tmp_path / "home") as opened:
        yield opened


async def say(
    runtime: Runtime,
    question: Approval,
    by: Actor = ANN,
    decision: Decision = Decision.APPROVE,
    comment: str = "",
    digest: str | None = None,
) -> Approval:
    """One person's word."""
    decided = await runtime.approvals.submit_decision(by, question.id, decision, comment=comment, digest_seen=digest or question.digest)
    runtime.ring(decided.run_id)
    return decided


async def asked_of(runtime: Runtime, count: int) -> list[Approval]:
    """So many open questions."""
    async with asyncio.timeout(20):
        while len(found := await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING)) != count:  # noqa: ASYNC110 - the state is in a database
            await asyncio.sleep(0.01)
    return list(found)


def code(run: Any) -> str | None:
    return str(run.error["code"]) if run.error else None


async def test_a_run_goes_on_when_somebody_agrees_and_says_who_and_why(runtime: Runtime) -> None:
    run_id = await start(runtime, ASKS, version="8")
    question = await asked(runtime)

    assert (question.run_id, question.title, question.incident_id, question.required_count) == (run_id, "Deploy 8?", None, 1)
    assert question.shown == {
        "kind": "question",
        "message": "Deploy 8?",
        "details": {"version": "8", "hosts": ["a", "b"]},
        "step": "gate",
        "required": 1,
        "role": "approver",
        "approvers": [],
    }
    waiting = await only(runtime, run_id, "gate")
    assert (waiting.state, waiting.waiting_for, await open_gates(runtime, run_id)) == (StepState.WAITING, "approval of 'Deploy 8?'", 1)

    decided = await say(runtime, question, comment="tests are green")
    run, states = await finished(runtime, run_id)

    assert (run.state, states, run.output) == (RunState.COMPLETED, {"gate": "completed", "go": "completed"}, {"reason": "tests are green"})
    output = dict((await only(runtime, run_id, "gate")).output or {})
    assert decided.decided_at is not None
    assert output.pop("decided_at").startswith(decided.decided_at.isoformat()[:19])  # type: ignore[attr-defined]
    assert output == {"approved": True, "by": ["Ann"], "reason": "tests are green", "approval": question.id}
    assert (await open_gates(runtime, run_id), await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING)) == (0, ())


async def test_question_and_answer_are_told_audited_and_in_the_log(runtime: Runtime) -> None:
    run_id = await start(runtime, ASKS)
    question = await asked(runtime)
    await say(runtime, question, comment="go")
    await finished(runtime, run_id)

    told = [(kind, data.get("decision"), data.get("by")) for kind, data in await events(runtime, run_id) if kind.startswith("approval.")]
    assert told == [("approval.requested", None, None), ("approval.decided", "approve", "user:ann")]
    rows = await runtime.db.read(lambda conn: conn.execute(select(audit).where(audit.c.subject == question.id).order_by(audit.c.at)).all())
    assert [(row.action, row.body["digest"], row.body.get("comment")) for row in rows] == [
        ("approval.requested", question.digest, None),
        ("approval.decided", question.digest, "go"),
    ]
    said = [line.message for line in (await runtime.logs.page(ACTOR, run_id)).lines if line.step == "gate"]
    assert [line for line in said if "Deploy" in line or "Ann" in line] == [
        "asks: Deploy 7?",
        "waits for approval of 'Deploy 7?'",
        "Ann agreed: go",
    ]


async def test_a_refusal_fails_the_step_with_its_own_code(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    required: 2\n"))
    question = await asked(runtime)
    await say(runtime, question, ANN, comment="fine")
    await say(runtime, question, BOB, Decision.REJECT, "not today")
    run, _ = await finished(runtime, run_id)

    assert (run.state, code(run)) == (RunState.FAILED, "approval-rejected")
    record = await only(runtime, run_id, "gate")
    output = dict(record.output or {})
    assert (output["approved"], output["by"], output["reason"]) == (False, ["Bob"], "not today")
    assert (record.error or {})["message"] == "Bob said no: not today"


async def test_a_fallback_and_on_failure_take_a_refusal(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    fallback: {type: set, instead: true}\n"))
    await say(runtime, await asked(runtime), decision=Decision.REJECT)
    run, states = await finished(runtime, run_id)
    assert (run.state, states) == (RunState.COMPLETED, {"gate": "failed", "gate.fallback": "completed"})

    rest = '  - {id: after, type: transform, value: "{{ steps.gate.output.approved | default(false) }}"}\n'
    run_id = await start(runtime, gate("    on_failure: continue\n", rest=rest))
    await say(runtime, await asked(runtime), decision=Decision.REJECT)
    run, states = await finished(runtime, run_id)
    assert (run.state, states) == (RunState.COMPLETED, {"gate": "failed", "after": "completed"})


async def test_several_people_have_to_agree_and_nobody_counts_twice(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    required: 2\n"))
    question = await asked(runtime)
    await say(runtime, question, ANN, comment="one")
    with pytest.raises(AlreadyDecided):
        await say(runtime, question, ANN)
    assert (await only(runtime, run_id, "gate")).state is StepState.WAITING
    await say(runtime, question, BOB, comment="two")
    await finished(runtime, run_id)

    output = dict((await only(runtime, run_id, "gate")).output or {})
    assert (sorted(output["by"]), sorted(str(output["reason"]).split("; "))) == (["Ann", "Bob"], ["one", "two"])  # type: ignore[call-overload]


async def test_an_answer_is_bound_to_what_was_shown(runtime: Runtime) -> None:
    first = await start(runtime, ASKS, version="1")
    one = await asked(runtime)
    await runtime.runs.cancel(ACTOR, first)
    runtime.ring(first)
    await finished(runtime, first)
    await start(runtime, ASKS, version="2")
    two = await asked(runtime)

    assert one.digest != two.digest
    with pytest.raises(ApprovalChanged):
        await say(runtime, two, digest=one.digest)


async def test_nobody_agrees_to_their_own_run_or_one_that_it_calls(runtime: Runtime) -> None:
    await runtime.workflows.register(ACTOR, gate(), "test.yaml")
    outer = 'version: "1.0"\nname: outer\nsteps:\n  - {id: call, type: workflow, workflow: test}\n'
    await runtime.workflows.register(ACTOR, outer, "outer.yaml")
    for name in ("test", "outer"):
        run_id: RunId = await runtime.db.write(
            lambda conn, name=name: runtime.workflows.start(ANN, conn, workflow=name, inputs={}, correlation_id="cor_test")  # type: ignore[misc]
        )
        runtime.ring(run_id)
        question = await asked(runtime)
        with pytest.raises(MayNotApprove):
            await say(runtime, question, ANN)
        await say(runtime, question, BOB)
        run, _ = await finished(runtime, run_id)
        assert run.state is RunState.COMPLETED


async def test_who_signalled_a_run_cannot_let_it_go_on(runtime: Runtime) -> None:
    text = gate().replace("steps:\n", "steps:\n  - {id: hear, type: wait, event: now}\n")
    run_id = await start(runtime, text)
    await runtime.workflows.signal(ANN, run_id, "now", {})
    runtime.ring(run_id)
    question = await asked(runtime)
    with pytest.raises(MayNotApprove):
        await say(runtime, question, ANN)
    await say(runtime, question, BOB)
    assert (await finished(runtime, run_id))[0].state is RunState.COMPLETED


async def test_only_those_who_are_asked_can_answer(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    approvers: [Bob, user:ann]\n"))
    question = await asked(runtime)
    for stranger, error in ((CARA, MayNotApprove), (RESPONDER, Forbidden), (ACTOR, Forbidden)):
        for decision in Decision:
            with pytest.raises(error):
                await say(runtime, question, stranger, decision)
    await say(runtime, question, BOB)
    assert (await finished(runtime, run_id))[0].state is RunState.COMPLETED

    run_id = await start(runtime, gate("    role: admin\n"))
    question = await asked(runtime)
    with pytest.raises(MayNotApprove, match="role admin"):
        await say(runtime, question, ANN)
    await say(runtime, question, CARA)
    assert (await finished(runtime, run_id))[0].state is RunState.COMPLETED


async def test_an_answer_that_comes_late_is_refused_and_says_why(runtime: Runtime) -> None:
    run_id = await start(runtime, gate())
    question = await asked(runtime)
    await say(runtime, question)
    await finished(runtime, run_id)
    with pytest.raises(RunEnded, match="is completed"):
        await say(runtime, question, BOB)

    run_id = await start(runtime, gate(rest="  - {id: hold, type: wait, duration: 1h}\n"))
    question = await asked(runtime)
    await say(runtime, question)
    await until(runtime, run_id, lambda _, records: "hold" in records)
    with pytest.raises(ApprovalNotOpen, match="already approved"):
        await say(runtime, question, BOB)
    with pytest.raises(ApprovalNotOpen, match="gone on"):
        await runtime.db.write(lambda conn: revoke_unstarted(ANN, conn, runtime.approvals, question.id, reason="too late"))
    assert (await runtime.approvals.get(ANN, question.id)).approval.state is ApprovalState.APPROVED


async def test_a_cancel_closes_the_question(runtime: Runtime) -> None:
    run_id = await start(runtime, gate())
    question = await asked(runtime)
    await runtime.runs.cancel(ACTOR, run_id)
    runtime.ring(run_id)
    run, states = await finished(runtime, run_id)

    assert (run.state, states, await open_gates(runtime, run_id)) == (RunState.CANCELLED, {"gate": "cancelled"}, 0)
    assert await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING) == ()
    with pytest.raises(RunEnded, match="is cancelled"):
        await say(runtime, question)


async def test_a_cancel_that_came_first_makes_an_answer_void(tmp_path: Path) -> None:
    """Also while nobody is there to close the question; what a compensation asks is still to be answered."""
    text = """version: "1.0"
name: test
steps:
  - {id: done, type: set, compensate: {type: approval, message: Undo?}}
  - {id: gate, type: approval, message: Go on?}
"""
    async with shell_runtime(tmp_path) as runtime:
        run_id = await start(runtime, text)
        question = await asked(runtime)
    async with shell_runtime(tmp_path, works=False) as runtime:
        await runtime.runs.cancel(ACTOR, run_id)
        for decision in Decision:
            with pytest.raises(RunEnded, match="is being cancelled"):
                await say(runtime, question, decision=decision)
        assert (await runtime.approvals.get(ANN, question.id)).approval.state is ApprovalState.PENDING
    async with shell_runtime(tmp_path) as runtime:
        await until(runtime, run_id, lambda _, records: "done.compensate" in records)
        await say(runtime, await asked(runtime))
        run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.CANCELLED, {"done": "completed", "gate": "cancelled", "done.compensate": "completed"})


async def test_a_question_that_is_taken_back_fails_the_step(runtime: Runtime) -> None:
    run_id = await start(runtime, gate())
    question = await asked(runtime)
    await runtime.db.write(lambda conn: revoke_unstarted(BOB, conn, runtime.approvals, question.id, reason="a mistake"))
    runtime.ring(run_id)
    run, _ = await finished(runtime, run_id)

    assert (run.state, code(run)) == (RunState.FAILED, "approval-revoked")


async def test_a_timeout_ends_the_question_with_the_step(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    timeout: 1s\n"))
    question = await asked(runtime)
    assert question.expires_at == (await only(runtime, run_id, "gate")).deadline_at
    run, _ = await finished(runtime, run_id)

    assert (run.state, code(run)) == (RunState.FAILED, "step-timed-out")
    assert (await runtime.approvals.get(ANN, question.id)).approval.state is ApprovalState.EXPIRED
    with pytest.raises(RunEnded):
        await say(runtime, question)


async def test_without_a_timeout_the_operators_limit_holds_and_a_retry_asks_anew(runtime: Runtime) -> None:
    run_id = await start(runtime, gate("    retry: {attempts: 2, base: 10ms}\n"))
    first = await asked(runtime)
    assert (first.expires_at - first.requested_at).total_seconds() == 3600
    await runtime.db.write(lambda conn: runtime.approvals.expire(conn, first.expires_at))
    with pytest.raises((ApprovalNotOpen, ApprovalExpired)):
        await say(runtime, first)
    runtime.ring(run_id)
    second = await asked(runtime)
    assert (second.id != first.id, second.digest) == (True, first.digest)
    await say(runtime, second)
    run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    assert (await only(runtime, run_id, "gate")).attempt == 2


async def test_a_refused_run_that_is_tried_again_asks_anew(runtime: Runtime) -> None:
    run_id = await start(runtime, gate())
    first = await asked(runtime)
    await say(runtime, first, decision=Decision.REJECT)
    await finished(runtime, run_id)
    await runtime.runs.retry(ACTOR, run_id)
    runtime.ring(run_id)
    second = await asked(runtime)
    assert second.id != first.id
    await say(runtime, second)

    assert (await finished(runtime, run_id))[0].state is RunState.COMPLETED


@pytest.mark.parametrize(
    "steps",
    [
        "  - {id: gate, type: approval, message: Go on?}\n",
        "  - {id: gate, type: set, x: '{{ 1 / 0 }}', fallback: {type: approval, message: Go on?}}\n",
        "  - {id: gate, type: group, steps: [{id: inner, type: approval, message: Go on?}]}\n",
    ],
)
async def test_no_other_run_begins_behind_an_answer(runtime: Runtime, steps: str) -> None:
    text = f'version: "1.0"\nname: test\nsteps:\n{steps}  - {{id: between, type: set}}\n  - {{id: go, type: set}}\n'
    run_id = await start(runtime, text)
    await say(runtime, await asked(runtime))
    run, _ = await finished(runtime, run_id)
    assert run.state is RunState.COMPLETED

    with pytest.raises(NotRepeatable, match="asked anew") as refused:
        await runtime.runs.rerun(ACTOR, run_id, step="go", inputs={})
    assert refused.value.hint == "begin at 'gate'"
    again = await runtime.runs.rerun(ACTOR, run_id, step="gate", inputs={})
    runtime.ring(again)
    question = await asked(runtime)
    assert question.run_id == again
    await say(runtime, question)
    assert (await finished(runtime, again))[0].state is RunState.COMPLETED


async def test_each_turn_of_a_loop_asks_its_own_question(runtime: Runtime) -> None:
    text = """version: "1.0"
name: test
steps:
  - id: each
    type: foreach
    items: [a, b]
    steps:
      - {id: gate, type: approval, message: "Restart {{ item }}?"}
      - {id: go, type: transform, value: "{{ item }} {{ steps.gate.output.by[0] }}"}
  - id: both
    type: parallel
    steps:
      - {id: left, type: approval, message: Left?}
      - {id: right, type: approval, message: Right?}
"""
    run_id = await start(runtime, text)
    found = {question.title: question for question in await asked_of(runtime, 2)}
    assert set(found) == {"Restart a?", "Restart b?"}
    await say(runtime, found["Restart b?"], BOB)
    await until(runtime, run_id, lambda _, records: "go[1]" in records and records["go[1]"].state is StepState.COMPLETED)
    await say(runtime, found["Restart a?"], ANN)
    for question in await asked_of(runtime, 2):
        await say(runtime, question)
    run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
    _, records = await look(runtime, run_id)
    assert [(records[key].output or {})["value"] for key in ("go[0]", "go[1]")] == ["a Ann", "b Bob"]


async def test_a_scope_that_fails_closes_the_questions_in_it(runtime: Runtime) -> None:
    text = """version: "1.0"
name: test
steps:
  - id: both
    type: parallel
    steps:
      - {id: left, type: approval, message: Left?}
      - {id: right, type: approval, message: Right?}
"""
    run_id = await start(runtime, text)
    left, _ = sorted(await asked_of(runtime, 2), key=lambda question: question.title)
    await say(runtime, left, decision=Decision.REJECT)
    run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.FAILED, {"both": "failed", "left": "failed", "right": "cancelled"})
    assert await runtime.approvals.list(ACTOR, state=ApprovalState.PENDING) == ()


async def test_what_is_asked_stays_as_it_was_asked(runtime: Runtime) -> None:
    """A step beside the question ends while people decide, and changes what the message would be: the question stands."""
    text = """version: "1.0"
name: test
steps:
  - {id: gate, type: approval, message: "{{ 'late' if 'late' in steps else 'early' }}"}
  - {id: side, type: wait, event: now, parallel: true}
  - {id: late, type: set, depends_on: [side]}
"""
    run_id = await start(runtime, text)
    question = await asked(runtime)
    assert question.shown["message"] == "early"
    await runtime.workflows.signal(ACTOR, run_id, "now", {})
    runtime.ring(run_id)
    await until(runtime, run_id, lambda _, records: "late" in records)
    await say(runtime, question, decision=Decision.APPROVE)
    await until(runtime, run_id, lambda _, records: records["gate"].state is StepState.COMPLETED)
    assert [item.id for item in await runtime.approvals.list(ACTOR)] == [question.id]


async def test_credentials_in_a_question_are_masked_and_large_details_refused(runtime: Runtime) -> None:
    text = gate("    details: {password: \"{{ 'x' * 3 }}\"}\n")
    await start(runtime, text)
    assert (await asked(runtime)).shown["details"] == {"password": "[redacted]"}

    large = gate("    details: \"{{ 'x' * 70000 }}\"\n")
    run, _ = await finished(runtime, await start(runtime, large))
    assert (run.state, code(run)) == (RunState.FAILED, "invalid-input")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plan: p", "give `message`, or both `plan` and `incident`"),
        ("required: 2", "give `message`, or both `plan` and `incident`"),
        ('message: "{{ inputs.x }}", plan: p, incident: i', "give one or the other"),
        ("plan: p, incident: i, required: 2, role: admin", "cannot stand beside a plan: required, role"),
        ('message: "{{ inputs.x }}", required: 3, approvers: [a, b]', "more people are `required`"),
        ("message: Go?, approvers: []", "at least 1 item"),
        ("message: Go?, role: viewer", "'approver' or 'admin'"),
        ("message: '  '", "a question has words"),
        ("message: Go?, required: 0", "greater than or equal to 1"),
        ("mesage: Go?", "there is no such parameter"),
        ("message: '{{ secrets.x }}'", "secret"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_not_registered(runtime: Runtime, given: str, expected: str) -> None:
    text = f'version: "1.0"\nname: test\ninputs: {{x: string}}\nsteps:\n  - {{id: gate, type: approval, {given}}}\n'
    with pytest.raises(InvalidWorkflow) as refused:
        await runtime.workflows.register(ACTOR, text, "test.yaml")

    assert expected in str(refused.value.details) + refused.value.message
