"""`wait`: which moments it takes, and where a wrong one is found."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from bcce.workflows.expressions import Expressions
from bcce.workflows.step_types.wait import WaitParams, WaitStep
from bcce.workflows.validation import check_text

BEGAN = datetime(2026, 3, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"until": "2026-03-01T08:30:00+01:00"}, datetime(2026, 3, 1, 7, 30, tzinfo=UTC)),
        ({"until": "2026-03-01t07:30:00z"}, datetime(2026, 3, 1, 7, 30, tzinfo=UTC)),
        ({"until": "2026-03-01 07:30:00.25-00:00"}, datetime(2026, 3, 1, 7, 30, 0, 250_000, tzinfo=UTC)),
        ({"until": "2026-03-01T09:00:00Z", "duration": "1h"}, datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ({"until": "2026-03-01T07:10:00Z", "duration": "1h"}, datetime(2026, 3, 1, 7, 10, tzinfo=UTC)),
        ({"event": "go"}, None),
    ],
)
def test_whichever_end_comes_first(given: dict[str, str], end: datetime | None) -> None:
    assert WaitParams.model_validate(given).ends_at(BEGAN) == end


@pytest.mark.parametrize(
    "until", ["2026-03-01", "2026-03-01T07:30:00", "2026-03-01T07:30Z", "2026-W09-7T07:30:00Z", "2026-02-30T07:30:00Z", "tomorrow", ""]
)
def test_what_is_no_moment_is_found_at_its_line(until: str) -> None:
    text = f'name: t\nsteps:\n  - id: a\n    type: wait\n    until: "{until}"\n'
    (finding,) = check_text(text, None, {"wait": WaitStep}, Expressions())[1]  # type: ignore[dict-item]  # its class has what is looked at

    assert (finding.rule_id, finding.line) == ("workflow.wrong-parameter", 5)


def test_an_unquoted_moment_and_an_expression_are_valid() -> None:
    text = "name: t\ninputs: {at: string}\nsteps:\n  - {id: a, type: wait, until: 2026-03-01T07:30:00Z}\n"
    text += '  - {id: b, type: wait, until: "{{ inputs.at }}"}\n'

    assert check_text(text, None, {"wait": WaitStep}, Expressions())[1] == ()  # type: ignore[dict-item]  # as above


def test_a_wait_for_nothing_is_none() -> None:
    with pytest.raises(ValidationError, match="give `event`, `duration`, `until`"):
        WaitParams()
