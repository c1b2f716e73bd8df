"""The wire form of an event is public and fixed."""

import re
from datetime import UTC, datetime

import pytest

from bcce.kit.events import EVENT_TYPES, Event
from bcce.kit.ids import DEFAULT_TENANT

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_the_wire_form_holds_four_keys_and_no_tenant() -> None:
    event = Event(type="step.completed", timestamp=NOON, source="workflows", tenant_id=DEFAULT_TENANT, data={"durationMs": 12})

    assert event.to_wire() == {
        "type": "step.completed",
        "timestamp": "2026-01-02T12:00:00.000000Z",
        "source": "workflows",
        "data": {"durationMs": 12},
    }


def test_the_wire_form_is_a_copy() -> None:
    data = {"a": 1}
    event = Event(type="step.completed", timestamp=NOON, source="workflows", tenant_id=DEFAULT_TENANT, data=data)
    shown = event.to_wire()["data"]
    data["a"] = 2

    assert shown == {"a": 1}


def test_a_name_that_is_not_listed_cannot_be_published() -> None:
    with pytest.raises(ValueError, match=re.escape("unknown event type 'step.done'")):
        Event(type="step.done", timestamp=NOON, source="workflows", tenant_id=DEFAULT_TENANT, data={})


def test_the_six_names_that_extensions_listen_to_are_there() -> None:
    assert {"step.started", "step.completed", "step.failed", "workflow.started", "workflow.completed", "workflow.failed"} <= set(
        EVENT_TYPES
    )


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_name_is_a_noun_and_a_verb_and_says_what_happened(name: str) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+", name)
    assert EVENT_TYPES[name]
