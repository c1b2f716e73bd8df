"""What the wrapper is told and what its answers mean; nonsense is never an outcome."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.executor_support import clearance_for

from bcce.execution.errors import ExecutorUnavailable, InvalidTarget, NotStarted, TargetNotReady
from bcce.execution.marker import protocol
from bcce.execution.marker.protocol import Answer
from bcce.execution.model import (
    ExitReason,
    JobPhase,
    JobStatus,
    OutputChunk,
    Probe,
    Script,
    StartOutcome,
    StopResult,
    Target,
    encode_parameters,
)
from bcce.testing.clock import FrozenClock

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NOW_US = 1767323045678901
TARGET = Target(name="here", executor="local", base_dir="/var/lib/jobs")


def answer(line: str, data: bytes = b"") -> Answer:
    """An answer as the wrapper would write it."""
    return protocol.read_answer(line.encode() + b"\n" + data)


def test_calls_put_everything_but_verb_folder_and_key_on_standard_input() -> None:
    calls = [
        protocol.probe_call("/jobs", NOW),
        protocol.status_call("/jobs", "k", NOW),
        protocol.status_call("/jobs", "k", None),
        protocol.output_call("/jobs", "k", 7),
        protocol.output_call("/jobs", "k", -7),
        protocol.stop_call("/jobs", "k", 5),
    ]
    assert [(call.arguments(), call.stdin) for call in calls] == [
        (("probe", "/jobs", "probe"), f"{NOW_US}\n".encode()),
        (("status", "/jobs", "k"), f"{NOW_US}\n".encode()),
        (("status", "/jobs", "k"), b"0\n"),
        (("output", "/jobs", "k"), b"7 1048576\n"),
        (("output", "/jobs", "k"), b"0 1048576\n"),
        (("stop", "/jobs", "k"), b"5\n"),
    ]


def test_a_start_sends_header_parameters_and_script() -> None:
    script = Script(text="echo ü\n", parameters={"B": "2", "A": "1\n"})
    clearance = replace(clearance_for(FrozenClock(NOW), TARGET, "dsp_1", script, timeout_s=9), correlation_id=None)
    call = protocol.start_call(clearance, script, output_limit_kib=64, grace_s=3)
    header, _, rest = call.stdin.partition(b"\n")
    sizes = f"{NOW_US} 8 {script.digest.removeprefix('sha256:')} 9 {script.parameters_digest.removeprefix('sha256:')} 64 9 3"
    assert (call.arguments(), header.decode(), rest) == (
        ("start", "/var/lib/jobs", "dsp_1"),
        sizes,
        encode_parameters(script.parameters) + script.data,
    )


@pytest.mark.parametrize(
    ("given_id", "sent"),
    [("cor_1", b"BCCE_CORRELATION_ID=cor_1\x00"), (None, b""), ("", b""), ("a\nB=1", b""), ("a\x00B=1", b""), ("x" * 129, b"")],
)
def test_the_correlation_id_is_told_to_the_script_if_it_is_one(given_id: str | None, sent: bytes) -> None:
    script = Script(text="true", parameters={"A": "1"})
    clearance = replace(clearance_for(FrozenClock(NOW), TARGET, "dsp_1", script), correlation_id=given_id)
    body = protocol.start_call(clearance, script, output_limit_kib=64, grace_s=3).stdin.partition(b"\n")[2]

    assert body == encode_parameters(script.parameters) + sent + script.data


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - the strategy takes naive limits
def test_moments_keep_every_microsecond(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=protocol.micros(aware)) == aware


@pytest.mark.parametrize("base", ["", "jobs", "./jobs", "/", "//jobs", "/jobs/", "/jobs//x", "/jobs/../x", "/jobs/.", "~"])
def test_a_base_folder_must_be_absolute_and_plain(base: str) -> None:
    with pytest.raises(InvalidTarget):
        protocol.check_base_dir(base)


@pytest.mark.parametrize("base", ["/jobs", "/var/lib/my jobs", "/ü/-x"])
def test_a_plain_absolute_path_is_a_base_folder(base: str) -> None:
    assert protocol.check_base_dir(base) == base


STATUSES = [
    ("bcce1 running", JobPhase.RUNNING, None, None),
    ("bcce1 never_started", JobPhase.NEVER_STARTED, None, None),
    ("bcce1 exited 0 exited", JobPhase.EXITED, 0, ExitReason.EXITED),
    ("bcce1 exited 255 exited", JobPhase.EXITED, 255, ExitReason.EXITED),
    ("bcce1 exited 124 timed-out", JobPhase.EXITED, 124, ExitReason.TIMED_OUT),
    ("bcce1 exited 143 stopped", JobPhase.EXITED, 143, ExitReason.STOPPED),
    ("bcce1 unknown restarted", JobPhase.UNKNOWN, None, None),
    ("bcce1 unknown something-new", JobPhase.UNKNOWN, None, None),
]


@pytest.mark.parametrize(("line", "phase", "code", "reason"), STATUSES)
def test_a_status_is_read(line: str, phase: JobPhase, code: int | None, reason: ExitReason | None) -> None:
    status = protocol.status_result(answer(line))
    assert status == JobStatus(phase=phase, exit_code=code, reason=reason, detail=status.detail)
    assert status.detail


def test_starts_probes_outputs_and_stops_are_read() -> None:
    assert protocol.start_result(answer("bcce1 started")).outcome is StartOutcome.STARTED
    assert protocol.start_result(answer("bcce1 decided")).outcome is StartOutcome.ALREADY_DECIDED
    assert protocol.probe_result(answer("bcce1 probe 4096 tmpfs 5.2.15 ")) == Probe(
        free_bytes=4096, filesystem="tmpfs", memory_backed=True, shell_version="5.2.15"
    )
    assert protocol.probe_result(answer("bcce1 probe 0 - 5.2.15 base-missing no-flock")) == Probe(
        problems=("the base folder does not exist", "flock is missing on the target"), shell_version="5.2.15"
    )
    chunk = OutputChunk(data=b"a\nb", next_offset=13, complete=True, truncated=False)
    assert protocol.output_result(answer("bcce1 output 3 1 0", b"a\nb"), 10) == chunk
    assert protocol.output_result(answer("bcce1 output 0 0 1"), 10) == OutputChunk(data=b"", next_offset=10, complete=False, truncated=True)
    assert protocol.stop_result(answer("bcce1 stopped 1 restarted")).proven is True
    assert protocol.stop_result(answer("bcce1 stopped 0 left-in-session 12 13")) == StopResult(
        proven=False, detail="processes of its session are left: 12, 13"
    )


READERS: dict[str, Callable[[Answer], object]] = {
    "probe": protocol.probe_result,
    "start": protocol.start_result,
    "status": protocol.status_result,
    "output": lambda given: protocol.output_result(given, 0),
    "stop": protocol.stop_result,
}


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("line", ["bcce1 malformed", "bcce1 refused", "bcce1 refused no-space", "bcce1 refused never-heard", "bcce1 ok"])
def test_what_no_answer_should_be_is_unavailable(reader: str, line: str) -> None:
    with pytest.raises(ExecutorUnavailable):
        READERS[reader](answer(line))


@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_base_folder_that_cannot_be_used_is_not_ready(reader: str) -> None:
    with pytest.raises(TargetNotReady) as caught:
        READERS[reader](answer("bcce1 refused base-writable"))
    assert (caught.value.details, caught.value.retryable) == ({"reason": "base-writable"}, False)


@pytest.mark.parametrize("why", ["base-missing", "base-new", "no-room"])
def test_a_start_that_the_base_folder_forbids_is_known_to_have_started_nothing(why: str) -> None:
    with pytest.raises(TargetNotReady) as caught:
        protocol.start_result(answer(f"bcce1 declined {why}"))
    assert (caught.value.details, caught.value.retryable) == ({"reason": why}, False)


@pytest.mark.parametrize("why", ["no-space", "wrong-digest", "no-session", "never-heard"])
def test_a_start_that_came_to_nothing_may_be_tried_again(why: str) -> None:
    with pytest.raises(NotStarted) as caught:
        protocol.start_result(answer(f"bcce1 declined {why}"))
    assert (caught.value.details, caught.value.retryable) == ({"reason": why}, True)


@pytest.mark.parametrize("reader", sorted(READERS.keys() - {"start"}))
def test_only_a_start_can_say_that_nothing_was_started(reader: str) -> None:
    with pytest.raises(ExecutorUnavailable):
        READERS[reader](answer("bcce1 declined base-missing"))


@pytest.mark.parametrize(
    "line", ["bcce1 exited", "bcce1 exited 0", "bcce1 exited x exited", "bcce1 exited 0 great", "bcce1 exited -1 exited", "bcce1 unknown"]
)
def test_a_broken_status_is_never_an_outcome(line: str) -> None:
    with pytest.raises(ExecutorUnavailable):
        protocol.status_result(answer(line))


@pytest.mark.parametrize(
    "said", [b"", b"\n", b"bcce1\n", b"bcce1 exited 0 exited", b"bash: not found\n", b"bcce2 exited 0 exited\n", b"\xff\xfe 1\n"]
)
def test_bytes_that_are_no_answer_are_unavailable(said: bytes) -> None:
    with pytest.raises(ExecutorUnavailable) as caught:
        protocol.read_answer(said)
    assert (caught.value.code, caught.value.retryable) == ("executor-unavailable", True)


def test_output_that_was_cut_off_on_its_way_is_unavailable() -> None:
    with pytest.raises(ExecutorUnavailable, match="cut off"):
        protocol.output_result(answer("bcce1 output 9 1 0", b"short"), 0)


def test_nothing_is_filled_into_the_wrapper_and_it_evaluates_nothing() -> None:
    words = protocol.WRAPPER.read_text().split()
    assert [word for word in ("eval", "source", ".", "{{") if word in words] == []
    assert "bash -c" not in protocol.WRAPPER.read_text()
