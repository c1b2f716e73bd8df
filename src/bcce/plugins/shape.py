"""Whether an object has what a door's Protocol asks for. Decides from the objects alone."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Protocol


def door_members(door: type[Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The public methods and the public attributes that a Protocol and the Protocols it extends ask for."""
    methods: set[str] = set()
    attributes: set[str] = set()
    for part in door.__mro__:
        if part in (object, Protocol) or not getattr(part, "_is_protocol", False):
            continue
        attributes.update(name for name in vars(part).get("__annotations__", {}) if not name.startswith("_"))
        for name, value in vars(part).items():
            if not name.startswith("_"):
                (methods if inspect.isroutine(value) else attributes).add(name)
    return frozenset(methods), frozenset(attributes - methods)


def misfits(door: type[Any], instance: object) -> list[str]:
    """What keeps `instance` from being used through `door`, each as words that follow "it"; empty when nothing does."""
    methods, attributes = door_members(door)
    found = [f"lacks the attribute {name!r}" for name in sorted(attributes) if not hasattr(instance, name)]
    for name in sorted(methods):
        wanted, given = getattr(door, name), getattr(instance, name, None)
        if given is None:
            found.append(f"lacks the method {name!r}")
        elif not callable(given):
            found.append(f"has {name!r}, which is no method")
        elif inspect.iscoroutinefunction(wanted) and not _may_be_awaited(given):
            found.append(f"has {name!r}, which is not async")
        elif not _takes(given, wanted):
            found.append(f"has {name!r} with other parameters than {inspect.signature(wanted)}")
    return found


def _may_be_awaited(given: Callable[..., object]) -> bool:
    """Only a plain function or method that is no coroutine function is surely wrong; a wrapper may return anything."""
    return inspect.iscoroutinefunction(given) or not (inspect.isfunction(given) or inspect.ismethod(given)) or hasattr(given, "__wrapped__")


def _takes(given: Callable[..., object], wanted: Callable[..., object]) -> bool:
    """Whether `given` can be called in every way in which the door's method may be called."""
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):  # written in C, without a signature to look at
        return True
    for positional, named in _calls(wanted):
        try:
            signature.bind(*positional, **named)
        except TypeError:
            return False
    return True


def _calls(wanted: Callable[..., object]) -> Iterator[tuple[list[None], dict[str, None]]]:
    """The arguments of a call with everything, and of one with only what has no default."""
    parameters = list(inspect.signature(wanted).parameters.values())[1:]
    for everything in (True, False):
        used = [item for item in parameters if everything or item.default is item.empty]
        positional = [None for item in used if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD)]
        yield positional, {item.name: None for item in used if item.kind is item.KEYWORD_ONLY}
