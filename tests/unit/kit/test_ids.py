"""An id says what it names, sorts by its time, is read strictly, and is the same for the same parts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.clock import SystemClock
from bcce.kit.errors import InvalidId
from bcce.kit.ids import PREFIXES, Ids, derived_id, parse_id
from bcce.testing.clock import FrozenClock

KINDS = st.sampled_from(sorted(PREFIXES))
MILLISECONDS = st.integers(0, int(timedelta(days=365 * 500) / timedelta(milliseconds=1)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(milliseconds: int, entropy: bytes = bytes(10)) -> Ids:
    return Ids(FrozenClock(EPOCH + timedelta(milliseconds=milliseconds)), entropy=lambda size: entropy)


def test_the_layout_is_that_of_a_ulid() -> None:
    """The well-known ULID 01ARZ3NDEKTSV4RRFFQ69G5FAV was made 1,469,922,850,259 ms after 1970."""
    assert at(1469922850259).new("inc") == "inc_01arz3ndek0000000000000000"


def test_the_random_part_fills_the_last_sixteen_places() -> None:
    assert at(0, entropy=b"\xff" * 10).new("run") == "run_0000000000" + "z" * 16


def test_an_unknown_kind_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        at(0).new("incident")
    with pytest.raises(KeyError):
        derived_id("incident", "a")


def test_ids_of_one_millisecond_differ() -> None:
    clock = FrozenClock()
    made = {Ids(clock).new("evt") for _ in range(1000)}

    assert len(made) == 1000


def test_the_shared_fixture_gives_ids_in_the_order_of_their_making(ids: Ids, frozen_clock: FrozenClock) -> None:
    made = []
    for _ in range(40):
        made.append(ids.new("evt"))
    frozen_clock.advance(1)
    made.append(ids.new("evt"))

    assert sorted(set(made)) == made


@given(KINDS, MILLISECONDS, MILLISECONDS, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_id_order_is_time_order(kind: str, one: int, other: int, first: bytes, second: bytes) -> None:
    if one == other:
        return
    assert (one < other) == (at(one, first).new(kind) < at(other, second).new(kind))


@given(KINDS)
def test_a_fresh_id_is_read_back_as_its_kind(kind: str) -> None:
    made = Ids(SystemClock()).new(kind)

    assert made == parse_id(made, kind)


@given(KINDS, st.lists(st.text()))
def test_a_derived_id_is_well_formed_and_repeatable(kind: str, parts: list[str]) -> None:
    made = derived_id(kind, *parts)

    assert made == parse_id(made, kind)
    assert made == derived_id(kind, *parts)


@given(st.lists(st.text(alphabet='\x00",\\ab|')), st.lists(st.text(alphabet='\x00",\\ab|')))
def test_different_parts_give_different_ids(one: list[str], other: list[str]) -> None:
    """Also when a part holds whatever could be taken for a separator."""
    assert (one == other) == (derived_id("run", *one) == derived_id("run", *other))


def test_a_derived_id_never_changes() -> None:
    """Rows are found by it after an upgrade."""
    assert derived_id("run", "run_a", "steps[0]", "1") == "run_20mazj88c6wpsdtwtaj92c34wf"


def test_a_lone_surrogate_from_a_json_body_still_gives_an_id() -> None:
    assert derived_id("alr", "\ud800") != derived_id("alr", "\ud801")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "inc",
        "inc_",
        "01aryz6s410000000000000000",
        "run_01aryz6s410000000000000000",
        "inc_01aryz6s41000000000000000",
        "inc_01aryz6s4100000000000000000",
        "inc_01ARYZ6S410000000000000000",
        "inc_01aryz6s41000000000000000l",
        "inc_01aryz6s410000000000000000\n",
        " inc_01aryz6s410000000000000000",
        "inc_01aryz6s41000000000000000\u0966",  # a digit zero, but not ours
    ],
)
def test_what_is_not_an_id_of_the_kind_is_refused(text: str) -> None:
    with pytest.raises(InvalidId, match="is not the id of a incident") as caught:
        parse_id(text, "inc")

    assert caught.value.hint == "such an id looks like inc_01k3…; list them to see which there are"


def test_a_hostile_text_is_shown_short_and_escaped() -> None:
    with pytest.raises(InvalidId) as caught:
        parse_id("\x1b[2J" + "x" * 10_000, "inc")

    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 120
