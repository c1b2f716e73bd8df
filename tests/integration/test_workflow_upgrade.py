"""Runs that an earlier release began go on in this one, by the rules under which they began."""

from pathlib import Path

from sqlalchemy import Connection, insert, update
from tests.integration.workflow_support import ACTOR, Work, finished, runtime_at, start, until

from bcce.kit.ids import RunId
from bcce.workflows.model import RunState
from bcce.workflows.step_type import gate_id
from bcce.workflows.tables import definitions, gates, runs, steps

TEXT = """
version: "1.0"
name: old
steps:
  - {id: a, type: work, value: 1}
  - id: c
    type: condition
    condition: "{{ steps.a.output.value == 1 }}"
    then:
      - {id: g, type: wait, event: go}
      - {id: after, type: work, value: "{{ steps.g.output.payload.n }}"}
  - {id: last, type: work, depends_on: [a], seconds: 0.05}
  - {id: end, type: work, depends_on: [a]}
outputs:
  n: "{{ steps.after.output.value | default(0) }}"
"""


async def test_a_run_that_format_1_parked_at_a_gate_goes_on_in_its_own_order(tmp_path: Path) -> None:
    work = Work()
    async with runtime_at(tmp_path, work=work) as (runtime, _):
        stored = await runtime.workflows.register(ACTOR, TEXT, "old.yaml")
        now = runtime.clock.now()

        def park_as_format_1(conn: Connection) -> RunId:
            conn.execute(update(definitions).where(definitions.c.id == stored.id).values(format=1))
            run_id = runtime.workflows.start(ACTOR, conn, workflow="old", inputs={}, correlation_id="cor_old")
            parked = {"wake_at": None, "seen_seq": 1, "epoch": 1, "started_at": now, "definition_format": 1}
            conn.execute(update(runs).where(runs.c.id == run_id).values(**parked))
            row = {"run_id": run_id, "attempt": 1, "tenant_id": "default", "effect": "pure", "input_digest": "", "started_at": now}
            done = {"state": "completed", "ended_at": now, "waiting_for": None}
            conn.execute(insert(steps), [{**row, **done, "step_key": "a", "type": "work", "output": {"value": 1}}])
            conn.execute(insert(steps), [{**row, **done, "step_key": "c", "type": "condition", "output": {"branch": "then"}}])
            conn.execute(insert(steps), [{**row, "step_key": "g", "type": "wait", "state": "waiting", "waiting_for": "go"}])
            gate = {"id": gate_id(run_id, "g", 1), "tenant_id": "default", "run_id": run_id, "step_key": "g", "kind": "event", "name": "go"}
            conn.execute(insert(gates), [{**gate, "state": "open", "opened_at": now}])
            return run_id

        run_id = await runtime.db.write(park_as_format_1)
        await runtime.workflows.signal(ACTOR, run_id, "go", {"n": 5})
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

    assert (run.state, run.output) == (RunState.COMPLETED, {"n": 5})
    # In format 1 every step also waited for the one above it; today the last two would run at once.
    assert work.calls == ["after", "last", "end"]
    assert work.most == 1


async def test_a_run_that_an_older_release_parked_beside_us_goes_on(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, "name: w\nsteps: [{id: g, type: wait, event: go}]\n")
        await until(runtime, run_id, lambda run, records: "g" in records and run.lease_owner is None)
        parked = update(runs).where(runs.c.id == run_id).values(state=RunState.NEEDS_UPGRADE)
        await runtime.db.write(lambda conn: conn.execute(parked) and None)

        await until(runtime, run_id, lambda run, _: run.state is RunState.ACTIVE, seconds=5)
        await runtime.workflows.signal(ACTOR, run_id, "go", {})
        runtime.ring(run_id)
        run, _ = await finished(runtime, run_id)

    assert run.state is RunState.COMPLETED
