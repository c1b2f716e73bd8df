"""The registry: what is installed, how it is loaded, and who is to blame when it does not work."""

import sys
import types
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint
from typing import Protocol

import pytest

from bcce.kit.errors import InvalidInput
from bcce.plugins import BrokenPlugin, MissingService, Registry, Services, UnknownPlugin
from bcce.plugins.registry import installed

GROUP = "bcce.greeters"
MODULE = "greeter_plugins"


class Greeter(Protocol):
    """The door of these tests."""

    name: str

    def greet(self, who: str) -> str: ...


class Polite:
    """Fits."""

    name = "polite"

    @classmethod
    def build(cls, services: Services) -> "Polite":
        return cls()

    def greet(self, who: str) -> str:
        return f"Good day, {who}."


class Needy(Polite):
    """Asks for a service that nobody offers."""

    @classmethod
    def build(cls, services: Services) -> "Needy":
        services.get(int)
        return cls()


class Picky(Polite):
    """Does not like its settings."""

    @classmethod
    def build(cls, services: Services) -> "Picky":
        raise InvalidInput("greeters.picky needs a name")


class Clumsy(Polite):
    """Stumbles while it is built, with a password in what it says."""

    @classmethod
    def build(cls, services: Services) -> "Clumsy":
        raise RuntimeError("no answer from https://admin:hunter2@example.org")


class Nameless:
    """Lacks an attribute, which only shows on the instance."""

    @classmethod
    def build(cls, services: Services) -> "Nameless":
        return cls()

    def greet(self, who: str) -> str:
        return who


class Mute:
    """Lacks a method, which already shows on the class."""

    name = "mute"

    @classmethod
    def build(cls, services: Services) -> "Mute":
        raise AssertionError("a class that cannot fit is never built")


class Unbuildable:
    """Has no `build`."""

    name = "unbuildable"

    def greet(self, who: str) -> str:
        return who


class Factory:
    """An object instead of a class: what it builds is what must fit."""

    def build(self, services: Services) -> Polite:
        return Polite()


class FakeDistribution(Distribution):
    """A distribution that is not installed."""

    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: object) -> object:  # type: ignore[override]  # no files
        raise NotImplementedError


def entry(name: str, value: str, distribution: str | None = "acme-greeters", version: str = "1.2.0") -> EntryPoint:
    point = EntryPoint(name, f"{MODULE}:{value}" if ":" not in value else value, GROUP)
    if distribution is not None:
        vars(point).update(dist=FakeDistribution(distribution, version))
    return point


def provider(*points: EntryPoint) -> Callable[[str], Iterable[EntryPoint]]:
    return lambda group: [point for point in points if point.group == group]


@pytest.fixture(autouse=True)
def plugin_module() -> Iterator[None]:
    """A module that entry points can name; it is nobody's source file."""
    module = types.ModuleType(MODULE)
    for item in (Polite, Needy, Picky, Clumsy, Nameless, Mute, Unbuildable):
        setattr(module, item.__name__, item)
    vars(module)["factory"] = Factory()
    sys.modules[MODULE] = module
    yield
    del sys.modules[MODULE]


def registry(*points: EntryPoint) -> Registry[Greeter]:
    return Registry(GROUP, Greeter, provider(*points))


def test_names_are_sorted_and_import_nothing() -> None:
    greeters = registry(entry("polite", "Polite"), entry("broken", "no_such_module:Nothing"))
    assert greeters.names() == ["broken", "polite"]


def test_build_gives_an_instance_that_fits_the_door() -> None:
    assert registry(entry("polite", "Polite")).build("polite", Services()).greet("Ada") == "Good day, Ada."


def test_load_gives_the_entry_points_object() -> None:
    assert registry(entry("polite", "Polite")).load("polite") is Polite


def test_an_object_with_a_build_method_is_as_good_as_a_class() -> None:
    assert isinstance(registry(entry("made", "factory")).build("made", Services()), Polite)


def test_all_and_build_all_have_every_name() -> None:
    greeters = registry(entry("one", "Polite"), entry("two", "factory"))
    assert greeters.all()["one"] is Polite
    assert {name: type(item) for name, item in greeters.build_all(Services()).items()} == {"one": Polite, "two": Polite}


def test_source_names_the_distribution_and_its_version() -> None:
    assert registry(entry("polite", "Polite")).source("polite") == "acme-greeters 1.2.0"


def test_source_without_a_distribution_is_the_object() -> None:
    assert registry(entry("polite", "Polite", None)).source("polite") == f"{MODULE}:Polite"


@pytest.mark.parametrize(
    ("asked", "hint"), [("polit", "did you mean 'polite'?"), ("rude", "installed: polite")], ids=["near miss", "nothing like it"]
)
def test_an_unknown_name_is_answered_with_what_there_is(asked: str, hint: str) -> None:
    with pytest.raises(UnknownPlugin) as caught:
        registry(entry("polite", "Polite")).build(asked, Services())
    assert (caught.value.status, caught.value.hint, caught.value.details["plugin"]) == (404, hint, asked)


def test_an_empty_registry_says_that_nothing_is_installed() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        registry().load("polite")
    assert caught.value.hint == "installed: none"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("no_such_module:Nothing", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("Missing", "cannot be imported: AttributeError: module 'greeter_plugins' has no attribute 'Missing'"),
        ("Unbuildable", "has no `build(services)`"),
        ("Mute", "lacks the methods greet"),
        ("Nameless", "does not fit Greeter: it lacks the attribute 'name'"),
        ("Needy", "cannot be built: no service of type builtins.int is offered"),
        ("Clumsy", "cannot be built: RuntimeError: no answer from https://[redacted]@example.org"),
    ],
)
def test_a_broken_plugin_is_named_with_its_distribution_and_what_is_wrong(value: str, what: str) -> None:
    with pytest.raises(BrokenPlugin) as caught:
        registry(entry("odd", value)).build("odd", Services())
    assert caught.value.message == f"{GROUP}: 'odd' from acme-greeters 1.2.0 {what}"
    assert (caught.value.code, caught.value.details["distribution"]) == ("broken-plugin", "acme-greeters 1.2.0")


def test_the_cause_of_a_broken_plugin_is_kept_for_the_log() -> None:
    with pytest.raises(BrokenPlugin) as caught:
        registry(entry("odd", "Needy")).build("odd", Services())
    assert isinstance(caught.value.__cause__, MissingService)


def test_what_a_plugin_says_on_purpose_reaches_the_operator_unchanged() -> None:
    with pytest.raises(InvalidInput, match=r"greeters\.picky needs a name"):
        registry(entry("picky", "Picky")).build("picky", Services())


@pytest.mark.parametrize("value", ["Needy", "Polite"], ids=["another object", "the same object"])
def test_two_distributions_cannot_bring_the_same_name(value: str) -> None:
    with pytest.raises(BrokenPlugin) as caught:
        registry(entry("polite", "Polite"), entry("polite", value, "evil-greeters", "9.0"))
    assert caught.value.details["distributions"] == ["acme-greeters 1.2.0", "evil-greeters 9.0"]


def test_a_distribution_that_is_found_twice_is_no_conflict() -> None:
    assert registry(entry("polite", "Polite"), entry("polite", "Polite")).names() == ["polite"]


def test_the_built_ins_of_this_installation_are_found() -> None:
    assert "local" in [point.name for point in installed("bcce.executors")]
