"""The state table of dispatches, and which state a target's answer leads to."""

from collections import deque

import pytest

from bcce.execution.errors import InvalidDispatchKey
from bcce.execution.model import ENDED, SETTLED, TRANSITIONS, DispatchState, ExitReason, JobPhase, JobStatus, check_key, state_for

ANSWERS = [
    (JobStatus(phase=JobPhase.RUNNING), None),
    (JobStatus(phase=JobPhase.NEVER_STARTED), DispatchState.ABANDONED),
    (JobStatus(phase=JobPhase.UNKNOWN), DispatchState.INDETERMINATE),
    (JobStatus(phase=JobPhase.EXITED, exit_code=0, reason=ExitReason.EXITED), DispatchState.SUCCEEDED),
    (JobStatus(phase=JobPhase.EXITED, exit_code=1, reason=ExitReason.EXITED), DispatchState.FAILED),
    (JobStatus(phase=JobPhase.EXITED, exit_code=143, reason=ExitReason.EXITED), DispatchState.FAILED),
    (JobStatus(phase=JobPhase.EXITED, exit_code=124, reason=ExitReason.TIMED_OUT), DispatchState.FAILED),
    (JobStatus(phase=JobPhase.EXITED, exit_code=143, reason=ExitReason.STOPPED), DispatchState.STOPPED),
    (JobStatus(phase=JobPhase.EXITED), DispatchState.FAILED),
]


@pytest.mark.parametrize(("status", "expected"), ANSWERS)
def test_an_answer_leads_to_one_state(status: JobStatus, expected: DispatchState | None) -> None:
    assert state_for(status) == expected


def test_the_table_has_every_state() -> None:
    assert set(TRANSITIONS) == set(DispatchState)


def test_every_state_can_be_reached_from_cleared() -> None:
    seen, waiting = {DispatchState.CLEARED}, deque([DispatchState.CLEARED])
    while waiting:
        for following in TRANSITIONS[waiting.popleft()] - seen:
            seen.add(following)
            waiting.append(following)
    assert seen == set(DispatchState)


def test_nothing_goes_back() -> None:
    for state, following in TRANSITIONS.items():
        assert DispatchState.CLEARED not in following
        assert state not in following
    assert [state for state in DispatchState if DispatchState.STARTED in TRANSITIONS[state]] == [DispatchState.CLEARED]


def test_settled_states_are_the_last_ones_and_indeterminate_is_not_settled() -> None:
    assert {state for state in DispatchState if not TRANSITIONS[state]} == SETTLED
    assert {DispatchState.INDETERMINATE} == ENDED - SETTLED


def test_every_answer_can_be_recorded_from_every_state_that_waits_for_one() -> None:
    reachable = {state for _, state in ANSWERS if state is not None}
    for before in (DispatchState.CLEARED, DispatchState.STARTED):
        assert reachable <= TRANSITIONS[before]


@pytest.mark.parametrize("key", ["a", "dsp_01k3", "A.b-c_9", "9" * 64])
def test_a_key_of_plain_characters_is_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "é", "9" * 65])
def test_any_other_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidDispatchKey):
        check_key(key)
