"""The correlation id of a task."""

import asyncio

import pytest

from bcce.kit.ids import Ids, parse_id
from bcce.observability.correlation import accepted, bind_correlation, correlated, current_correlation, new_correlation


def test_there_is_none_outside_of_anything() -> None:
    assert current_correlation() is None


def test_a_new_one_is_an_id_of_its_kind_and_is_not_bound(ids: Ids) -> None:
    made = new_correlation(ids)
    assert (parse_id(made, "cor"), current_correlation()) == (made, None)


def test_correlated_binds_inside_and_restores_what_was_before() -> None:
    with correlated("cor_outer"):
        with correlated("cor_inner"):
            inside = current_correlation()
        between = current_correlation()
    assert (inside, between, current_correlation()) == ("cor_inner", "cor_outer", None)


async def test_a_task_hands_its_id_down_and_not_up() -> None:
    async def child() -> str | None:
        handed_down = current_correlation()
        bind_correlation("cor_child")
        return handed_down

    with correlated("cor_parent"):
        assert await asyncio.create_task(child()) == "cor_parent"
        assert current_correlation() == "cor_parent"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("cor_01k3abcdef", "cor_01k3abcdef"),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("a-b.c:d_e", "a-b.c:d_e"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("short", None),
        ("with blank", None),
        ("line\nbreak", None),
        ("<script>", None),
        ("ünïcödé-id", None),
        ("", None),
        (None, None),
    ],
)
def test_an_id_from_outside_is_taken_only_if_it_is_harmless(given: str | None, expected: str | None) -> None:
    assert accepted(given) == expected
