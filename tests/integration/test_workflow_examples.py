"""The examples of failure in docs/workflows.md do what the page says, only sooner."""

import re
import socket
from pathlib import Path

import pytest
from tests.architecture.source import ROOT
from tests.integration.workflow_support import ACTOR, events, finished, look, runtime_at, start, until

from bcce.workflows.model import RunState

PAGE = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")


def example(name: str, **sooner: str) -> str:
    """An example of the page; each of `sooner` is a key and what takes the place of its value."""
    (found,) = re.findall(rf"^```yaml\n(name: {name}\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for key, value in sooner.items():
        assert f"{key}: " in found
        found = re.sub(rf"{key}: [^\s,}}]+", f"{key}: {value}", found)
    return str(found)


async def test_the_traffic_comes_back_if_nobody_confirms(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, example("move-traffic", timeout="300ms"))
        run, states = await finished(runtime, run_id)
        _, records = await look(runtime, run_id)
        told = [data["event"] for kind, data in await events(runtime, run_id) if kind == "workflow.event"]

    assert (run.state, states) == (RunState.FAILED, {"drain": "completed", "confirm": "failed", "drain.compensate": "completed"})
    assert (records["confirm"].error or {})["code"] == "step-timed-out"
    assert told == ["traffic-away", "traffic-back"]


async def test_the_traffic_stays_away_if_somebody_confirms(tmp_path: Path) -> None:
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, example("move-traffic"))
        await until(runtime, run_id, lambda _, records: "confirm" in records)
        await runtime.workflows.signal(ACTOR, run_id, "confirmed", {})
        runtime.ring(run_id)
        run, states = await finished(runtime, run_id)

    assert (run.state, states) == (RunState.COMPLETED, {"drain": "completed", "confirm": "completed"})


@pytest.mark.parametrize(
    ("sooner", "tries", "code"), [({}, {3}, "http-unreachable"), ({"timeout": "30ms", "base": "20s"}, {1, 2}, "step-timed-out")]
)
async def test_a_sturdy_step_is_tried_again_within_its_time_and_then_replaced(
    tmp_path: Path, sooner: dict[str, str], tries: set[int], code: str
) -> None:
    with socket.socket() as nobody:  # bound and not listening: whoever connects is refused
        nobody.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody.getsockname()[1]}"
        http = {"allowed_hosts": [host], "allowed_networks": ["127.0.0.0/8"]}
        text = example("sturdy", **{"base": "10ms", **sooner}).replace("https://status.example.org", f"http://{host}")
        async with runtime_at(tmp_path, http=http) as (runtime, _):
            run_id = await start(runtime, text)
            run, states = await finished(runtime, run_id)
            _, attempts = await runtime.workflows.run(ACTOR, run_id)

    asked = [record for record in attempts if record.key == "ask"]
    assert (run.state, states) == (RunState.COMPLETED, {"ask": "failed", "ask.fallback": "completed"})
    # The time may be over during the first try or during the pause behind it, which the second one only says.
    assert len(asked) in tries
    assert (asked[-1].error or {})["code"] == code


async def test_one_signal_opens_every_wait_of_its_name_and_the_first_payload_counts(tmp_path: Path) -> None:
    text = (
        "name: t\nsteps:\n  - {id: a, type: wait, event: go}\n"
        "  - id: each\n    type: foreach\n    items: [1, 2]\n    steps: [{id: b, type: wait, event: go}]\n"
    )
    async with runtime_at(tmp_path) as (runtime, _):
        run_id = await start(runtime, text)
        sent = [await runtime.workflows.signal(ACTOR, run_id, "go", {"n": n}) for n in (1, 2)]
        runtime.ring(run_id)
        await finished(runtime, run_id)
        _, records = await look(runtime, run_id)

    assert sent == [True, False]
    assert {(records[key].output or {})["payload"]["n"] for key in ("a", "b[0]", "b[1]")} == {1}  # type: ignore[index]  # as it was sent
