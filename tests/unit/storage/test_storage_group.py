"""How items become few statements: the order inside an append is kept, equal statements travel together."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from bcce.storage.doors import Append, Item
from bcce.storage.group import gather

A, B, C = text("INSERT INTO a VALUES (:n)"), text("INSERT INTO b VALUES (:n)"), text("INSERT INTO c VALUES (:n)")
NAMES: dict[int, str] = {id(A): "a", id(B): "b", id(C): "c"}


def shown(*ops: list[Item]) -> list[tuple[str, list[Any]]]:
    """The batches as (statement, values of n)."""
    return [(NAMES[id(statement)], [row["n"] for row in rows]) for statement, rows in gather([Append(items=tuple(op)) for op in ops])]


def test_one_statement_is_one_batch_however_many_appends() -> None:
    assert shown([(A, {"n": 1})], [(A, {"n": 2}), (A, {"n": 3})], [(A, {"n": 4})]) == [("a", [1, 2, 3, 4])]


def test_the_same_order_of_statements_shares_its_batches() -> None:
    assert shown([(A, {"n": 1}), (B, {"n": 2})], [(A, {"n": 3}), (B, {"n": 4})]) == [("a", [1, 3]), ("b", [2, 4])]


def test_the_opposite_order_opens_a_new_batch_for_what_must_come_later() -> None:
    assert shown([(A, {"n": 1}), (B, {"n": 2})], [(B, {"n": 3}), (A, {"n": 4})]) == [("a", [1]), ("b", [2, 3]), ("a", [4])]


def test_a_statement_that_comes_back_inside_an_append_comes_back() -> None:
    assert shown([(A, {"n": 1}), (B, {"n": 2}), (A, {"n": 3})]) == [("a", [1]), ("b", [2]), ("a", [3])]


def test_rows_with_other_columns_are_another_batch() -> None:
    batches = gather([Append(items=((A, {"n": 1}),)), Append(items=((A, {"n": 2, "m": 3}),)), Append(items=((A, {"n": 4}),))])
    assert [rows for _, rows in batches] == [[{"n": 1}, {"n": 4}], [{"n": 2, "m": 3}]]


def test_nothing_to_do_is_nothing() -> None:
    assert gather([Append(items=())]) == []


@given(st.lists(st.lists(st.sampled_from([A, B, C]), max_size=6), max_size=8))
def test_every_item_is_executed_once_and_in_the_order_of_its_append(statements: list[list[Any]]) -> None:
    ops = [[(statement, {"n": (number, place)}) for place, statement in enumerate(op)] for number, op in enumerate(statements)]
    order = [(name, key) for name, keys in shown(*ops) for key in keys]
    expected = {(NAMES[id(statement)], (number, place)) for number, op in enumerate(statements) for place, statement in enumerate(op)}
    assert set(order) == expected
    assert len(order) == len(expected)
    for number in range(len(ops)):
        places = [place for _, (op, place) in order if op == number]
        assert places == sorted(places)
