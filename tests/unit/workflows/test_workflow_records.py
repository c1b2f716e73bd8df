"""Records by turn: what a place sees, and whether a turn has begun."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bcce.workflows.model import StepRecord, StepState
from bcce.workflows.records import Records, seen_from

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REFERENCE = {"artifact": "sha256:" + "a" * 64, "bytes": 20_000, "type": "application/json"}
SUFFIXES = st.sampled_from(["", "[0]", "[1]", "[10]", "[0][0]", "[0][1]", "[1][0]", "[10][2][3]"])
KEYS = st.builds(lambda name, suffix: name + suffix, st.sampled_from(["a", "b", "a.fallback"]), SUFFIXES)


def record(key: str, output: dict[str, object] | None = None) -> StepRecord:
    return StepRecord(key=key, attempt=1, state=StepState.COMPLETED, type="set", started_at=NOW, output=output)


@given(st.lists(KEYS, unique=True), st.data(), SUFFIXES)
def test_a_place_sees_its_own_turn_and_those_around_it(keys: list[str], data: st.DataObject, suffix: str) -> None:
    records = Records()
    for key in keys:
        records[key] = record(key)
    gone = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    for key in gone:
        del records[key]
    left = [key for key in keys if key not in gone]

    around = [suffix[: at + 1] for at, character in enumerate(suffix) if character == "]"]
    expected = {key for key in left if key[len(key.partition("[")[0]) :] in ["", *around]}
    assert {key for key, _ in records.seen_from(suffix)} == expected
    assert dict(seen_from({key: record(key) for key in left}, suffix)).keys() == expected
    assert list(records) == left


def test_whether_any_output_may_have_become_an_artifact() -> None:
    records = Records({"a": record("a", {"x": 1})})
    assert not records.refers
    records["b"] = record("b", {"x": REFERENCE})
    assert records.refers
