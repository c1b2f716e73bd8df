"""Finds what is installed for one door: entry points, the built-ins among them.

Names are known without importing anything; an entry point is imported when it is asked for, and what it builds is checked against the
door's Protocol before anyone uses it.
"""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from bcce.kit.errors import BcceError
from bcce.kit.redact import mask_text
from bcce.plugins.errors import BrokenPlugin, MissingService, UnknownPlugin
from bcce.plugins.services import Buildable, Services
from bcce.plugins.shape import door_members, misfits

T = TypeVar("T")

Discover = Callable[[str], Iterable[EntryPoint]]


def installed(group: str) -> Iterable[EntryPoint]:
    """The entry points of `group` in this environment. Reads the installed packages' metadata, once in a process; imports nothing."""
    found: Iterable[EntryPoint] = _installed(tuple(sys.path)).select(group=group)
    return found


@cache
def _installed(path: tuple[str, ...]) -> Any:
    """Every entry point. To read them all takes 10 ms, and there are a dozen doors. The type is another in each release of Python."""
    return entry_points()


class Registry(Generic[T]):
    """The implementations of one door.

    Args:
        group: the entry point group, such as `bcce.executors`.
        door: the Protocol; each implementation must have its methods and attributes.
        discover: where entry points come from; a test gives its own.

    Raises:
        BrokenPlugin: two distributions bring the same name. Guessing which one was meant would let a package that was installed later take
            the place of a built-in.
    """

    def __init__(self, group: str, door: type[T], discover: Discover = installed) -> None:
        self.group = group
        self._door = door
        self._entries: dict[str, EntryPoint] = {}
        for entry in discover(group):
            known = self._entries.setdefault(entry.name, entry)
            if (known.value, _source(known)) != (entry.value, _source(entry)):
                raise BrokenPlugin(
                    f"{group}: {entry.name!r} is brought by both {_source(known)} and {_source(entry)}",
                    hint="uninstall one of them",
                    details={"group": group, "plugin": entry.name, "distributions": [_source(known), _source(entry)]},
                )

    def names(self) -> list[str]:
        """What is installed, sorted; imports nothing."""
        return sorted(self._entries)

    def source(self, name: str) -> str:
        """Which distribution brings `name`, with its version; imports nothing.

        Raises:
            UnknownPlugin: none of that name is installed.
        """
        return _source(self._entry(name))

    def load(self, name: str) -> Buildable[T]:
        """The object that the entry point `name` stands for, with a `build` method. Imports the plugin.

        Raises:
            UnknownPlugin: none of that name is installed.
            BrokenPlugin: it cannot be imported, has no `build`, or is a class without the door's methods.
        """
        entry = self._entry(name)
        try:
            factory = entry.load()
        except Exception as error:  # importing runs the plugin's own code, which may raise anything
            raise self._broken(entry, f"cannot be imported: {_words(error)}") from error
        if not callable(getattr(factory, "build", None)):
            raise self._broken(entry, "has no `build(services)`")
        methods, _ = door_members(self._door)
        lacking = sorted(method for method in methods if not callable(getattr(factory, method, None)))
        if isinstance(factory, type) and lacking:
            raise self._broken(entry, f"lacks the methods {', '.join(lacking)}")
        return cast(Buildable[T], factory)

    def build(self, name: str, services: Services) -> T:
        """A new instance of the implementation called `name`.

        Raises:
            UnknownPlugin: none of that name is installed.
            BrokenPlugin: as for `load`; or it cannot be built, or what it builds is not what the door asks for.
            BcceError: whatever else the implementation raises on purpose, such as a complaint about its settings.
        """
        factory, entry = self.load(name), self._entry(name)
        try:
            instance = factory.build(services)
        except MissingService as error:
            raise self._broken(entry, f"cannot be built: {error.message}") from error
        except BcceError:
            raise
        except Exception as error:  # building runs the plugin's own code, which may raise anything
            raise self._broken(entry, f"cannot be built: {_words(error)}") from error
        wrong = misfits(self._door, instance)
        if wrong:
            raise self._broken(entry, f"does not fit {self._door.__name__}: it {'; it '.join(wrong)}")
        return instance

    def all(self) -> dict[str, Buildable[T]]:
        """Every installed entry point's object by name. Imports them all.

        Raises:
            BrokenPlugin: as for `load`, for the first one that is broken.
        """
        return {name: self.load(name) for name in self.names()}

    def build_all(self, services: Services) -> dict[str, T]:
        """A new instance of every installed implementation by name.

        Raises:
            BrokenPlugin: as for `build`, for the first one that is broken.
        """
        return {name: self.build(name, services) for name in self.names()}

    def _entry(self, name: str) -> EntryPoint:
        entry = self._entries.get(name)
        if entry is None:
            near = get_close_matches(name, self._entries, n=1)
            raise UnknownPlugin(
                f"{self.group}: nothing called {name[:60]!r} is installed",
                hint=f"did you mean {near[0]!r}?" if near else f"installed: {', '.join(self.names()) or 'none'}",
                details={"group": self.group, "plugin": name[:60]},
            )
        return entry

    def _broken(self, entry: EntryPoint, what: str) -> BrokenPlugin:
        return BrokenPlugin(
            f"{self.group}: {entry.name!r} from {_source(entry)} {what}",
            hint="update or uninstall it",
            details={"group": self.group, "plugin": entry.name, "distribution": _source(entry), "object": entry.value},
        )


def _source(entry: EntryPoint) -> str:
    """The distribution and its version; without one, which only happens in tests, the object's own name."""
    return _title(entry.dist) if entry.dist is not None else entry.value


@cache
def _title(distribution: Distribution) -> str:
    """Its name and version; each is read by parsing the whole of its metadata."""
    return f"{distribution.name} {distribution.version}"


def _words(error: Exception) -> str:
    return mask_text(f"{type(error).__name__}: {error}")[:500]
