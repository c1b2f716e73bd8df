"""Secrets and variables in workflows: named everywhere, filled in only where they are used, seen nowhere."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.integration.shell_support import answer, asked, dispatches, only, recording, shell, shell_runtime
from tests.integration.test_http_step import reply, serving
from tests.integration.workflow_support import ACTOR, events, finished, start, until

from bcce.kit.text import canonical_json
from bcce.storage.outbox import read_after
from bcce.workflows.model import RunState, StepState
from bcce.workflows.settings import WorkflowSettings

HUSH = "correct horse battery"
KEY = "-----first line\nsecond line of it\nlast"
ENV = '    env: {PLAIN: x, TOKEN: "Bearer {{ secrets.hush }}", KEY: "{{ secrets[\'the-key\'] }}", AREA: "in ${SHOP_AREA}"}\n'


def configured(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings with three secrets and a variable."""
    (folder / "key").write_text(KEY + "\n")
    secrets = {"hush": "env:SHOP_HUSH", "the-key": f"file:{folder / 'key'}", "other": "env:SHOP_PASSWORD"}
    return {"workflows": {"sweep_s": 0.05, "secrets": secrets, "variables": ["SHOP_AREA"], **more}}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_AREA", "garden-centre")
    monkeypatch.setenv("SHOP_HUSH", HUSH)
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2hunter2")


