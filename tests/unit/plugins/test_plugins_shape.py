"""What a door asks for, and what keeps an object from fitting it."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

import pytest

from bcce.plugins.shape import door_members, misfits

T = TypeVar("T")


class Named(Protocol):
    """A part of the door that it inherits."""

    name: str


class Door(Named, Protocol):
    """The door of these tests."""

    kind: ClassVar[str] = "door"

    async def open(self, key: str, *, force: bool = False) -> None: ...

    def ring(self, times: int = 1) -> None: ...

    def _hidden(self) -> None: ...


class Good:
    """Fits, with other names for positional parameters and more parameters that have defaults."""

    kind = "oak"

    def __init__(self) -> None:
        self.name = "good"

    async def open(self, text: str, *, force: bool = False, slowly: bool = False) -> None: ...

    def ring(self, times: int = 1) -> None: ...


def traced(fn: Callable[..., T]) -> Callable[..., T]:
    """A decorator as plugins have them: the wrapper of an async method is no coroutine function itself."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> T:
        return fn(*args, **kwargs)

    return wrapper


def changed(**members: object) -> object:
    """A `Good` with some members replaced."""
    return type("Changed", (Good,), members)()


def test_the_members_of_a_door_are_the_public_ones_of_all_its_protocols() -> None:
    assert door_members(Door) == (frozenset({"open", "ring"}), frozenset({"name", "kind"}))


def test_what_has_every_member_fits() -> None:
    assert misfits(Door, Good()) == []


def test_nothing_fits_worse_than_nothing() -> None:
    assert misfits(Door, object()) == [
        "lacks the attribute 'kind'",
        "lacks the attribute 'name'",
        "lacks the method 'open'",
        "lacks the method 'ring'",
    ]


def sync_open(self: object, key: str, *, force: bool = False) -> None: ...


async def open_without_force(self: object, key: str) -> None: ...


async def open_with_another(self: object, key: str, other: str, *, force: bool = False) -> None: ...


def ring_that_must_be_told(self: object, times: int) -> None: ...


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"ring": 5}, ["has 'ring', which is no method"]),
        ({"ring": None}, ["lacks the method 'ring'"]),
        ({"open": sync_open}, ["has 'open', which is not async"]),
        ({"open": open_without_force}, ["has 'open' with other parameters than (self, key: str, *, force: bool = False) -> None"]),
        ({"open": open_with_another}, ["has 'open' with other parameters than (self, key: str, *, force: bool = False) -> None"]),
        ({"ring": ring_that_must_be_told}, ["has 'ring' with other parameters than (self, times: int = 1) -> None"]),
    ],
)
def test_a_member_of_the_wrong_form_is_named(members: dict[str, object], expected: list[str]) -> None:
    assert misfits(Door, changed(**members)) == expected


def test_a_wrapped_coroutine_function_is_taken_for_async() -> None:
    assert misfits(Door, changed(open=traced(Good.open))) == []


def test_a_callable_object_is_given_the_benefit_of_the_doubt() -> None:
    class Opener:
        def __call__(self, *args: object, **kwargs: object) -> object: ...

    assert misfits(Door, changed(open=Opener())) == []


def test_a_callable_without_a_signature_is_given_the_benefit_of_the_doubt() -> None:
    # `dict.update` is written in C and tells nothing about its parameters.
    assert misfits(Door, changed(ring=dict().update)) == []
