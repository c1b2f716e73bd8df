"""The container that plugins are built from."""

from typing import Protocol

import pytest

from bcce.plugins import MissingService, Services


class Clock(Protocol):
    """A Protocol as a key."""

    def now(self) -> int: ...


class Watch:
    """Implements Clock without inheriting from it."""

    def now(self) -> int:
        return 7


def test_a_service_is_found_by_the_type_it_was_offered_as() -> None:
    services, watch = Services(), Watch()
    services.add(Clock, watch)
    assert services.get(Clock) is watch


def test_add_returns_what_it_was_given() -> None:
    watch = Watch()
    assert Services().add(Watch, watch) is watch


def test_a_type_is_not_found_under_another_it_could_stand_for() -> None:
    services = Services()
    services.add(Watch, Watch())
    with pytest.raises(MissingService, match=r"test_plugins_services\.Clock is offered") as caught:
        services.get(Clock)
    assert (caught.value.code, caught.value.hint) == ("missing-service", "offered: Watch")


def test_a_service_can_be_none_or_false() -> None:
    services = Services()
    services.add(bool, False)
    assert services.get(bool) is False


def test_a_second_service_of_a_type_is_refused() -> None:
    services = Services()
    first = services.add(Watch, Watch())
    with pytest.raises(ValueError, match="offered already"):
        services.add(Watch, Watch())
    assert services.get(Watch) is first


def test_an_empty_container_says_that_nothing_is_offered() -> None:
    with pytest.raises(MissingService) as caught:
        Services().get(Watch)
    assert caught.value.hint == "offered: nothing"