def stored(home: Path) -> bytes:
    """Everything that lies in the state folder but for the jobs' own files, which hold what their script was given."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and "jobs" not in path.parts)


async def test_a_script_gets_values_and_nobody_else_sees_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home, seen = tmp_path / "home", tmp_path / "seen"
    script = f'printf "%s|%s|%s|%s" "$PLAIN" "$TOKEN" "$KEY" "$AREA" > {seen}\necho "$TOKEN and $AREA"\necho "$KEY"'
    async with shell_runtime(home, **configured(tmp_path)) as runtime:
        run_id = await start(runtime, shell(script, extra=ENV))
        question = await asked(runtime)
        assert question.shown["parameters"] == {"PLAIN": "x"}
        assert question.shown["references"] == {"TOKEN": "Bearer secret:hush", "KEY": "secret:the-key", "AREA": "in variable:SHOP_AREA"}
        await answer(runtime)
        run, _ = await finished(runtime, run_id)

        assert run.state is RunState.COMPLETED
        assert seen.read_text() == f"x|Bearer {HUSH}|{KEY}|in garden-centre"
        output = (await only(runtime, run_id)).output
        assert output is not None
        assert str(output["output"]).splitlines() == ["Bearer [redacted] and in [redacted]", "[redacted]"]
        told = canonical_json(await events(runtime, run_id))
        every = canonical_json([dict(row.data) for row in await runtime.db.read(lambda conn: read_after(conn, 0, 10_000, tenant_id=None))])

    everything = stored(home) + told + every + "".join(capfd.readouterr()).encode()
    assert b"hush" in everything  # so that what is looked through is not empty, compressed or encrypted
    for value in (HUSH, "second line of it", "garden-centre"):
        assert value.encode() not in everything


async def test_a_change_of_a_reference_is_another_script_and_a_change_of_its_value_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = recording(tmp_path)
    digests = []
    for name, value in (("hush", "aaaaaa"), ("hush", "bbbbbb"), ("other", "aaaaaa")):
        monkeypatch.setenv("SHOP_HUSH", value)
        async with shell_runtime(tmp_path, executor=executor, **configured(tmp_path)) as runtime:
            text = shell("df -h /", extra=f'    env: {{T: "{{{{ secrets.{name} }}}}"}}\n')
            run, _ = await finished(runtime, await start(runtime, text))
            assert run.state is RunState.COMPLETED
            digests.append((await dispatches(runtime))[-1].parameters_digest)

    assert digests[0] == digests[1] != digests[2]
    assert [start.script.parameters for start in executor.starts] == [{}, {}, {}]


async def test_text_from_outside_names_no_secret(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    extra = '    env: {A: "{{ inputs.mark }}", B: "{{ inputs.mark }} ${SHOP_AREA}"}\n'
    given = "secret:hush {{ secrets.hush }} ${SHOP_PASSWORD}"
    async with shell_runtime(tmp_path, executor=executor, **configured(tmp_path)) as runtime:
        await finished(runtime, await start(runtime, shell("df -h /", extra=extra), mark=given))
        whole = shell("df -h /", extra='    env: "{{ inputs.mark }}"\n').replace('mark: {default: ""}', "mark: object")
        forged = {"A": {"parts": [{"kind": "secret", "value": "hush"}]}}
        run, _ = await finished(runtime, await start(runtime, whole, mark=forged))
        assert (run.error and run.error["code"]) == "invalid-input"

    (started,) = executor.starts
    assert started.script.parameters == {"A": given}
    assert [part.kind for part in started.script.references["B"].parts] == ["text", "variable"]
    assert started.script.references["B"].parts[0].value == f"{given} "


async def test_a_secret_that_is_not_there_fails_the_step_before_anybody_is_asked(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    settings = configured(tmp_path)
    (tmp_path / "key").unlink()
    async with shell_runtime(tmp_path, executor=executor, **settings) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell('echo > "$KEY"', extra=ENV)))

        assert (run.error and run.error["code"]) == "secret-unavailable"
        assert "the-key" in str(run.error)
        assert await runtime.approvals.list(ACTOR) == ()
    assert executor.starts == []


@pytest.mark.parametrize(
    ("step", "rule", "said"),
    [
        ('{id: a, type: set, x: "{{ secrets.hush }}"}', "workflow.misplaced-secret", "cannot be used here"),
        ("{id: a, type: set, when: secrets.hush == 'x'}", "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: emit, event: e, data: {x: "a {{ secrets.hush }}"}}', "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: shell, script: df, env: {X: "{{ secrets.hush | upper }}"}}', "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: shell, script: df, title: "{{ secrets.hush }}"}', "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: shell, script: "df {{ secrets.hush }}"}', "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: http, url: "http://h/{{ secrets.hush }}"}', "workflow.misplaced-secret", "cannot be used here"),
        ('{id: a, type: shell, script: df, env: {X: "{{ secrets.hash }}"}}', "workflow.unknown-secret", "no secret 'hash'"),
        ('{id: a, type: shell, script: df, env: {X: "${HOME}"}}', "workflow.unknown-variable", "no variable 'HOME'"),
        ('{id: a, type: http, url: "http://h/", headers: {x: "{{ secrets.hash }}"}}', "workflow.unknown-secret", "no secret 'hash'"),
        ('{id: a, type: shell, script: df, env: {X: "{{ secrets.hush }}{{ inputs.no }}"}}', "workflow.unknown-reference", "no input 'no'"),
    ],
)
async def test_where_references_may_stand_is_checked(tmp_path: Path, step: str, rule: str, said: str) -> None:
    async with shell_runtime(tmp_path, works=False, **configured(tmp_path)) as runtime:
        _, findings = runtime.workflows.validate(ACTOR, f'version: "1.0"\nname: test\nsteps:\n  - {step}\n')

    first = next(item for item in findings if item.rule_id == rule)
    assert (first.line, said in first.message, bool(first.hint)) == (4, True, True)


async def test_dollars_can_be_meant(tmp_path: Path) -> None:
    executor = recording(tmp_path)
    async with shell_runtime(tmp_path, executor=executor, **configured(tmp_path)) as runtime:
        run, _ = await finished(runtime, await start(runtime, shell('echo "${A}"', extra='    env: {A: "$${HOME} $5"}\n')))

    assert run.state is RunState.COMPLETED
    assert executor.starts[0].script.parameters == {"A": "${HOME} $5"}


async def test_a_request_carries_values_and_its_answer_is_masked(tmp_path: Path) -> None:
    async with serving(
        lambda seen: reply(
            body=canonical_json({"you": seen.headers["x-token"], "said": seen.body.decode()}), content_type="application/json"
        )
    ) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}
        step = (
            'version: "1.0"\nname: test\nsteps:\n  - id: ask\n    type: http\n    method: POST\n'
            f"    url: http://127.0.0.1:{server.port}/\n"
            '    headers: {X-Token: "Bearer {{ secrets.hush }}"}\n'
            '    json: {list: ["{{ secrets.other }}", 1], area: "${SHOP_AREA}"}\n'
        )
        async with shell_runtime(tmp_path / "home", **configured(tmp_path, http=http)) as runtime:
            run, _ = await finished(runtime, await start(runtime, step))
            output = (await only(runtime, run.id, "ask")).output

    assert run.state is RunState.COMPLETED, run.error
    assert server.seen[0].headers["x-token"] == f"Bearer {HUSH}"
    assert server.seen[0].body == b'{"area":"garden-centre","list":["hunter2hunter2",1]}'
    assert output is not None
    assert output["json"] == {"you": "Bearer [redacted]", "said": '{"area":"[redacted]","list":["[redacted]",1]}'}
    for value in (HUSH, "hunter2hunter2", "garden-centre"):
        assert value.encode() not in stored(tmp_path / "home")


#: A step whose output does not stand in the journal, beside whatever else there is.
LARGE = '  - {id: large, type: transform, depends_on: [], value: "{{ inputs.big }}"}\n'


async def test_a_request_carries_values_behind_a_large_output(tmp_path: Path) -> None:
    async with serving(lambda _: reply(body=b"{}", content_type="application/json")) as server:
        http = {"allowed_hosts": [f"127.0.0.1:{server.port}"], "allowed_networks": ["127.0.0.0/8"]}
        step = (
            f'version: "1.0"\nname: test\ninputs: {{big: string}}\nsteps:\n{LARGE}  - id: ask\n    type: http\n    method: POST\n'
            f"    url: http://127.0.0.1:{server.port}/\n"
            '    headers: {X-Token: "Bearer {{ secrets.hush }}"}\n'
            '    json: {secret: "{{ secrets.other }}", size: "{{ steps.large.output.value | length }}"}\n'
        )
        async with shell_runtime(tmp_path / "home", **configured(tmp_path, http=http)) as runtime:
            run, _ = await finished(runtime, await start(runtime, step, big="x" * 20_000))

    assert run.state is RunState.COMPLETED, run.error
    assert server.seen[0].headers["x-token"] == f"Bearer {HUSH}"
    assert server.seen[0].body == b'{"secret":"hunter2hunter2","size":20000}'


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_script_that_was_given_values_is_followed_past_a_large_output(tmp_path: Path, is_cancelled: bool) -> None:
    mark = tmp_path / "mark"
    script = f'echo "$T" > {mark}\nsleep {20 if is_cancelled else 1}\necho done'
    text = shell(script, extra='    env: {T: "{{ secrets.hush }}"}\n').replace("inputs: {", "inputs: {big: string, ")
    # It comes while the script runs, so that the next look at the script is the first one beside it.
    text += "  - {id: later, type: wait, depends_on: [], event: go}\n" + LARGE.replace("[]", "[later]")
    async with shell_runtime(tmp_path / "home", **configured(tmp_path)) as runtime:
        run_id = await start(runtime, text, big="x" * 20_000)
        await answer(runtime)
        async with asyncio.timeout(20):
            while not mark.exists():  # noqa: ASYNC110 - a script writes it
                await asyncio.sleep(0.01)
        await runtime.workflows.signal(ACTOR, run_id, "go", {})
        runtime.ring(run_id)
        await until(runtime, run_id, lambda _, records: "large" in records and records["large"].state is StepState.COMPLETED)
        if is_cancelled:
            await runtime.runs.cancel(ACTOR, run_id)
            runtime.ring(run_id)
        run, states = await finished(runtime, run_id)
        (dispatch,) = await dispatches(runtime)

    expected = ("cancelled", "cancelled") if is_cancelled else ("completed", "completed")
    assert (run.state, states["clean"]) == expected, run.error
    assert dispatch.state == ("stopped" if is_cancelled else "succeeded")


async def test_a_secret_that_cannot_stand_in_a_header_is_refused_without_being_told(tmp_path: Path) -> None:
    step = (
        'version: "1.0"\nname: test\nsteps:\n  - id: ask\n    type: http\n    url: "http://127.0.0.1:{{ 9 }}/"\n'
        "    headers: {X-Key: \"{{ secrets['the-key'] }}\"}\n"
    )
    async with shell_runtime(tmp_path / "home", **configured(tmp_path)) as runtime:
        run, _ = await finished(runtime, await start(runtime, step))

    assert (run.error and run.error["code"]) == "invalid-http-request"
    assert "line" not in str(run.error).replace("one line of ASCII", "")


async def test_what_cannot_be_masked_any_more_is_not_shown(tmp_path: Path) -> None:
    async with shell_runtime(tmp_path / "home", **configured(tmp_path)) as runtime:
        script = f'echo "$KEY"\nrm {tmp_path}/key'
        run_id = await start(runtime, shell(script, extra="    env: {KEY: \"{{ secrets['the-key'] }}\"}\n"))
        await answer(runtime)
        run, _ = await finished(runtime, run_id)
        output = (await only(runtime, run_id)).output

    assert run.state is RunState.COMPLETED
    assert output is not None
    assert "cannot be shown" in str(output["output"])
    assert "second line" not in str(output["output"])


@pytest.mark.parametrize("place", ["hunter2", "env:1", "file:relative", "value:x"])
def test_a_place_that_is_none_is_refused_without_repeating_it(place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkflowSettings.model_validate({"secrets": {"a": place}})

    assert "file:/absolute/path" in str(caught.value)
    assert place not in str(caught.value).replace("file:/absolute/path", "")


def test_own_variables_are_not_for_workflows() -> None:
    with pytest.raises(ValidationError, match="BCCE's own"):
        WorkflowSettings.model_validate({"variables": ["BCCE_DATABASE__URL"]})


ASKS_FOR_IT = (
    'version: "1.0"\nname: test\ninputs: {who: {default: ann}, password: {secret: true}}\nsteps:\n'
    '  - {id: first, type: set, who: "{{ inputs.who }}"}\n'
    '  - id: clean\n    type: shell\n    env: {PASSWORD: "{{ inputs.password }}", WHO: "{{ inputs.who }}"}\n    script: |\n'
    '      echo "$WHO $PASSWORD"\n      printf %s "$PASSWORD" > SEEN\n'
)


async def test_a_secret_input_is_never_stored_in_clear(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home, seen = tmp_path / "home", tmp_path / "seen"
    text = ASKS_FOR_IT.replace("SEEN", str(seen))
    async with shell_runtime(home, **configured(tmp_path)) as runtime:
        run_id = await start(runtime, text, password=HUSH)
        question = await asked(runtime)
        assert question.shown["references"] == {"PASSWORD": f"input:{run_id}/password"}
        await answer(runtime)
        run, _ = await finished(runtime, run_id)
        assert (run.state, run.inputs) == (RunState.COMPLETED, {"who": "ann", "password": "[redacted]"})
        assert seen.read_text() == HUSH
        output = (await only(runtime, run_id)).output
        assert output is not None
        assert output["output"] == "ann [redacted]\n"

        # A run that begins at a step of it has the same secret, unless it is given another.
        for given, expected in (({}, HUSH), ({"password": "another one"}, "another one")):
            again = await runtime.runs.rerun(ACTOR, run_id, step="clean", inputs=given)
            runtime.ring(again)
            await answer(runtime)
            run, _ = await finished(runtime, again)
            assert (run.state, seen.read_text()) == (RunState.COMPLETED, expected)

    everything = stored(home) + "".join(capfd.readouterr()).encode()
    assert b"password" in everything
    for value in (HUSH, "another one"):
        assert value.encode() not in everything


@pytest.mark.parametrize(
    ("inputs", "step", "rule", "line"),
    [
        ("{p: {secret: true}}", '{id: a, type: set, x: "{{ inputs.p }}"}', "workflow.misplaced-secret", 5),
        ("{p: {secret: true}}", '{id: a, type: set, when: "{{ inputs.p == 1 }}"}', "workflow.misplaced-secret", 5),
        ("{p: {secret: true}}", '{id: a, type: shell, script: df, env: {X: "{{ inputs.p | upper }}"}}', "workflow.misplaced-secret", 5),
        ("{p: {secret: true, default: x}}", "{id: a, type: set}", "workflow.wrong-value", 3),
        ("{p: {secret: true, type: integer}}", "{id: a, type: set}", "workflow.wrong-value", 3),
    ],
)
async def test_where_a_secret_input_may_stand_is_checked(tmp_path: Path, inputs: str, step: str, rule: str, line: int) -> None:
    async with shell_runtime(tmp_path, works=False) as runtime:
        _, findings = runtime.workflows.validate(ACTOR, f'version: "1.0"\nname: test\ninputs: {inputs}\nsteps:\n  - {step}\n')

    assert [(item.rule_id, item.line) for item in findings] == [(rule, line)]
