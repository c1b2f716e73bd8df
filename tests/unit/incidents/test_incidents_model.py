"""The table of how an incident may move on, and what its documentation says about it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bcce.incidents.model import EVENTS, OVER, TERMINAL, TRANSITIONS, Incident, IncidentState
from bcce.kit.events import EVENT_TYPES
from bcce.kit.findings import Severity
from bcce.kit.ids import DEFAULT_TENANT, IncidentId

PAGE = (Path(__file__).parents[3] / "docs" / "incidents.md").read_text(encoding="utf-8")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
S = IncidentState


def reachable(start: IncidentState) -> set[IncidentState]:
    found, left = set(), [start]
    while left:
        for state in TRANSITIONS[left.pop()] - found:
            found.add(state)
            left.append(state)
    return found


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(IncidentState)


def test_the_page_shows_the_table() -> None:
    arrows = set(re.findall(r"^ {4}(\w+) --> (\w+)$", PAGE, flags=re.MULTILINE))

    assert arrows == {(str(state), str(following)) for state, all_following in TRANSITIONS.items() for following in all_following}


def test_the_page_shows_where_incidents_begin_and_end() -> None:
    assert re.findall(r"^ {4}\[\*\] --> (\w+)$", PAGE, flags=re.MULTILINE) == [str(S.OPEN)]
    assert re.findall(r"^ {4}(\w+) --> \[\*\]$", PAGE, flags=re.MULTILINE) == [str(state) for state in TERMINAL]


def test_the_page_names_the_event_of_every_state() -> None:
    rows = re.findall(r"^\| (\w+) \| .* \| `([\w.]+)` \|$", PAGE, flags=re.MULTILINE)

    assert dict(rows) == {str(state): event for state, event in EVENTS.items()}


def test_every_state_has_a_published_event() -> None:
    assert set(EVENTS) == set(IncidentState)
    assert set(EVENTS.values()) <= set(EVENT_TYPES)


def test_every_state_can_be_reached() -> None:
    assert reachable(S.OPEN) == set(IncidentState) - {S.OPEN}


@pytest.mark.parametrize("state", sorted(set(IncidentState) - {S.CLOSED, S.ESCALATED}))
def test_whatever_is_not_closed_can_be_handed_to_a_person(state: IncidentState) -> None:
    assert S.ESCALATED in TRANSITIONS[state]


@pytest.mark.parametrize("state", sorted(set(IncidentState) - TERMINAL))
def test_every_incident_can_be_brought_to_an_end(state: IncidentState) -> None:
    assert S.CLOSED in reachable(state)


def test_a_script_runs_only_after_a_look_at_the_matter() -> None:
    assert {state for state, following in TRANSITIONS.items() if S.REMEDIATING in following} == {S.INVESTIGATING, S.AWAITING_APPROVAL}


def test_after_a_script_only_verification_or_a_person_can_resolve() -> None:
    assert TRANSITIONS[S.REMEDIATING] == {S.VERIFYING, S.ESCALATED}


def test_only_what_is_over_or_in_a_persons_hands_is_closed() -> None:
    assert {state for state, following in TRANSITIONS.items() if S.CLOSED in following} == {S.RESOLVED, S.ESCALATED}


def test_closed_is_the_only_end() -> None:
    assert {S.CLOSED} == TERMINAL
    assert {S.RESOLVED, S.CLOSED} == OVER


def test_no_state_follows_itself() -> None:
    assert [state for state, following in TRANSITIONS.items() if state in following] == []


def test_the_time_to_resolve_runs_from_the_opening() -> None:
    incident = Incident(
        id=IncidentId("inc_1"),
        tenant_id=DEFAULT_TENANT,
        title="t",
        severity=Severity.LOW,
        state=S.OPEN,
        service=None,
        host=None,
        fingerprint="v1:0",
        run_id=None,
        opened_at=NOON,
        resolved_at=None,
        closed_at=None,
        summary=None,
        version=1,
    )

    assert incident.time_to_resolve is None
    assert replace(incident, resolved_at=NOON + timedelta(seconds=90)).time_to_resolve == timedelta(seconds=90)
