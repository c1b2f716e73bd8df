"""Parameters of `notify`, which a person will read somewhere else."""

import pytest
from pydantic import ValidationError

from bcce.kit.ids import Ids
from bcce.testing.clock import FrozenClock
from bcce.testing.steps import step_context
from bcce.workflows.step_type import Commit
from bcce.workflows.step_types.notify import NotifyParams, NotifyStep


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Field required"),
        ({"title": ""}, "at least 1 character"),
        ({"title": "t", "severity": "fatal"}, "'info', 'warning' or 'critical'"),
        ({"title": "t", "channel": "a b"}, "match pattern"),
        ({"title": "t", "channel": "https://hooks.example/x"}, "match pattern"),
        ({"title": "t", "to": "ops"}, "not permitted"),
    ],
)
def test_what_is_no_notification_is_a_finding(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        NotifyParams.model_validate(given)


async def test_it_writes_nothing_before_the_engine_commits(frozen_clock: FrozenClock, ids: Ids) -> None:
    """The outcome is a write for the engine's own transaction; the context of this test has no database to write to."""
    outcome = await NotifyStep(frozen_clock, ids).run(step_context(), NotifyParams(title="t"))

    assert isinstance(outcome, Commit)
