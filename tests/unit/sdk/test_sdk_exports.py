"""The plugin author's module has everything that the doors ask for, so that nobody needs to import from anywhere else."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest

from bcce import sdk
from bcce.plugins import Registry
from bcce.plugins.shape import door_members, misfits

#: Every door and its entry point group.
DOORS = {
    "bcce.agent_runners": sdk.AgentRunner,
    "bcce.alert_providers": sdk.AlertProvider,
    "bcce.connectors": sdk.Connector,
    "bcce.dispatchers": sdk.Dispatcher,
    "bcce.executors": sdk.Executor,
    "bcce.planners": sdk.Planner,
    "bcce.script_validators": sdk.ScriptValidator,
    "bcce.step_types": sdk.StepType,
    "bcce.ticket_books": sdk.TicketBook,
}


def parts(annotation: Any) -> Iterator[Any]:
    """The classes that a type is made of."""
    if isinstance(annotation, list):
        for part in annotation:
            yield from parts(part)
    arguments = typing.get_args(annotation)
    if arguments:
        for part in arguments:
            yield from parts(part)
    elif inspect.isclass(annotation):
        yield annotation


def mentioned(item: Any) -> set[Any]:
    """The classes in the signatures of a door, or in the fields of a value."""
    if getattr(item, "_is_protocol", False):
        methods, _ = door_members(item)
        hints = [*(typing.get_type_hints(getattr(item, name)) for name in methods), typing.get_type_hints(item)]
    elif dataclasses.is_dataclass(item):
        hints = [typing.get_type_hints(item)]
    else:
        hints = []
    return {part for hint in hints for annotation in hint.values() for part in parts(annotation)}


def closure(door: Any) -> set[type]:
    """Every class of BCCE's own that one can meet on the way from a door."""
    found: set[Any] = set()
    waiting = [door]
    while waiting:
        item = waiting.pop()
        if item not in found and item.__module__.startswith("bcce."):
            found.add(item)
            waiting += mentioned(item)
    return found


@pytest.mark.parametrize("door", DOORS.values(), ids=list(DOORS))
def test_every_class_that_a_door_mentions_is_exported(door: type) -> None:
    assert sorted(item.__qualname__ for item in closure(door) if getattr(sdk, item.__name__, None) is not item) == []


def test_every_door_of_the_built_ins_is_exported() -> None:
    # Who carries out agents' steps comes with a package of its own.
    assert {group for group in entry_points().groups if group.startswith("bcce.")} == set(DOORS) - {"bcce.agent_runners"}


@pytest.mark.parametrize(("group", "door"), DOORS.items(), ids=list(DOORS))
def test_every_built_in_has_the_methods_of_its_door(group: str, door: type) -> None:
    registry: Registry[object] = Registry(group, door)
    assert registry.names() == sorted(registry.all())


def test_the_list_of_exports_is_exactly_what_is_imported() -> None:
    assert set(sdk.__all__) == {name for name in vars(sdk) if not name.startswith("_") and not inspect.ismodule(getattr(sdk, name))}
    assert len(sdk.__all__) == len(set(sdk.__all__))


def test_a_plugin_fits_its_door_with_names_from_here_alone() -> None:
    class Quiet:
        """A provider that never finds an alert."""

        name = "quiet"

        @classmethod
        def build(cls, services: sdk.Services) -> "Quiet":
            return cls()

        def parse(self, body: bytes, headers: object, *, source: str, received_at: object) -> sdk.ParsedDelivery:
            return sdk.ParsedDelivery(alerts=())

    assert misfits(sdk.AlertProvider, Quiet.build(sdk.Services())) == []
