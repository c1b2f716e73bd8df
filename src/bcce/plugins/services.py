"""The typed container that plugins are built from, once, while the program is wired."""

from typing import Any, Protocol, TypeVar, cast

from bcce.plugins.errors import MissingService

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Services:
    """What a plugin may ask for, by type. Filled by the composition root; never passed on by what was built from it."""

    def __init__(self) -> None:
        self._services: dict[type, Any] = {}

    def add(self, kind: type[T], value: T) -> T:
        """Offers `value` as the one service of type `kind`, often a Protocol, and returns it.

        Raises:
            ValueError: there is one already; which of the two a plugin gets would depend on the order of wiring.
        """
        if kind in self._services:
            raise ValueError(f"a service of type {_name(kind)} is offered already")
        self._services[kind] = value
        return value

    def get(self, kind: type[T]) -> T:
        """The service of type `kind`.

        Raises:
            MissingService: nobody offers one, or not yet.
        """
        if kind not in self._services:
            offered = ", ".join(sorted(known.__name__ for known in self._services)) or "nothing"
            raise MissingService(f"no service of type {_name(kind)} is offered", hint=f"offered: {offered}")
        return cast(T, self._services[kind])


class Buildable(Protocol[T_co]):
    """What an entry point names: a class, or any object, that makes an implementation of its door from services."""

    def build(self, services: Services) -> T_co:
        """A new instance. Does no I/O.

        Raises:
            MissingService: it needs something that is not offered.
        """
        ...


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
